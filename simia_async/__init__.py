"""Train tool-using LLM agents in worlds that an LLM imagines.

Everything public is imported on first use, so that `import simia_async` stays cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simia_async.api import (
        evaluate,
        generate,
        generate_stream,
        judge,
        measure_luck,
        rollout,
        train_rl,
        train_sft,
    )
    from simia_async.builtin.exact import exact_functions
    from simia_async.config import Endpoint
    from simia_async.environments.environment import Environment, load_environment
    from simia_async.environments.task import Task
    from simia_async.serving.client import connect
    from simia_async.simulation.grounding import ToolError

_HOMES = {
    "Endpoint": "config",
    "Environment": "environments.environment",
    "Task": "environments.task",
    "ToolError": "simulation.grounding",
    "connect": "serving.client",
    "evaluate": "api",
    "exact_functions": "builtin.exact",
    "generate": "api",
    "generate_stream": "api",
    "judge": "api",
    "load_environment": "environments.environment",
    "measure_luck": "api",
    "rollout": "api",
    "train_rl": "api",
    "train_sft": "api",
}

__all__ = [
    "Endpoint",
    "Environment",
    "Task",
    "ToolError",
    "connect",
    "evaluate",
    "exact_functions",
    "generate",
    "generate_stream",
    "judge",
    "load_environment",
    "measure_luck",
    "rollout",
    "train_rl",
    "train_sft",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
