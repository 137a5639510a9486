"""The owner's writer: it holds back who is too fast, says that it lives, and syncs if told."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from simia_store import MetricRecord, Reader, StoreError, has_owner, open_store
from simia_store.writer import Store

_QUEUE = 10_000


async def until(condition: Callable[[], Any]) -> Any:
    for _ in range(600):
        if value := condition():
            return value
        await asyncio.sleep(0.01)
    raise AssertionError("waited in vain")


async def append(store: Store, number: int) -> None:
    await store.append(MetricRecord(number, "n", 1.0))


async def test_appends_beyond_the_queue_wait_and_all_land(tmp_path: Path) -> None:
    count = 3 * _QUEUE + 7
    most = 0
    async with open_store(tmp_path / "run.db") as store:

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, store.statistics().waiting)
                await asyncio.sleep(0)

        watcher = asyncio.create_task(watch())
        await asyncio.gather(*(append(store, number) for number in range(count)))
        watcher.cancel()
        statistics = store.statistics()
    assert most <= _QUEUE, "callers were not held back"
    assert (statistics.waiting, statistics.failed) == (0, 0)
    with Reader(tmp_path / "run.db") as reader:
        # In the order in which they came, those that were held back included.
        assert [metric.step for metric in reader.all(MetricRecord)] == list(range(count))


async def test_who_is_held_back_when_the_store_closes_is_told(tmp_path: Path) -> None:
    async with open_store(tmp_path / "run.db") as store:
        # None of them has run when the store closes: those within the queue are written, the
        # others are refused, and nobody waits for ever.
        appends = [asyncio.create_task(append(store, n)) for n in range(_QUEUE + 50)]
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        results = await asyncio.gather(*appends, return_exceptions=True)
    refused = {n for n, result in enumerate(results) if result is not None}
    assert all(isinstance(results[n], StoreError) for n in refused)
    with Reader(tmp_path / "run.db") as reader:
        written = {metric.step for metric in reader.metrics("n")}
    assert written == set(range(_QUEUE + 50)) - refused


async def test_an_append_whose_caller_is_cancelled_is_written_all_the_same(tmp_path: Path) -> None:
    async with open_store(tmp_path / "run.db") as store:
        task = asyncio.create_task(append(store, 1))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await append(store, 2)
        with Reader(store.path) as reader:
            assert [metric.step for metric in reader.metrics("n")] == [1, 2]


async def test_an_owner_says_that_it_lives_and_when_it_ended(tmp_path: Path) -> None:
    async with open_store(tmp_path / "run.db") as store:
        with Reader(store.path) as reader:
            [first] = reader.sessions()
            assert has_owner([first])
            await until(lambda: reader.sessions()[0].beat_at > first.beat_at)
            assert reader.sessions()[0].ended_at is None
    with Reader(tmp_path / "run.db") as reader:
        [session] = reader.sessions()
    assert not has_owner([session])
    assert session.started_at == first.started_at <= (session.ended_at or 0) <= time.time()
    assert session.beat_at == session.ended_at


async def test_sessions_follow_each_other(tmp_path: Path) -> None:
    for _ in range(3):
        async with open_store(tmp_path / "run.db"):
            pass
    with Reader(tmp_path / "run.db") as reader:
        sessions = reader.sessions()
    assert [session.id for session in sessions] == [1, 2, 3]
    assert all(session.ended_at is not None for session in sessions)


@pytest.mark.parametrize(("durable", "synchronous"), [(False, 1), (True, 2)])
async def test_durable_means_synchronous_full(
    tmp_path: Path, durable: bool, synchronous: int
) -> None:
    async with open_store(tmp_path / "run.db", durable=durable) as store:
        rows = await store._database.execute_fetchall("PRAGMA synchronous")
        assert list(rows) == [(synchronous,)]


async def test_a_cancelled_owner_ends_its_session_and_writes_what_waits(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def own() -> None:
        async with open_store(tmp_path / "run.db") as store:
            waiting = [asyncio.create_task(append(store, n)) for n in range(100)]
            await asyncio.sleep(0)
            begun.set()
            await asyncio.gather(*waiting)
            await asyncio.sleep(60)

    owner = asyncio.create_task(own())
    await begun.wait()
    owner.cancel()
    with pytest.raises(asyncio.CancelledError):
        await owner
    with Reader(tmp_path / "run.db") as reader:
        assert len(reader.metrics("n")) == 100
        assert reader.sessions()[0].ended_at is not None


OPENS = """
import sys
from pathlib import Path
import anyio
from simia_store import StoreError, open_store

async def main():
    async with open_store(Path(sys.argv[1])):
        pass

try:
    anyio.run(main)
except StoreError as error:
    print(error)
"""


def test_a_store_that_cannot_be_opened_leaves_no_thread_behind(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    path.write_text("one,two\n" * 1000)
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", OPENS, str(path)],
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
        assert (done.stdout.count("not a run database"), done.stderr) == (1, "")
