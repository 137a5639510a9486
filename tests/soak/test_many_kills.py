"""Runs killed again and again, against a server that keeps its own books: what was committed
stays, the run comes to the same end, and what was paid twice is told and counted.
"""

import json
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec
import pytest
from simia_store import (
    CallRecord,
    Reader,
    RunStatus,
    StoreError,
    TrajectoryRecord,
    TrajectoryStatus,
)
from simia_store.checks import check

from simia_async.testing import RequestRecord, ScriptedServer

SIMIA = [sys.executable, "-c", "from simia_async.cli.main import main; main()"]
TOLD = re.compile(r"at most (\d+) calls were in flight and are made again(?:, \$([\d.]+))?")


class Sight(msgspec.Struct):
    """What the database of a run shows at one moment."""

    ended: dict[int, tuple[TrajectoryRecord, list[dict[str, Any]]]] = {}
    """Trajectories that will not be asked again, with their messages."""
    running: int = 0
    calls: list[CallRecord] = []


def look(run: Path, before: Sight) -> Sight:
    try:
        with Reader(run) as reader:
            trajectories = list(reader.trajectories())
            ended = {
                t.id: (t, [turn.message for turn in reader.turns(t.id)])
                for t in trajectories
                if t.status != TrajectoryStatus.RUNNING and t.boundary != "simulator"
            }
            running = sum(t.status == TrajectoryStatus.RUNNING for t in trajectories)
            return Sight(ended, running, list(reader.calls()))
    except StoreError:
        if before.calls:
            raise
        return before  # not there yet


class Kills(msgspec.Struct):
    """What was seen of a run that was killed again and again."""

    in_flight: int = 0
    """Calls at the kills, summed up: one for each trajectory that had begun and not ended."""
    told_calls: int = 0
    told_usd: float = 0.0
    last: dict[str, Any] = {}
    """What the last session printed."""
    last_s: float = 0.0
    """How long that one took."""


def check_still_there(before: Sight, after: Sight) -> None:
    for number, (acknowledged, messages) in before.ended.items():
        now, its_messages = after.ended[number]
        assert its_messages == messages, "an acknowledged conversation has changed"
        if acknowledged.status != TrajectoryStatus.PASSED:
            assert now == acknowledged, "an acknowledged trajectory has changed"
    assert after.calls[: len(before.calls)] == before.calls, "a stored call has changed"


async def generate(command: list[str], kills: Kills, kill_after_s: float | None) -> None:
    """One session; with `kill_after_s` it is killed, and must not have ended by then."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = await anyio.open_process(command, stdout=out, stderr=err)
        if kill_after_s is not None:
            await anyio.sleep(kill_after_s)
            process.send_signal(signal.SIGKILL)
        code = await process.wait()
        for stream in (out, err):
            stream.seek(0)
        said = err.read().decode()
        assert code == (0 if kill_after_s is None else -signal.SIGKILL), said
        if told := TOLD.search(said):
            kills.told_calls += int(told[1])
            kills.told_usd += float(told[2] or 0)
        if kill_after_s is None:
            kills.last = json.loads(out.read())
            kills.last_s = time.monotonic() - started


async def kill_and_go_on(command: list[str], run: Path, moments: Iterator[float]) -> Kills:
    kills = Kills()
    seen = Sight()
    for moment in moments:
        await generate(command, kills, moment)
        now = await anyio.to_thread.run_sync(look, run, seen)
        check_still_there(seen, now)
        kills.in_flight += now.running
        seen = now
    await generate(command, kills, None)
    check_still_there(seen, look(run, seen))
    return kills


def command_for(server: ScriptedServer, run: Path, wanted: int, at_once: int) -> list[str]:
    endpoint = ["--base-url", server.base_url, "--simulator-model", "world", "--api-key-env", ""]
    prices = ["--usd-in", "1", "--usd-out", "5", "--max-in-flight", str(at_once)]
    flags = ["-n", str(wanted), "--run", str(run), "--json", "--no-prefilter"]
    return [*SIMIA, "generate", *flags, *endpoint, *prices]


def asked(server: ScriptedServer) -> list[RequestRecord]:
    return [record for record in server.log if record.path.endswith("/chat/completions")]


def check_books(server: ScriptedServer, kills: Kills, end: Sight) -> None:
    """The record against what the server was asked, answered or not."""
    requests = asked(server)
    answered = Counter(r.identity for r in requests if r.status == 200)
    paid_twice = sum(count - 1 for count in answered.values())
    assert paid_twice <= kills.in_flight
    assert paid_twice <= kills.told_calls
    lost = sum(call.status == "CutOff" for call in end.calls)
    # A provider may charge for what nobody waited for, so every request counts as paid.
    asked_again = len(requests) - len(Counter(r.identity for r in requests))
    assert asked_again <= lost <= kills.told_calls
    price = {c.trajectory_id: c.cost_usd or 0.0 for c in end.calls if c.status == "ok"}
    paid = sum(price[r.body["seed"]] for r in requests)
    recorded = sum(price.values())
    spending = kills.last["spending"]
    assert spending["spent_usd"] >= paid
    assert spending["lost_usd"] >= paid - recorded
    twice_usd = sum(price[r.body["seed"]] for r in requests if r.status == 200) - recorded
    assert kills.told_usd >= twice_usd
    print(
        f"requests {len(requests)}, of them again {asked_again}, answered twice {paid_twice}; "
        f"in flight at the kills {kills.in_flight}, told {kills.told_calls}, ${kills.told_usd:.4f};"
        f" paid at worst ${paid:.4f}, counted ${spending['spent_usd']:.4f}"
    )


async def survive(
    place: Path, wanted: int, at_once: int, latency: str, moments: list[float]
) -> None:
    """Kill a run at these moments (seconds after its start) while its twin is left alone."""
    killed, whole = place / "killed.db", place / "whole.db"
    twin = Kills()
    async with ScriptedServer(latency=latency) as server, ScriptedServer(latency=latency) as other:
        async with anyio.create_task_group() as group:
            quiet = command_for(other, whole, wanted, at_once)
            group.start_soon(generate, quiet, twin, None)
            command = command_for(server, killed, wanted, at_once)
            kills = await kill_and_go_on(command, killed, iter(moments))
        end, undisturbed = look(killed, Sight()), look(whole, Sight())
        check_books(server, kills, end)
    for run in (killed, whole):
        assert check(run).problems == []
        with Reader(run) as reader:
            assert reader.run().status == RunStatus.DONE
    assert kept(end) == kept(undisturbed)
    assert len(kept(end)) == wanted
    print(f"without a kill it took {twin.last_s:.1f} s")


def kept(sight: Sight) -> dict[int, list[dict[str, Any]]]:
    """What was kept, word for word."""
    return {
        number: messages
        for number, (trajectory, messages) in sight.ended.items()
        if trajectory.status == TrajectoryStatus.KEPT
    }


@pytest.mark.soak
async def test_a_run_killed_thirty_times_is_the_run_that_was_not(tmp_path: Path) -> None:
    rng = random.Random(os.environ.get("SIMIA_SOAK_SEED", "0"))
    moments = [4.0, *(rng.uniform(0.3, 5.0) for _ in range(29))]
    await survive(tmp_path, 1000, 16, "lognormal:1.0,0.5", moments)
