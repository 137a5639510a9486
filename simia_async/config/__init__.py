"""Settings of every kind of run, and of the endpoints they ask.

fields      what a Struct of settings declares: types, bounds, help, flags
endpoint_fields, endpoint, roles, limits
            the Structs of endpoints, with every default
common, seeded, conversations, luck, meters, tau2, training
            those of the kinds of run
settings    all kinds by name
secrets     what looks like a key, so that it is refused and never echoed
toml_file   reading a settings file, with lines
sources     what file and environment give, and everything that is wrong with it
resolve     default < file < `SIMIA_*` environment < flags or keywords
document    settings written as TOML
"""

from simia_async.config.common import TINY
from simia_async.config.conversations import EvalConfig, JudgeConfig, PlayConfig, RolloutConfig
from simia_async.config.endpoint import SCRIPTED, Endpoint, Provider
from simia_async.config.limits import Budget, StoreConfig
from simia_async.config.luck import LuckConfig
from simia_async.config.meters import AgreementConfig, FidelityConfig
from simia_async.config.resolve import configure, keywords_layer
from simia_async.config.roles import SCRIPTED_AGENT, PolicyEndpoint, RoleEndpoint
from simia_async.config.seeded import GenerateConfig, SeedsConfig, TasksConfig
from simia_async.config.settings import RunKind
from simia_async.config.tau2 import Tau2Config
from simia_async.config.training import GrpoConfig, SftConfig

__all__ = [
    "SCRIPTED",
    "SCRIPTED_AGENT",
    "TINY",
    "AgreementConfig",
    "Budget",
    "Endpoint",
    "EvalConfig",
    "FidelityConfig",
    "GenerateConfig",
    "GrpoConfig",
    "JudgeConfig",
    "LuckConfig",
    "PlayConfig",
    "PolicyEndpoint",
    "Provider",
    "RoleEndpoint",
    "RolloutConfig",
    "RunKind",
    "SeedsConfig",
    "SftConfig",
    "StoreConfig",
    "TasksConfig",
    "Tau2Config",
    "configure",
    "keywords_layer",
]
