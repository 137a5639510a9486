"""The server's settings as a command line gives them."""

import argparse
import os
from typing import TypeVar, get_args

import msgspec

from simia_async.builtin.server.completions import ShowReasoning
from simia_async.builtin.server.conduct import Conduct
from simia_async.builtin.server.faults import Faults
from simia_async.builtin.server.latency import Latency
from simia_async.builtin.server.lies import Lies
from simia_async.builtin.server.log import RequestLog
from simia_async.builtin.server.quota import Quota
from simia_async.errors import ConfigError

C = TypeVar("C", bound=Conduct)


class ServerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What can be said in flags. The flags of `python -m simia_async.builtin.server` are these."""

    latency: str = "none"
    """Such as `lognormal:1.0,0.5`, in seconds."""
    rpm: float | None = None
    tpm: float | None = None
    burst_s: float = 1.0
    """Seconds' worth of rpm and tpm that are admitted at once."""
    fault: tuple[str, ...] = ()
    """NAME=SHARE, such as `rate_limit=0.2`."""
    wrong_observations: float = 0.0
    """Share of what the simulator's tools return."""
    flipped_judgements: float = 0.0
    """Share of what the simulator judges."""
    retry_after_s: float = 1.0
    slow_body_s: float = 1.0
    seed: int = 0
    log: str = ""
    """A file of JSON lines, one a request; empty for none."""
    log_bodies: bool = True
    api_key_env: str = ""
    """The environment variable that holds the key which clients must send; empty for none."""
    reasoning_model: bool = False
    show_reasoning: ShowReasoning | None = None

    def apply_to(self, kind: type[C]) -> C:
        """A conduct of this kind, so set. Raises `ConfigError`."""
        limited = self.rpm is not None or self.tpm is not None
        faults = Faults.parse(
            self.fault, retry_after_s=self.retry_after_s, slow_body_s=self.slow_body_s
        )
        return kind(
            latency=Latency.parse(self.latency),
            quota=Quota(self.rpm, self.tpm, burst_s=self.burst_s) if limited else None,
            faults=faults,
            lies=Lies(
                wrong_observations=self.wrong_observations,
                flipped_judgements=self.flipped_judgements,
            ),
            seed=self.seed,
            api_key=self._key(),
            reasoning_model=self.reasoning_model,
            show_reasoning=self.show_reasoning,
            log=RequestLog(keep=False, bodies=self.log_bodies, path=self.log or None),
        )

    def _key(self) -> str | None:
        if not self.api_key_env:
            return None
        key = os.environ.get(self.api_key_env)
        if not key:
            raise ConfigError(f"the environment variable {self.api_key_env} holds no key")
        return key


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `ServerOptions`."""
    add = parser.add_argument
    add("--latency", default="none")
    add("--rpm", type=float)
    add("--tpm", type=float)
    add("--burst-s", type=float, default=1.0)
    add("--fault", action="append", default=[])
    add("--wrong-observations", type=float, default=0.0)
    add("--flipped-judgements", type=float, default=0.0)
    add("--retry-after-s", type=float, default=1.0)
    add("--slow-body-s", type=float, default=1.0)
    add("--seed", type=int, default=0)
    add("--log", default="")
    add("--log-bodies", action=argparse.BooleanOptionalAction, default=True)
    add("--api-key-env", default="")
    add("--reasoning-model", action="store_true")
    add("--show-reasoning", choices=get_args(ShowReasoning))


def options_from(arguments: argparse.Namespace) -> ServerOptions:
    """What the flags said."""
    given = {name: getattr(arguments, name) for name in ServerOptions.__struct_fields__}
    return msgspec.convert(given, ServerOptions)
