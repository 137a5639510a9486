"""An endpoint that plays a run's policy and its world, and whose roles can be told to say something
else; and runs of rollouts against it.
"""

import inspect
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec
from aiohttp import web
from simia_store import CallRecord, CommandRecord, Reader, TurnRecord, send_command, wait_for_answer

from simia_async.builtin.mini_retail import MINI_RETAIL
from simia_async.builtin.server.answering import reply_to
from simia_async.builtin.server.completions import Reply, whole
from simia_async.builtin.server.conduct import Conduct
from simia_async.builtin.server.protocol import ChatRequest
from simia_async.builtin.templates import TEMPLATES, draw_task
from simia_async.config import SCRIPTED_AGENT, Endpoint, RolloutConfig
from simia_async.config.roles import PolicyEndpoint
from simia_async.runs.rollout import run_rollouts
from simia_async.runs.rollout_tally import RolloutResult
from simia_async.simulation.prompts import read_sections
from tests.conftest import serve

CANCELLING = draw_task(MINI_RETAIL, TEMPLATES[5], 1, "train")
"""An order is to be cancelled: the agent looks it up, and then calls what the simulator answers."""

Saying = str | Reply | web.Response | None
Say = Callable[[ChatRequest], Saying | Awaitable[Saying]]
"""What is said instead; None: what would have been said anyway."""


def role_of(request: ChatRequest) -> str:
    """Who is asked: a role of the simulator, or `policy`."""
    if "<environment>\n" not in request.prompt:
        return "policy"
    return str(read_sections(request.prompt)["environment"]["role"])


class Playhouse:
    """Policy, user, tools and judge of the scripted worlds, behind one URL."""

    def __init__(self) -> None:
        self.base_url = ""
        self.instead: dict[str, Say] = {}
        """By role."""
        self.asked: Counter[str] = Counter()
        """Calls by role."""
        self.in_flight = 0
        self.most_in_flight = 0
        self._scripted = Conduct(log=False)

    async def handle(self, http: web.Request) -> web.Response:
        request = msgspec.json.decode(await http.read(), type=ChatRequest)
        request.raw = msgspec.json.decode(await http.read())
        role = role_of(request)
        self.asked[role] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            said = await self._said(role, request)
        finally:
            self.in_flight -= 1
        if isinstance(said, web.Response):
            return said
        return web.json_response(whole(said, request.model, request.prompt_tokens))

    async def _said(self, role: str, request: ChatRequest) -> Reply | web.Response:
        said = self.instead[role](request) if role in self.instead else None
        said = await said if inspect.isawaitable(said) else said
        if said is None:
            return await reply_to(self._scripted, request, "")
        return Reply(said) if isinstance(said, str) else said

    def simulator(self, **settings: Any) -> Endpoint:
        """Where a run finds its world. It does not ask again for long."""
        known = {"retry_budget_s": 0.01, "max_backoff_s": 0.01, "api_key_env": "", **settings}
        return Endpoint(base_url=self.base_url, model="world", **known)

    def policy(self, **settings: Any) -> PolicyEndpoint:
        """Where a run finds its policy."""
        known = {"retry_budget_s": 0.01, "api_key_env": "", **settings}
        return PolicyEndpoint(base_url=self.base_url, model=SCRIPTED_AGENT, **known)


@asynccontextmanager
async def playhouse() -> AsyncIterator[Playhouse]:
    """One that is open."""
    house = Playhouse()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", house.handle)
    async with serve(app) as house.base_url:
        yield house


def config_at(house: Playhouse, **settings: Any) -> RolloutConfig:
    """A small run against it."""
    known = {"tasks": 1, "group_size": 1, "max_turns": 14, **settings}
    return RolloutConfig(**{"policy": house.policy(), "simulator": house.simulator(), **known})


async def roll(config: RolloutConfig, run: Path, **more: Any) -> RolloutResult:
    """Play a run to its end."""
    return await run_rollouts(config, run, report=lambda _: None, **more)


async def command(run: Path, name: str, **arguments: Any) -> CommandRecord:
    """Ask a run's owner for something as another process would, and wait for its answer."""
    number = await anyio.to_thread.run_sync(lambda: send_command(run, name, **arguments))
    return await anyio.to_thread.run_sync(wait_for_answer, run, number, 10.0)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something has come about; for ten seconds at most."""
    with anyio.fail_after(10):
        while not is_so():  # noqa: ASYNC110 (what is waited for tells nobody)
            await anyio.sleep(0.005)


def turns_of(run: Path) -> dict[int, list[TurnRecord]]:
    """Every conversation that a run holds; each is whole, its turns in order and none twice."""
    with Reader(run) as reader:
        turns = {each.id: reader.turns(each.id) for each in reader.trajectories()}
    for its in turns.values():
        assert [turn.position for turn in its] == list(range(len(its)))
    return turns


def calls_of(run: Path) -> list[CallRecord]:
    """The ledger."""
    with Reader(run) as reader:
        return list(reader.calls())


def failing(status: int, code: str = "", message: str = "no") -> Say:
    """An endpoint that refuses."""
    error = {"error": {"message": message, "code": code}}
    return lambda _: web.json_response(error, status=status)


def once_held(first: int, gate: anyio.Event, here: anyio.Event) -> Say:
    """Speaks as ever, but the `first`-th answer and all that follow wait for the gate."""
    asked = 0

    async def wait(_: ChatRequest) -> None:
        nonlocal asked
        asked += 1
        if asked >= first:
            here.set()
            await gate.wait()

    return wait
