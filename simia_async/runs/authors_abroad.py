"""Trajectories that are written in workers: both ends."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Self

import msgspec
from simia_store import CallRecord

from simia_async.clients import ChatClient
from simia_async.clients.governor import Governor
from simia_async.config import Endpoint, GenerateConfig
from simia_async.environments import Environment
from simia_async.errors import EndpointError
from simia_async.runs.authoring import Author
from simia_async.runs.harvest import Finished, Told
from simia_async.runs.lost import lost_call
from simia_async.runs.shipping import Parcel, ship, unship
from simia_async.synthesis.dedupe import Sketch
from simia_async.synthesis.plans import Plan
from simia_async.synthesis.rules import Verdict
from simia_async.workers.failures import Failure
from simia_async.workers.frames import Kept, as_raw
from simia_async.workers.host import Job, OwnersRecord
from simia_async.workers.link import WorkerLost
from simia_async.workers.pool import Pool

JOB = "generate"
_GOVERNOR = "simulator"


class Given(msgspec.Struct, frozen=True):
    """What all trajectories have in common."""

    config: GenerateConfig
    environment: Parcel
    endpoint: Endpoint


class Answer(msgspec.Struct, frozen=True):
    """What a worker has written, or failed to."""

    calls: list[CallRecord]
    verdict: Verdict | None = None
    slips: list[str] = []
    fingerprint: str | None = None
    """None where the rules have rejected it."""
    sketch: bytes | None = None
    failure: Failure | None = None

    @classmethod
    def of(cls, finished: Finished, calls: list[CallRecord]) -> Self:
        """The answer that tells what has come of a plan."""
        told = finished.told
        sketch = told.sketch.as_bytes() if told and told.sketch else None
        fingerprint = told.fingerprint if told else None
        return cls(calls, finished.verdict, finished.slips, fingerprint, sketch)

    def finished(self) -> Finished:
        """What has come of the plan. Raises the `EndpointError` that kept it from being written."""
        if self.failure is not None:
            raise self.failure.as_error()
        assert self.verdict is not None
        told = None
        if self.fingerprint is not None:
            sketch = Sketch.from_bytes(self.sketch) if self.sketch else None
            told = Told(self.fingerprint, sketch)
        return Finished(self.verdict, told, self.slips)


_decode_given = msgspec.json.Decoder(Given).decode
_decode_plan = msgspec.json.Decoder(Plan).decode
_decode_answer = msgspec.json.Decoder(Answer).decode


def given_to_authors(
    config: GenerateConfig, environment: Environment, client: ChatClient
) -> msgspec.Raw:
    """What workers are told before they write."""
    return as_raw(Given(config, ship(environment), client.endpoint))


class AuthorsAbroad:
    """The owner's end: has every plan written by some worker."""

    def __init__(self, pool: Pool, client: ChatClient) -> None:
        self._pool = pool
        self._client = client

    async def write(self, plan: Plan, ledger: list[CallRecord]) -> Finished:
        """One conversation; asked again elsewhere when its worker dies. Raises `EndpointError`."""

        async def enter(records: list[Kept]) -> bool:
            # A worker that leaves a plan tells what that has cost; it is stored with the rest.
            self._charge([each for each in records if isinstance(each, CallRecord)], ledger)
            return False

        while True:
            worker = await self._pool.pick()
            try:
                told = await worker.do(plan.index, as_raw(plan), enter)
            except WorkerLost:
                ledger.append(lost_call(self._client.endpoint, "author", plan.index))
                self._client.spending.lose(1)
                continue
            answer = _decode_answer(told)
            self._charge(answer.calls, ledger)
            return answer.finished()

    def _charge(self, calls: list[CallRecord], ledger: list[CallRecord]) -> None:
        ledger += calls
        for call in calls:
            self._client.spending.charge(call)


class AuthorJob:
    """A worker's end."""

    def __init__(self, author: Author, client: ChatClient, record: OwnersRecord) -> None:
        self.governors: Mapping[str, Governor] = {_GOVERNOR: client.governor}
        self._author = author
        self._record = record

    async def do(self, number: int, given: msgspec.Raw) -> Answer:  # noqa: ARG002 (the plan has it)
        """Write one conversation."""
        calls: list[CallRecord] = []
        try:
            finished = await self._author.write(_decode_plan(given), calls)
        except EndpointError as error:
            return Answer(calls, failure=Failure.of(error))
        except BaseException:
            await self._record.append(*calls)
            raise
        return Answer.of(finished, calls)

    def hold(self, *, held: bool) -> None:
        """A trajectory is one call: there is nothing to hold."""

    def spend(self) -> None:
        """One that has begun is never cut off."""

    def cancel(self, number: int) -> None:
        """None can be cancelled alone."""

    def forget(self, group: int) -> None:
        """They come in no groups."""


@asynccontextmanager
async def open_authors(given: msgspec.Raw, record: OwnersRecord) -> AsyncIterator[Job]:
    """A worker's end, connected."""
    told = _decode_given(given)
    environment = unship(told.environment)
    async with ChatClient.connect(told.endpoint) as client:
        yield AuthorJob(Author(told.config, environment, client), client, record)
