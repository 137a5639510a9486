"""Environments and tasks as data, and the loaders that read them."""

from simia_async.environments.environment import Environment, load_environment
from simia_async.environments.seeds import Seed, load_seeds
from simia_async.environments.task import (
    CallPattern,
    Check,
    Criterion,
    Scenario,
    Split,
    Task,
    Utterance,
)
from simia_async.environments.tasks_file import environment_tasks, load_tasks, write_tasks

__all__ = [
    "CallPattern",
    "Check",
    "Criterion",
    "Environment",
    "Scenario",
    "Seed",
    "Split",
    "Task",
    "Utterance",
    "environment_tasks",
    "load_environment",
    "load_seeds",
    "load_tasks",
    "write_tasks",
]
