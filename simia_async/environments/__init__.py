"""Environments and tasks as data, and the loaders that read them."""

from simia_async.environments.environment import Environment, load_environment
from simia_async.environments.seeds import Seed, load_seeds
from simia_async.environments.task import Check, Criterion, Scenario, Split, Task, Utterance

__all__ = [
    "Check",
    "Criterion",
    "Environment",
    "Scenario",
    "Seed",
    "Split",
    "Task",
    "Utterance",
    "load_environment",
    "load_seeds",
]
