"""What can go wrong with an answer, and how often."""

from collections.abc import Iterable
from typing import Literal, Self, get_args

import msgspec

from simia_async.errors import ConfigError

Fault = Literal[
    "rate_limit",
    "server_error",
    "hang",
    "drop",
    "drop_mid",
    "truncated",
    "prose",
    "malformed",
    "slow_body",
    "html",
]

FAULTS: tuple[Fault, ...] = get_args(Fault)


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """The share of requests that each fault strikes. Together at most 1.

    Raises `ConfigError` for a share below 0 or a total above 1.
    """

    rate_limit: float = 0.0
    """HTTP 429 with `retry_after_s`, whatever the quota says."""
    server_error: float = 0.0
    """HTTP 500 or 503, half and half."""
    hang: float = 0.0
    """No byte until the client goes or the server closes."""
    drop: float = 0.0
    """The connection is aborted before any byte."""
    drop_mid: float = 0.0
    """The connection is aborted in the middle of the body."""
    truncated: float = 0.0
    """Half of the body, framed as if it were the whole."""
    prose: float = 0.0
    """What the model says is wrapped in prose and a markdown fence."""
    malformed: float = 0.0
    """What the model says (or the arguments of its tool calls) is broken JSON."""
    slow_body: float = 0.0
    """Headers at once; then the body takes `slow_body_s`."""
    html: float = 0.0
    """A web page, with HTTP 200."""

    retry_after_s: float = 1.0
    slow_body_s: float = 1.0

    def __post_init__(self) -> None:
        shares = [getattr(self, name) for name in FAULTS]
        # Ten shares of 0.1 make a little more than 1 in floating point.
        if min(shares) < 0 or sum(shares) > 1 + 1e-9:
            raise ConfigError(f"faults: shares must be 0 or more and at most 1 in all: {shares}")
        if self.retry_after_s < 0 or self.slow_body_s < 0:
            raise ConfigError("faults: retry_after_s and slow_body_s must not be negative")

    @classmethod
    def parse(
        cls, words: Iterable[str], *, retry_after_s: float = 1.0, slow_body_s: float = 1.0
    ) -> Self:
        """`rate_limit=0.2`, or several with commas between. Raises `ConfigError`."""
        shares: dict[str, float] = {}
        for spec in (spec for text in words for spec in text.split(",") if spec.strip()):
            name, _, share = spec.strip().partition("=")
            try:
                shares[fault_named(name)] = float(share)
            except ValueError as error:
                raise ConfigError(f"fault {spec!r} is not NAME=SHARE, as in drop=0.1") from error
        return cls(retry_after_s=retry_after_s, slow_body_s=slow_body_s, **shares)

    def choose(self, share: float) -> Fault | None:
        """The fault for a uniform number between 0 and 1; None for all that is left over."""
        for name in FAULTS:
            probability = getattr(self, name)
            if share < probability:
                return name
            share -= probability
        return None


def fault_named(name: str) -> Fault:
    """The fault of this name. Raises `ConfigError`, which lists them."""
    for fault in FAULTS:
        if fault == name:
            return fault
    raise ConfigError(f"no fault is called {name!r}; there are {', '.join(FAULTS)}")
