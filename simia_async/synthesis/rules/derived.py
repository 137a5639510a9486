"""What rules work out once for an environment and keep with it, as its own properties are."""

from collections.abc import Callable
from typing import TypeVar

from simia_async.environments import Environment

T = TypeVar("T")


def derived(environment: Environment, name: str, make: Callable[[Environment], T]) -> T:
    """What `make` makes of the environment, made once."""
    kept = environment.__dict__
    if name not in kept:
        kept[name] = make(environment)
    made: T = kept[name]
    return made
