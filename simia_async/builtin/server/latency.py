"""How long an answer takes: a distribution in words, and the time drawn from it."""

import math
from statistics import NormalDist
from typing import Literal, Self

import msgspec

from simia_async.errors import ConfigError

_FORMS = "none, fixed:S, uniform:A,B, lognormal:MEAN,SIGMA or exponential:MEAN, in seconds"
_NORMAL = NormalDist()


class Latency(msgspec.Struct, frozen=True):
    """A distribution of seconds. Made by `none()`, `fixed(…)`, … or from words by `parse`."""

    kind: Literal["none", "fixed", "uniform", "lognormal", "exponential"] = "none"
    parameters: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        wanted = {"none": 0, "fixed": 1, "uniform": 2, "lognormal": 2, "exponential": 1}
        given = self.parameters
        fits = len(given) == wanted[self.kind] and all(0 <= x < math.inf for x in given)
        if fits and self.kind == "uniform":
            fits = given[0] <= given[1]
        if fits and self.kind == "lognormal":
            fits = given[0] > 0
        if not fits:
            words = ",".join(f"{x:g}" for x in given)
            raise ConfigError(f"latency {self.kind}:{words} is no distribution; use {_FORMS}")

    @classmethod
    def none(cls) -> Self:
        """Answers come at once."""
        return cls()

    @classmethod
    def fixed(cls, seconds: float) -> Self:
        """Every answer takes as long."""
        return cls("fixed", (seconds,))

    @classmethod
    def uniform(cls, low: float, high: float) -> Self:
        """Anything between two times, in seconds."""
        return cls("uniform", (low, high))

    @classmethod
    def lognormal(cls, mean: float, sigma: float) -> Self:
        """Most answers are quick and some are slow, as LLMs' are.

        `mean` is the mean of the distribution in seconds, `sigma` the deviation of its logarithm.
        """
        return cls("lognormal", (mean, sigma))

    @classmethod
    def exponential(cls, mean: float) -> Self:
        """Memoryless, with this mean in seconds."""
        return cls("exponential", (mean,))

    @classmethod
    def parse(cls, words: str) -> Self:
        """`lognormal:1.0,0.5` and the like. Raises `ConfigError`, which lists the forms."""
        kind, _, rest = words.strip().partition(":")
        try:
            parameters = tuple(float(x) for x in rest.split(",")) if rest else ()
            return msgspec.convert({"kind": kind, "parameters": parameters}, cls)
        except (ValueError, msgspec.ValidationError) as error:
            raise ConfigError(f"latency {words!r} is not understood; use {_FORMS}") from error

    def quantile(self, share: float) -> float:
        """The seconds that `share` of all answers stay under; `share` is between 0 and 1."""
        given = self.parameters
        match self.kind:
            case "none":
                return 0.0
            case "fixed":
                return given[0]
            case "uniform":
                return given[0] + share * (given[1] - given[0])
            case "lognormal":
                mean, sigma = given
                return mean * math.exp(sigma * _NORMAL.inv_cdf(share) - sigma**2 / 2)
            case "exponential":
                return -given[0] * math.log1p(-share)


def as_latency(latency: Latency | str | float | None) -> Latency:
    """What a user may say where a distribution is wanted: words, seconds, or nothing."""
    if latency is None:
        return Latency.none()
    if isinstance(latency, str):
        return Latency.parse(latency)
    return latency if isinstance(latency, Latency) else Latency.fixed(latency)
