"""The record: what is acknowledged stays, whatever happens to the process that wrote it."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simia_store import (
    AdapterRecord,
    CallRecord,
    CommandRecord,
    CommandStatus,
    EnvironmentRecord,
    FactRecord,
    GroupRecord,
    MetricRecord,
    Reader,
    RoleUsage,
    RunRecord,
    RunStatus,
    StatisticsRecord,
    StoreError,
    TaskRecord,
    TrajectoryRecord,
    TrajectoryStatus,
    TurnRecord,
    open_store,
    usage_by_role,
)
from simia_store.compression import Decompressor
from simia_store.rows import from_row, insert_statement, to_row
from simia_store.schema import APPLICATION_ID, SCHEMA_VERSION, migrate

KEPT, REJECTED = TrajectoryStatus.KEPT, TrajectoryStatus.REJECTED


def trajectory(number: int, status: TrajectoryStatus = KEPT, **more: Any) -> TrajectoryRecord:
    return TrajectoryRecord(number, "mini-retail", f"task/{number}", status, **more)


EVERY_KIND: list[tuple[Any, Callable[[Reader], Any]]] = [
    (
        RunRecord("r1", "rl", {"n": 3}, RunStatus.FAILED, "stopped", 1.5, 2.5),
        lambda reader: reader.run(),
    ),
    (
        EnvironmentRecord("e", "Be kind.\n", [{"type": "function", "function": {"name": "f"}}]),
        lambda reader: reader.environment(),
    ),
    (GroupRecord(7, "t", 2, 1, 3, [1.0, None, 0.5]), lambda reader: reader.groups(2)[0]),
    (
        TrajectoryRecord(
            *(9, "e", "t", TrajectoryStatus.UNSCORED, "heldout", 7, 1, "judge_error", None),
            *("judge", None, "no answer", {"criteria": {"said": False}}, 1.25, 2.25),
        ),
        lambda reader: next(reader.trajectories()),
    ),
    (
        TurnRecord(
            *(9, 0, "assistant", {"content": "<think>…</think>é\x00"}, "llm", True),
            *([{"op": "add", "path": "/a", "value": None}], [1, 2], [3], [-0.125]),
        ),
        lambda reader: reader.turns(9)[0],
    ),
    (
        CallRecord(
            *(None, "judge", "http://h/v1", "m", 2, "BadReply", 0.5, 1, 2, 3, 4, 0.25, 0.01),
            *("no", 1.0),
        ),
        lambda reader: next(reader.calls()),
    ),
    (TaskRecord("t", "e", "heldout", {"a": [1]}), lambda reader: next(reader.tasks())),
    (
        FactRecord(3, None, "get {}", "1", False, [{"op": "add", "path": "/a", "value": 1}], 7.0),
        lambda reader: reader.facts(group_id=3)[0],
    ),
    (StatisticsRecord("governor", {"waiting": 1}, 8.0), lambda reader: reader.statistics()[0]),
    (
        CommandRecord(5, "stop", {"now": True}, 1.0, CommandStatus.REFUSED, "no", 2.0),
        lambda reader: reader.commands()[0],
    ),
    (MetricRecord(1, "loss", 0.1, 5.0), lambda reader: reader.metrics("loss")[0]),
    (AdapterRecord(1, "/a/1", None, 3, 6.0), lambda reader: reader.adapters()[0]),
]


@pytest.mark.parametrize(("record", "read"), EVERY_KIND, ids=lambda value: type(value).__name__)
async def test_a_record_comes_back_as_it_was_written(
    tmp_path: Path, record: Any, read: Callable[[Reader], Any]
) -> None:
    async with open_store(tmp_path / "run.db") as store:
        await store.append(record)
        with Reader(store.path) as reader:
            assert read(reader) == record


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.text()
    # JSON has no other numbers, and the store does not pretend it has.
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, database=None)
@given(st.dictionaries(st.text(), JSON_VALUES, max_size=4), st.text() | st.none())
def test_any_json_and_any_text_come_back_from_sqlite(message: dict[str, Any], text: str) -> None:
    record = TurnRecord(1, 0, "tool", message, source=text)
    with closing(sqlite3.connect(":memory:")) as database:
        migrate(database, 0)
        database.execute(insert_statement(TurnRecord), to_row(record))
        columns = ", ".join(TurnRecord.__struct_fields__)
        row = database.execute(f"SELECT {columns} FROM turns").fetchone()
    assert from_row(TurnRecord, row, Decompressor(lambda _: b"")) == record


async def test_events_name_the_rows_of_a_commit_as_runs_of_a_table(tmp_path: Path) -> None:
    async with open_store(tmp_path / "run.db") as store:
        with Reader(store.path) as reader:
            before = reader.events_after(0)[-1].sequence
            await store.append(
                *(TurnRecord(1, position, "user", {}) for position in range(3)),
                *(trajectory(number) for number in (7, 5, 6, 9)),
                EnvironmentRecord("e", "", []),
            )
            await store.append(TurnRecord(1, 3, "user", {}))
            written = [(e.kind, e.first, e.last) for e in reader.events_after(before)]
    assert written == [
        ("environments", 0, 0),
        ("trajectories", 5, 7),
        ("trajectories", 9, 9),
        ("turns", 1, 3),
        ("turns", 4, 4),
    ]


async def test_a_trajectory_written_again_replaces_itself_and_both_writes_are_events(
    tmp_path: Path,
) -> None:
    async with open_store(tmp_path / "run.db") as store:
        await store.append(trajectory(4, TrajectoryStatus.RUNNING))
        await store.append(trajectory(4, TrajectoryStatus.SCORED, reward=1.0))
        with Reader(store.path) as reader:
            (only,) = reader.trajectories()
            first, second = (e for e in reader.events_after(0) if e.kind == "trajectories")
            assert reader.events_after(first.sequence) == [second]
    assert (only.status, only.reward) == (TrajectoryStatus.SCORED, 1.0)
    assert (first.first, first.last) == (second.first, second.last) == (4, 4)


async def test_appends_that_arrive_at_once_all_land(tmp_path: Path) -> None:
    async with open_store(tmp_path / "run.db") as store:
        # More than the queue holds, so that some callers are held back.
        await asyncio.gather(*(store.append(MetricRecord(n, "n", n)) for n in range(10_500)))
        with Reader(store.path) as reader:
            assert sorted(metric.step for metric in reader.metrics("n")) == list(range(10_500))
        statistics = store.statistics()
    assert (statistics.waiting, statistics.failed) == (0, 0)
    assert statistics.appends >= 10_500 > 100 > statistics.commits > 0


async def test_the_reader_answers_by_status_group_cause_and_role(tmp_path: Path) -> None:
    async with open_store(tmp_path / "run.db") as store:
        await store.append(
            trajectory(3, group_id=1, stop_reason="user_done"),
            trajectory(1, REJECTED, boundary="rule", rejected_by="duplicate"),
            trajectory(2, REJECTED, boundary="simulator"),
            MetricRecord(1, "b", 1.0),
            MetricRecord(1, "a", 1.0),
            MetricRecord(2, "a", 2.0),
            CallRecord(1, "user", "e", "m", 1, "RateLimited", 0.1),
            CallRecord(1, "user", "e", "m", 2, "ok", 0.1, tokens_in=5, tokens_out=7, cost_usd=0.5),
        )
        with Reader(store.path) as reader:
            assert [t.id for t in reader.trajectories()] == [1, 2, 3]
            assert [t.id for t in reader.trajectories(status=REJECTED)] == [1, 2]
            assert [t.id for t in reader.trajectories(status=KEPT, group_id=1)] == [3]
            assert list(reader.trajectories(status=REJECTED, group_id=1)) == []
            assert reader.metric_names() == ["a", "b"]
            assert [metric.value for metric in reader.metrics("a")] == [1.0, 2.0]
            assert usage_by_role(reader.usage()) == [RoleUsage("user", 1, 1, 5, 7, 0.5)]
            assert len(reader.events_after(0, limit=3)) == 3
            assert [(o.status, o.cause, o.count) for o in reader.outcomes()] == [
                ("kept", "user_done", 1),
                ("rejected", "duplicate", 1),
                ("rejected", "simulator", 1),
            ]


async def test_an_empty_run_says_so(tmp_path: Path) -> None:
    async with open_store(tmp_path / "run.db") as store:
        with Reader(store.path) as reader:
            assert reader.run() is None
            with pytest.raises(StoreError, match="holds no environment"):
                reader.environment()


async def test_a_reader_can_tell_that_its_owner_has_written(tmp_path: Path) -> None:
    async with open_store(tmp_path / "run.db") as store:
        with Reader(store.path) as reader:
            before = reader.data_version()
            assert reader.data_version() == before
            await store.append(MetricRecord(1, "a", 1.0))
            assert reader.data_version() != before


async def test_new_trajectory_ids_go_on_where_the_last_owner_ended(tmp_path: Path) -> None:
    for expected in (1, 2):
        async with open_store(tmp_path / "run.db") as store:
            assert store.new_trajectory_id() == expected
            await store.append(trajectory(expected))


async def test_a_failed_write_leaves_nothing_behind_and_the_next_one_works(tmp_path: Path) -> None:
    async with open_store(tmp_path / "run.db") as store:
        await store.append(TurnRecord(1, 0, "user", {"content": "first"}))
        with pytest.raises(StoreError, match="UNIQUE") as caught:
            await store.append(MetricRecord(1, "lost", 1.0), TurnRecord(1, 0, "user", {}))
        assert str(store.path) in str(caught.value)
        await store.append(TurnRecord(1, 1, "assistant", {}))
        with Reader(store.path) as reader:
            assert reader.metrics("lost") == []
            assert [turn.message for turn in reader.turns(1)] == [{"content": "first"}, {}]


async def test_a_closed_store_takes_nothing_more(tmp_path: Path) -> None:
    async with open_store(tmp_path / "run.db") as store:
        pass
    with pytest.raises(StoreError, match="closed"):
        await store.append(MetricRecord(1, "a", 1.0))


OWNER = """
import sys
from pathlib import Path
import anyio
from simia_store import MetricRecord, open_store

