"""Every kind of run, with its settings. Defaults are the embedded, offline ones."""

from typing import Literal

from simia_async.config.conversations import EvalConfig, JudgeConfig, RolloutConfig
from simia_async.config.endpoint import Endpoint
from simia_async.config.fields import Settings
from simia_async.config.limits import Budget, StoreConfig
from simia_async.config.luck import LuckConfig
from simia_async.config.meters import AgreementConfig, FidelityConfig
from simia_async.config.roles import (
    AuditEndpoint,
    JudgeEndpoint,
    PolicyEndpoint,
    ToolEndpoint,
    UserEndpoint,
)
from simia_async.config.seeded import GenerateConfig, TasksConfig
from simia_async.config.tau2 import Tau2Config
from simia_async.config.training import GrpoConfig, SftConfig

RunKind = Literal[
    "generate",
    "tasks",
    "rollout",
    "judge",
    "sft",
    "rl",
    "eval",
    "luck",
    "fidelity",
    "agreement",
    "tau2",
]

KINDS: dict[RunKind, type[Settings]] = {
    "generate": GenerateConfig,
    "tasks": TasksConfig,
    "rollout": RolloutConfig,
    "judge": JudgeConfig,
    "sft": SftConfig,
    "rl": GrpoConfig,
    "eval": EvalConfig,
    "luck": LuckConfig,
    "fidelity": FidelityConfig,
    "agreement": AgreementConfig,
    "tau2": Tau2Config,
}
SHARED: dict[str, type[Settings]] = {
    "simulator": Endpoint,
    "policy": PolicyEndpoint,
    "user_endpoint": UserEndpoint,
    "tool_endpoint": ToolEndpoint,
    "judge_endpoint": JudgeEndpoint,
    "audit_endpoint": AuditEndpoint,
    "budget": Budget,
    "store": StoreConfig,
}
"""Sections that the kinds of run share."""
