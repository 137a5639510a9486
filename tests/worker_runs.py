"""Runs whose conversations are held in workers, and what becomes of those workers."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from simia_store import Reader, TrajectoryStatus

from simia_async.config import SCRIPTED_AGENT, Endpoint, PolicyEndpoint, RolloutConfig
from tests.killed_rollouts import conversations, facts, look
from tests.proc import children

PROGRAM = "simia_async.runs.worker"


def workers_of(owner: int) -> list[int]:
    """Pids of an owner's workers, oldest first."""
    return [pid for pid, command in children(owner).items() if PROGRAM in command]


def kept_by(run: Path) -> dict[int, Any]:
    """What a run of generation has kept, word for word."""
    with Reader(run) as reader:
        kept = list(reader.trajectories(status=TrajectoryStatus.KEPT))
        return {each.id: [turn.message for turn in reader.turns(each.id)] for each in kept}


def config_for(base_url: str, **settings: Any) -> RolloutConfig:
    """A run of the scripted agent in the scripted world, both behind one URL."""
    place = {"base_url": base_url, "api_key_env": ""}
    known: dict[str, Any] = {
        "policy": PolicyEndpoint(model=SCRIPTED_AGENT, **place),
        "simulator": Endpoint(model="world", **place),
    }
    return RolloutConfig(**{**known, **settings})


def check_same(one: Path, other: Path) -> None:
    """Both runs hold the same conversations, with the same ends, and the same facts."""
    assert conversations(look(one)) == conversations(look(other))
    assert facts(look(one)) == facts(look(other))


def sent_by(run: Path) -> list[float]:
    """When each call of a run was sent, by its sender's clock: a machine with much to do does not
    blur that, as it does when calls arrive.
    """
    return sorted(call.created_at - call.latency_s for call in look(run).calls if call.latency_s)


def check_within(times: Sequence[float], per_minute: float, burst: float) -> None:
    """In no stretch of time was more sent than the rate brings in, and `burst` beyond that."""
    asked, level, before = 0.0, burst, times[0]
    for time in times:
        level = min(burst, level + (time - before) * per_minute / 60) - 1
        asked, before = min(asked, level), time
    assert asked >= 0, f"{-asked:.1f} more than {per_minute:g} a minute"


async def until(is_so: Callable[[], bool], timeout_s: float = 60) -> None:
    """Wait until something has come about."""
    with anyio.fail_after(timeout_s):
        while not await anyio.to_thread.run_sync(is_so):  # noqa: ASYNC110 (another process)
            await anyio.sleep(0.01)


async def pids(count: int) -> list[int]:
    """Pids of this process's workers, when there are so many."""
    await until(lambda: len(workers_of(os.getpid())) == count)
    return workers_of(os.getpid())