async def main():
    async with open_store(Path(sys.argv[1])) as store:
        async def write(numbers):
            for number in numbers:
                await store.append(MetricRecord(number, "n", 1.0))
                print(number, flush=True)
        async with anyio.create_task_group() as group:
            for first in range(10):
                group.start_soon(write, range(first, int(sys.argv[2]), 10))
        await anyio.sleep_forever()

anyio.run(main)
"""


@contextmanager
def owner(path: Path, writes: int) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that owns the run, and has written to it."""
    command = [sys.executable, "-c", OWNER, str(path), str(writes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline(), "the owner did not start"
            yield process
        finally:
            process.kill()


def test_acknowledged_writes_survive_kill_9(tmp_path: Path) -> None:
    with owner(tmp_path / "run.db", writes=10**9) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline() for _ in range(100)]
        os.kill(process.pid, signal.SIGKILL)
        # The last line may have been cut off in the middle.
        acknowledged += [line for line in process.stdout.readlines() if line.endswith(b"\n")]
        assert process.wait() == -signal.SIGKILL
    with Reader(tmp_path / "run.db") as reader:
        written = {metric.step for metric in reader.metrics("n")}
    assert set(map(int, acknowledged)) <= written


async def test_a_second_owner_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    with owner(tmp_path / "run.db", writes=1) as process:
        with pytest.raises(StoreError, match=rf"\(pid {process.pid}\) owns this run"):
            async with open_store(tmp_path / "run.db"):
                pass
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        # No stale lock has to be cleaned up: it died with its owner.
        async with open_store(tmp_path / "run.db") as store:
            await store.append(MetricRecord(1, "n", 2.0))


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import anyio
from simia_store import StoreError, TurnRecord, open_store

async def main():
    async with open_store(Path(sys.argv[1])) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
        position = 0
        try:
            while position < 1000:
                await store.append(TurnRecord(1, position, "user", {"content": "x" * 50_000}))
                position += 1
        except StoreError as error:
            print(position, error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await store.append(TurnRecord(1, position, "user", {"content": "room again"}))

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
anyio.run(main)
"""


def test_a_full_disk_is_a_store_error_and_not_the_end_of_the_record(tmp_path: Path) -> None:
    # A limit on file size is as near to a full disk as a test gets without mounting one.
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "run.db")]
    said = subprocess.run(command, capture_output=True, text=True)
    assert (said.returncode, said.stderr) == (0, "")
    acknowledged, what = said.stdout.split(" ", 1)
    assert "run.db: not written: " in what
    with Reader(tmp_path / "run.db") as reader:
        turns = reader.turns(1)
    assert [turn.position for turn in turns] == list(range(int(acknowledged) + 1))
    assert turns[-1].message == {"content": "room again"}


def made(path: Path, application_id: int, version: int) -> Path:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE recipes (name TEXT)")
        database.execute(f"PRAGMA application_id = {application_id}")
        database.execute(f"PRAGMA user_version = {version}")
    return path


def not_sqlite(path: Path) -> Path:
    path.write_text("one,two\n" * 1000)
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def within_a_file(path: Path) -> Path:
    path.write_text("")
    return path / "run.db"


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda p: made(p, APPLICATION_ID, SCHEMA_VERSION + 1), "newer simia-async .* upgrade"),
        (lambda p: made(p, 0, 0), "not of a simia-async run"),
        (lambda p: made(p, 0, SCHEMA_VERSION), "not of a simia-async run"),
        (not_sqlite, "not a run database: file is not a database"),
        (folder, "is a directory"),
        (within_a_file, "cannot be made"),
    ],
    ids=["newer", "other", "other-of-our-version", "not-sqlite", "folder", "within-a-file"],
)
async def test_what_is_no_run_database_is_not_opened(
    tmp_path: Path, make: Callable[[Path], Path], complaint: str
) -> None:
    path = make(tmp_path / "run.db")
    with pytest.raises(StoreError, match=complaint):
        async with open_store(path):
            pass
    if path.is_file():
        with pytest.raises(StoreError, match=complaint):
            Reader(path)


def test_reading_does_not_make_a_run(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none\.db: no such run database"):
        Reader(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []
