"""Runs of rollouts that are killed again and again, held against one that was left alone."""

import json
import re
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec
from simia_store import (
    CallRecord,
    FactRecord,
    Reader,
    RunStatus,
    StoreError,
    TrajectoryRecord,
    TrajectoryStatus,
    TurnRecord,
)
from simia_store.checks import check

from simia_async.config import SCRIPTED_AGENT
from simia_async.testing import ScriptedServer

SIMIA = [sys.executable, "-c", "from simia_async.cli.main import main; main()"]
TOLD = re.compile(r"at most (\d+) calls were in flight and are made again")

Moment = Callable[[], Awaitable[None]]
"""Returns when the run is to be killed."""


class Sight(msgspec.Struct):
    """What the database of a run shows at one moment: all that was acknowledged, and more."""

    trajectories: dict[int, TrajectoryRecord] = {}
    turns: dict[int, list[TurnRecord]] = {}
    facts: list[FactRecord] = []
    calls: list[CallRecord] = []

    def running(self) -> list[int]:
        """Conversations that were cut off."""
        running = TrajectoryStatus.RUNNING
        return [number for number, each in self.trajectories.items() if each.status == running]


class Kills(msgspec.Struct):
    """What was seen of a run that was killed again and again."""

    count: int = 0
    cut_off: int = 0
    """Conversations under way at the kills, summed up."""
    went_on: int = 0
    """Those among them that had had turns, kept these and had more of them later."""
    told_calls: int = 0
    last: dict[str, Any] = {}
    """What the last session printed."""
    last_s: float = 0.0


def look(run: Path) -> Sight:
    """Read it as another process would; nothing, if it is not there yet."""
    try:
        with Reader(run) as reader:
            trajectories = {each.id: each for each in reader.trajectories()}
            turns = {number: reader.turns(number) for number in trajectories}
            return Sight(trajectories, turns, list(reader.all(FactRecord)), list(reader.calls()))
    except StoreError:
        return Sight()


def check_still_there(before: Sight, after: Sight) -> None:
    """Nothing that was stored is lost, changed or repeated."""
    for number, trajectory in before.trajectories.items():
        turns = before.turns[number]
        assert after.turns[number][: len(turns)] == turns, "a stored turn has changed"
        if trajectory.status != TrajectoryStatus.RUNNING:
            assert after.trajectories[number] == trajectory, "a conversation ended twice"
            assert after.turns[number] == turns, "a conversation went on after its end"
    for turns in after.turns.values():
        assert [turn.position for turn in turns] == list(range(len(turns)))
    assert after.facts[: len(before.facts)] == before.facts, "a stored fact has changed"
    assert after.calls[: len(before.calls)] == before.calls, "a stored call has changed"


def rollout_command(server: ScriptedServer, run: Path, environment: str, **flags: int) -> list[str]:
    """`simia rollout` with the scripted agent, all of it played by one server."""
    numbers = [part for name, value in flags.items() for part in (f"--{name}", str(value))]
    world = ["--base-url", server.base_url, "--simulator-model", "world", "--api-key-env", ""]
    policy = ["--policy-url", server.base_url, "--policy-model", SCRIPTED_AGENT]
    flags_of_run = ["--env", environment, "--run", str(run), "--json", "--policy-api-key-env", ""]
    return [
        *SIMIA,
        "rollout",
        *flags_of_run,
        *policy,
        *world,
        *[n.replace("_", "-") for n in numbers],
    ]


async def session(command: list[str], kills: Kills, moment: Moment | None = None) -> None:
    """One session; with a moment it is killed then, and must not have ended before."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = await anyio.open_process(command, stdout=out, stderr=err)
        if moment is not None:
            await moment()
            process.send_signal(signal.SIGKILL)
        code = await process.wait()
        for stream in (out, err):
            stream.seek(0)
        said = err.read().decode()
        assert code == (0 if moment is None else -signal.SIGKILL), said
        if told := TOLD.search(said):
            kills.told_calls += int(told[1])
        if moment is None:
            kills.last = json.loads(out.read())
            kills.last_s = time.monotonic() - started


async def kill_and_go_on(command: list[str], run: Path, moments: Sequence[Moment]) -> Kills:
    """Kill a run at these moments, each counted from the start of a session, then let it end."""
    kills, seen = Kills(), Sight()
    for moment in [*moments, None]:
        await session(command, kills, moment)
        now = await anyio.to_thread.run_sync(look, run)
        check_still_there(seen, now)
        cut = seen.running()
        kills.went_on += sum(0 < len(seen.turns[n]) < len(now.turns[n]) for n in cut)
        kills.cut_off += len(now.running())
        seen = now
    kills.count = len(moments)
    return kills


def conversations(sight: Sight) -> dict[int, Any]:
    """Every conversation, word for word, and what came of it."""
    return {
        number: (
            [_turn(turn) for turn in sight.turns[number]],
            (each.stop_reason, each.reward, each.reason, each.status, each.detail),
        )
        for number, each in sight.trajectories.items()
    }


def _turn(turn: TurnRecord) -> tuple[Any, ...]:
    # Which rollout of a group asked for a fact, and which were told of it, is a matter of time.
    source = "told" if turn.source == "fact" else turn.source
    if turn.role == "tool" and source == "llm" and not turn.ops:
        source = "told"
    return turn.role, turn.message, source, turn.is_error, turn.ops, turn.ends


def facts(sight: Sight) -> list[tuple[Any, ...]]:
    """Every fact, whenever it came about."""
    return sorted(
        (each.group_id or 0, each.trajectory_id or 0, each.call, each.observation, str(each.ops))
        for each in sight.facts
    )


def check_books(server: ScriptedServer, end: Sight, kills: Kills) -> None:
    """No request is missing from the ledger, and what may have been paid in vain was told."""
    asked = [each for each in server.log if each.path.endswith("/chat/completions")]
    lost = sum(call.status == "CutOff" for call in end.calls)
    answered = sum(call.status == "ok" for call in end.calls)
    assert len(asked) - answered <= lost == kills.told_calls <= kills.cut_off
    assert kills.last["spending"]["lost_calls"] == lost


def check_same_end(killed: Path, whole: Path) -> None:
    """The run that was killed has come to the end of the one that was not."""
    end, undisturbed = look(killed), look(whole)
    for run in (killed, whole):
        assert check(run).problems == []
        with Reader(run) as reader:
            assert reader.run().status == RunStatus.DONE
    assert conversations(end) == conversations(undisturbed)
    assert facts(end) == facts(undisturbed)
    assert len({fact[:3] for fact in facts(end)}) == len(end.facts), "a fact was made twice"
