"""Settings of every kind of run, and of the endpoints they ask."""

from simia_async.config.endpoint import SCRIPTED, Endpoint, Provider
from simia_async.config.settings import (
    TINY,
    EvalConfig,
    GenerateConfig,
    GrpoConfig,
    RolloutConfig,
    RunKind,
    SftConfig,
)

__all__ = [
    "SCRIPTED",
    "TINY",
    "Endpoint",
    "EvalConfig",
    "GenerateConfig",
    "GrpoConfig",
    "Provider",
    "RolloutConfig",
    "RunKind",
    "SftConfig",
]
