"""Every kind of run, with its settings. Defaults are the embedded, offline ones."""

from typing import Literal

from simia_async.config.conversations import EvalConfig, JudgeConfig, RolloutConfig
from simia_async.config.endpoint import Endpoint
from simia_async.config.fields import Settings
from simia_async.config.limits import Budget, StoreConfig
from simia_async.config.roles import JudgeEndpoint, PolicyEndpoint, ToolEndpoint, UserEndpoint
from simia_async.config.seeded import GenerateConfig, TasksConfig
from simia_async.config.training import GrpoConfig, SftConfig

RunKind = Literal["generate", "tasks", "rollout", "judge", "sft", "rl", "eval"]

KINDS: dict[RunKind, type[Settings]] = {
    "generate": GenerateConfig,
    "tasks": TasksConfig,
    "rollout": RolloutConfig,
    "judge": JudgeConfig,
    "sft": SftConfig,
    "rl": GrpoConfig,
    "eval": EvalConfig,
}
SHARED: dict[str, type[Settings]] = {
    "simulator": Endpoint,
    "policy": PolicyEndpoint,
    "user_endpoint": UserEndpoint,
    "tool_endpoint": ToolEndpoint,
    "judge_endpoint": JudgeEndpoint,
    "budget": Budget,
    "store": StoreConfig,
}
"""Sections that the kinds of run share."""
