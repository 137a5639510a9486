"""Instruments to test a pipeline with: an endpoint that behaves as badly as it is told to.

    async with ScriptedServer(latency="lognormal:1.0,0.5", faults=Faults(rate_limit=0.2)) as server:
        ...  # ask server.base_url
        assert len(server.log.served()) == 100

It is rule-based, not an LLM. `Quota` and `Latency` can be used without a server, with any clock.
"""

from simia_async.builtin.server.completions import completion
from simia_async.builtin.server.faults import FAULTS, Fault, Faults
from simia_async.builtin.server.latency import Latency
from simia_async.builtin.server.lies import Lies
from simia_async.builtin.server.log import RequestLog, RequestRecord
from simia_async.builtin.server.protocol import ChatRequest
from simia_async.builtin.server.quota import Quota, QuotaStatistics, Verdict
from simia_async.builtin.server.scripted import ScriptedServer
from simia_async.builtin.shaped import CannotShape, shaped

__all__ = [
    "FAULTS",
    "CannotShape",
    "ChatRequest",
    "Fault",
    "Faults",
    "Latency",
    "Lies",
    "Quota",
    "QuotaStatistics",
    "RequestLog",
    "RequestRecord",
    "ScriptedServer",
    "Verdict",
    "completion",
    "shaped",
]
