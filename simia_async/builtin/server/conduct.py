"""How a server behaves. Everything in it may be changed while the server runs."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from simia_async.builtin.server.completions import ShowReasoning
from simia_async.builtin.server.draws import draw
from simia_async.builtin.server.faults import Fault, Faults
from simia_async.builtin.server.latency import Latency, as_latency
from simia_async.builtin.server.lies import Lies
from simia_async.builtin.server.log import RequestLog, RequestRecord
from simia_async.builtin.server.protocol import ChatRequest
from simia_async.builtin.server.quota import Quota
from simia_async.config import SCRIPTED
from simia_async.supervision.bearer import is_same_key

Answer = str | dict[str, Any] | None
Respond = Callable[[ChatRequest], Answer | Awaitable[Answer]]
"""Answers a request: the text, a message in wire format (`finish_reason` may be among its fields),
or None to leave it to the server."""


class Conduct:
    """The settings of a scripted server, and what it has seen.

    latency: a `Latency`, its words (`"lognormal:1.0,0.5"`) or seconds. Default: none.
    quota: rate limits; None is none.
    faults: what goes wrong, and how often. Default: nothing.
    lies: what is untrue in the simulator's answers, and how often. Default: nothing.
    seed: of everything that is drawn. What is drawn depends on it, on the request's body and on how
        often that body was seen before, and on nothing else: not on the order of arrival.
    respond: answers prompts that are not the simulator's own.
    api_key: what requests must bring; None lets everybody in.
    models: what `/v1/models` lists. Requests may name any model.
    reasoning_model: refuses `max_tokens` and any `temperature` but 1, and counts reasoning tokens,
        as OpenAI's reasoning models do.
    show_reasoning: where the reasoning is to be seen; None hides it.
    log: a `RequestLog`, or False to keep nothing; `log_bodies=False` keeps no bodies.
    Raises `ConfigError`.
    """

    def __init__(
        self,
        *,
        latency: Latency | str | float | None = None,
        quota: Quota | None = None,
        faults: Faults | None = None,
        lies: Lies | None = None,
        seed: int = 0,
        respond: Respond | None = None,
        api_key: str | None = None,
        models: tuple[str, ...] = (SCRIPTED,),
        reasoning_model: bool = False,
        show_reasoning: ShowReasoning | None = None,
        log: RequestLog | bool = True,
        log_bodies: bool = True,
    ) -> None:
        self._latency = as_latency(latency)
        self._quota = quota
        self._api_key = api_key
        self._seen: dict[str, int] = {}
        self.faults = faults or Faults()
        self.lies = lies or Lies()
        self.seed = seed
        self.respond = respond
        self.models = models
        self.reasoning_model = reasoning_model
        self.show_reasoning = show_reasoning
        self.log = RequestLog(keep=log, bodies=log_bodies) if isinstance(log, bool) else log
        self.down: bool | float = False
        """True: every request gets 503. A number: until `time.monotonic()` is that."""

    @property
    def latency(self) -> Latency:
        """How long answers take."""
        return self._latency

    @latency.setter
    def latency(self, latency: Latency | str | float | None) -> None:
        self._latency = as_latency(latency)

    @property
    def quota(self) -> Quota | None:
        """The rate limits. New ones start with what the old ones have left."""
        return self._quota

    @quota.setter
    def quota(self, quota: Quota | None) -> None:
        if quota is not None and self._quota is not None and quota is not self._quota:
            quota.continue_from(self._quota, time.monotonic())
        self._quota = quota

    @property
    def is_down(self) -> bool:
        """Whether there is an outage now."""
        return self.down if isinstance(self.down, bool) else time.monotonic() < self.down

    @property
    def counts_attempts(self) -> bool:
        """Whether anything depends on how often a request was seen. To know it takes memory: about
        a hundred bytes for every different request.
        """
        drawn = self.faults != Faults() or self.lies.are_told
        return self.log.active or self._latency.kind != "none" or drawn

    def lets_in(self, key: str | None) -> bool:
        """Whether a request with this key may pass."""
        if self._api_key is None:
            return True
        return key is not None and is_same_key(key, self._api_key)

    def attempt(self, identity: str) -> int:
        """How often this body was seen before; it now was once more."""
        seen = self._seen.get(identity, 0)
        self._seen[identity] = seen + 1
        return seen

    def draw_fault(self, record: RequestRecord) -> Fault | None:
        """The fault that strikes a request, if any does."""
        return self.faults.choose(self.chance("fault", record))

    def draw_latency(self, record: RequestRecord) -> float:
        """How many seconds a request takes."""
        return self._latency.quantile(self.chance("latency", record))

    def chance(self, about: str, record: RequestRecord) -> float:
        """A number between 0 and 1 that is this request's own."""
        return draw(self.seed, about, record.identity, record.attempt)
