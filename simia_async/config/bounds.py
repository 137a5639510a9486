"""Checks of single settings, each with a sentence that says what was found."""

import math

from simia_async.errors import ConfigError


def at_least_one(name: str, value: int) -> None:
    """Raise `ConfigError` if `value` is below 1."""
    if value < 1:
        raise ConfigError(f"{name}: found {value}; it must be at least 1")


def positive(name: str, value: float) -> None:
    """Raise `ConfigError` unless `value` is a finite number above 0."""
    if not (math.isfinite(value) and value > 0):
        raise ConfigError(f"{name}: found {value}; it must be a number above 0")
