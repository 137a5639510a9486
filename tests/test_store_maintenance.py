"""Looking after databases: old ones are brought up to date, big ones made small, damage found."""

import asyncio
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from simia_store import (
    AdapterRecord,
    CallRecord,
    EventRecord,
    FactRecord,
    GroupRecord,
    MetricRecord,
    OutcomeCount,
    Reader,
    RunRecord,
    RunStatus,
    StatisticsRecord,
    StoreError,
    TrajectoryRecord,
    TrajectoryStatus,
    TurnRecord,
    open_store,
)
from simia_store.checks import Findings, check
from simia_store.maintenance import compact, delete, upgrade
from simia_store.ownership import Ownership
from simia_store.schema import SCHEMA_VERSION, migrate

from simia_async.builtin.author import retell
from simia_async.environments import Seed, load_environment, load_seeds

KEPT, REJECTED, SCORED = (
    TrajectoryStatus.KEPT,
    TrajectoryStatus.REJECTED,
    TrajectoryStatus.SCORED,
)


def change(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)
    return path


def schema_of(path: Path) -> tuple[int, set[str]]:
    with closing(sqlite3.connect(path)) as database:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        return version, {sql for (sql,) in database.execute("SELECT sql FROM sqlite_master") if sql}


SCHEMA_1_ROWS = (
    "INSERT INTO runs VALUES ('r', 'generate', '{\"n\":2}', 'failed', 'no room', 1.0, 2.0)",
    "INSERT INTO environments VALUES ('e', 'Be kind.', '[{\"type\":\"function\"}]')",
    "INSERT INTO groups VALUES (1, 't', 1, 0, 2, '[1.0,null]')",
    "INSERT INTO trajectories VALUES"
    " (1, 'e', 't', 'kept', 'train', 1, 0, 'user_done', 1.0, NULL, NULL, '{}', 3.0, 4.0),"
    " (2, 'e', 't', 'rejected', 'train', NULL, NULL, NULL, NULL, 'rule', 'said twice',"
    ' \'{"rejected_by":"duplicate"}\', 3.0, 4.0),'
    " (3, 'e', 't', 'rejected', 'train', NULL, NULL, NULL, NULL, 'simulator', 'x', '{}', 3.0, 4.0)",
    "INSERT INTO turns VALUES"
    " (1, 0, 'user', '{\"content\":\"Hi\"}', 'llm', 0, '[]', '[]', '[]', '[]'),"
    " (1, 1, 'assistant', '{\"content\":\"é\"}', NULL, 0, '[]', '[1,2]', '[3]', '[-0.5]')",
    "INSERT INTO calls VALUES"
    " (1, 'author', 'http://h/v1', 'm', 1, 'RateLimited', 0.5, 0, 0, 0, NULL, 'slow', 3.0),"
    " (1, 'author', 'http://h/v1', 'm', 2, 'ok', 0.25, 10, 20, 5, 0.125, NULL, 3.5),"
    " (2, 'author', 'http://h/v1', 'm', 1, 'ok', 0.25, 1, 2, 0, NULL, NULL, 3.5)",
    "INSERT INTO metrics VALUES (1, 'loss', 0.5, 3.0), (2, 'loss', 0.25, 4.0)",
    "INSERT INTO adapters VALUES (1, '/a/1', NULL, 1, 5.0)",
    "UPDATE trajectories SET status = 'scored' WHERE id = 1",
)
"""Rows of every table of schema 1; its triggers write the events."""


UNNUMBERED = ("runs", "environments")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A run as simia-async 0.1 wrote it."""
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        migrate(database, 0, target=1)
        for statement in SCHEMA_1_ROWS:
            database.execute(statement)
        # Version 0.1 wrote JSON as bytes.
        for table, column in (
            ("runs", "config"),
            ("environments", "tools"),
            ("groups", "rewards"),
            ("trajectories", "detail"),
            *(("turns", c) for c in ("message", "ops", "prompt_ids", "token_ids", "logprobs")),
        ):
            database.execute(f"UPDATE {table} SET {column} = CAST({column} AS BLOB)")
        # Those updates are of this test and not of a run.
        database.execute("DELETE FROM events WHERE sequence > 17")
    return path


async def opened(path: Path) -> None:
    async with open_store(path):
        pass


@pytest.mark.parametrize("how", ["open_store", "upgrade"])
async def test_a_run_of_schema_1_is_all_there_after_it_was_brought_up_to_date(
    old: Path, how: str
) -> None:
    with closing(sqlite3.connect(old)) as database:
        events_before = database.execute("SELECT sequence, kind, row FROM events").fetchall()
    with pytest.raises(StoreError, match=r"older simia-async .*: simia runs upgrade .*old\.db"):
        Reader(old)
    if how == "upgrade":
        assert upgrade(old) == (1, SCHEMA_VERSION)
    else:
        await opened(old)
    with Reader(old) as reader:
        assert reader.run() == RunRecord(
            "r", "generate", {"n": 2}, RunStatus.FAILED, "no room", 1.0, 2.0
        )
        assert reader.environment().tools == [{"type": "function"}]
        assert reader.groups(1) == [GroupRecord(1, "t", 1, 0, 2, [1.0, None])]
        first, second, third = reader.trajectories()
        assert first == TrajectoryRecord(
            *(1, "e", "t", SCORED, "train", 1, 0, "user_done", 1.0),
            created_at=3.0,
            finished_at=4.0,
        )
        assert (second.rejected_by, second.reason) == ("duplicate", "said twice")
        assert (third.rejected_by, third.boundary) == (None, "simulator")
        assert reader.turns(1) == [
            TurnRecord(1, 0, "user", {"content": "Hi"}, "llm"),
            TurnRecord(
                *(1, 1, "assistant", {"content": "é"}),
                prompt_ids=[1, 2],
                token_ids=[3],
                logprobs=[-0.5],
            ),
        ]
        assert [call.error for call in reader.calls()] == ["slow", None, None]
        assert [metric.value for metric in reader.metrics("loss")] == [0.5, 0.25]
        assert reader.adapters() == [AdapterRecord(1, "/a/1", None, 1, 5.0)]
        assert reader.outcomes() == [
            OutcomeCount(REJECTED, "duplicate", 1),
            OutcomeCount(REJECTED, "simulator", 1),
            OutcomeCount(SCORED, "user_done", 1),
        ]
        failed, ok = reader.usage()
        assert (failed.status, failed.calls, failed.priced) == ("RateLimited", 1, 0)
        assert (ok.calls, ok.tokens_in, ok.tokens_out, ok.tokens_cached) == (2, 11, 22, 5)
        assert (ok.priced, ok.cost_usd, ok.max_cost_usd, ok.latency_s) == (1, 0.125, 0.125, 0.5)
        events = reader.events_after(0)[: len(events_before)]
        assert events == [
            EventRecord(*(sequence, kind), *((0, 0) if kind in UNNUMBERED else (row, row)))
            for sequence, kind, row in events_before
        ]
    assert check(old) == Findings([], ["adapter 1 is no longer at /a/1"])


async def test_a_run_of_schema_1_goes_on(old: Path) -> None:
    async with open_store(old) as store:
        assert store.new_trajectory_id() == 4
        with Reader(old) as reader:
            last = reader.events_after(0)[-1].sequence
            await store.append(
                TrajectoryRecord(4, "e", "t", KEPT), TurnRecord(4, 0, "user", {"content": "new"})
            )
            assert [(e.kind, e.first, e.last) for e in reader.events_after(last)] == [
                ("trajectories", 4, 4),
                ("turns", 3, 3),
            ]
    assert check(old).problems == []


async def test_a_migration_that_fails_leaves_the_old_version_as_it_was(old: Path) -> None:
    # The last statement of the second migration trips over this.
    change(old, "CREATE TABLE dictionaries (word TEXT)")
    before = schema_of(old)
    with pytest.raises(StoreError, match=r"old\.db: .*dictionaries already exists"):
        upgrade(old)
    with pytest.raises(StoreError, match=r"old\.db: .*dictionaries already exists"):
        await opened(old)
    assert schema_of(old) == before
    assert before[0] == 1
    change(old, "DROP TABLE dictionaries")
    assert upgrade(old) == (1, 4)
    assert check(old).problems == []


@pytest.mark.parametrize("action", [check, upgrade, compact, delete], ids=lambda a: a.__name__)
def test_maintenance_refuses_what_it_does_not_know(
    tmp_path: Path, action: Callable[[Path], Any]
) -> None:
    newer = tmp_path / "newer.db"
    with closing(sqlite3.connect(newer)) as database:
        migrate(database, 0)
    change(newer, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    foreign = change(tmp_path / "foreign.db", "CREATE TABLE recipes (name TEXT)")
    (tmp_path / "short.db").write_text("x")
    (tmp_path / "empty.db").touch()
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    for path, said in (
        (newer, "newer simia-async"),
        (foreign, "not of a simia-async run"),
        (tmp_path / "short.db", "not a run database"),
        (tmp_path / "empty.db", "is empty"),
        (tmp_path / "none.db", "no such run"),
        (tmp_path, "no such run"),
    ):
        with pytest.raises(StoreError, match=said):
            action(path)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def shipped_seeds() -> list[Seed]:
    environment = load_environment("mini-retail")
    assert environment.seeds_file is not None
    return load_seeds(environment.seeds_file)


async def written(path: Path, seeds: list[Seed], count: int) -> Path:
    """A run of `count` conversations, retold from seeds, with token ids on the policy's turns."""
    rng = random.Random(0)
    async with open_store(path) as store:
        await store.append(RunRecord("r", "generate", {}, RunStatus.DONE))
        for number in range(1, count + 1):
            seed = seeds[number % len(seeds)]
            told = retell(seed.messages, number, scripted_world=True) if number > 1 else []
            spoken = [rng.randrange(150_000) for _ in range(40)]
            await store.append(
                TrajectoryRecord(number, "e", "t", KEPT),
                *(
                    TurnRecord(
                        *(number, position, message.role, message.as_wire(), "llm"),
                        token_ids=spoken if message.role == "assistant" else [],
                        logprobs=[-rng.random() for _ in spoken],
                    )
                    for position, message in enumerate(told)
                ),
            )
    return path


def everything(path: Path) -> list[Any]:
    with Reader(path) as reader:
        return [*reader.trajectories(), *reader.all(TurnRecord), *reader.events_after(0, 10**6)]


async def test_compacting_changes_nothing_but_the_size(tmp_path: Path) -> None:
    path = await written(tmp_path / "run.db", shipped_seeds(), 300)
    before = everything(path)
    done = compact(path)
    assert everything(path) == before
    assert check(path) == Findings([], [])
    assert done.payloads > 800
    assert done.bytes_before > 2 * done.bytes_after
    again = compact(path)
    assert (again.payloads, again.bytes_before) == (0, again.bytes_after)


async def test_a_compacted_run_goes_on_and_is_compacted_again(tmp_path: Path) -> None:
    path = await written(tmp_path / "run.db", shipped_seeds(), 50)
    compact(path)
    new = [TurnRecord(51, n, "user", {"content": f"Where is order {n}? " * 9}) for n in range(900)]
    async with open_store(path) as store:
        await store.append(TrajectoryRecord(51, "e", "t", KEPT), *new)
    before = everything(path)
    assert compact(path).payloads == len(new)
    assert everything(path) == before
    assert check(path).problems == []


async def test_real_conversations_shrink(tmp_path: Path, airline_seeds: Path) -> None:
    path = tmp_path / "run.db"
    async with open_store(path) as store:
        for number, seed in enumerate(load_seeds(airline_seeds), 1):
            turns = (
                TurnRecord(number, position, message.role, message.as_wire())
                for position, message in enumerate(seed.messages)
            )
            await store.append(TrajectoryRecord(number, "airline", "t", KEPT), *turns)
    before = everything(path)
    done = compact(path)
    assert everything(path) == before
    # Measured: 2.7, a dictionary of 110 kB included.
    assert done.bytes_before / done.bytes_after > 2.2


async def test_payloads_too_few_to_learn_from_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    turn = TurnRecord(1, 0, "user", {"content": "word " * 500})
    async with open_store(path) as store:
        await store.append(TrajectoryRecord(1, "e", "t", KEPT), turn)
    assert compact(path).payloads == 1
    with Reader(path) as reader:
        assert reader.turns(1) == [turn]


COMPACT = """
import sys
from pathlib import Path
from simia_store.maintenance import compact
print("begins", flush=True)
compact(Path(sys.argv[1]))
print("ends", flush=True)
"""


def test_compacting_may_be_killed_at_any_moment(tmp_path: Path) -> None:
    path = asyncio.run(written(tmp_path / "run.db", shipped_seeds(), 200))
    before = everything(path)
    shutil.copy(path, tmp_path / "copy.db")
    started = time.monotonic()
    compact(tmp_path / "copy.db")
    whole = time.monotonic() - started
    cut_off = 0
    for share in (0.4, 0.6, 0.8):
        process = subprocess.Popen(
            [sys.executable, "-c", COMPACT, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"
        time.sleep(share * whole)
        process.send_signal(signal.SIGKILL)
        said, _ = process.communicate()
        cut_off += said == ""
        assert everything(path) == before
        assert check(path) == Findings([], [])
    assert cut_off, "no compaction was killed while it went on"
    compact(path)
    assert everything(path) == before
    assert compact(path).payloads == 0


async def damageable(path: Path) -> Path:
    async with open_store(path) as store:
        await store.append(RunRecord("r", "rl", {}, RunStatus.DONE))
        await store.append(
            GroupRecord(1, "t", 1, 0, 2),
            *(TrajectoryRecord(n, "e", "t", SCORED, group_id=1) for n in (1, 2)),
            *(TurnRecord(n, p, "user", {"content": "word " * 99}) for n in (1, 2) for p in (0, 1)),
            FactRecord(1, None, "a {}", "1"),
            FactRecord(None, 2, "b {}", "1"),
            *(CallRecord(n, "user", "e", "m", 1, "ok", 0.1, 1, 2, cost_usd=0.1) for n in (1, 2)),
            MetricRecord(1, "loss", 0.5),
            StatisticsRecord("governor", {}),
        )
    return path


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("DELETE FROM trajectories WHERE id = 2", "2 turns of a trajectory that is not there"),
        ("DELETE FROM trajectories WHERE id = 2", "1 facts of a trajectory that is not there"),
        ("DELETE FROM groups", "2 trajectories of a group that is not there"),
        ("DELETE FROM groups", "1 facts of a group that is not there"),
        ("DELETE FROM turns WHERE id = 1", "1 trajectories with a gap between their turns"),
        ("UPDATE trajectories SET status = 'running'", "1 finished runs with trajectories"),
        ("UPDATE sessions SET ended_at = 5", "1 sessions that ended before they began"),
        ("UPDATE outcomes SET count = 3", "1 outcomes counted wrong"),
        ("DELETE FROM outcomes", "1 outcomes counted wrong"),
        ("INSERT INTO outcomes VALUES ('kept', 'x', 1)", "1 outcomes counted wrong"),
        ("UPDATE usage SET tokens_out = 3", "1 kinds of calls counted wrong"),
        ("UPDATE usage SET cost_usd = 0.3", "1 kinds of calls whose cost or latency"),
        ("DELETE FROM usage", "1 kinds of calls counted wrong"),
        ("UPDATE usage SET role = 'judge'", "2 kinds of calls counted wrong"),
        ("DELETE FROM events WHERE kind = 'turns'", "events name rows None to None of turns"),
        ("UPDATE events SET last = 9 WHERE kind = 'calls'", "events name rows 1 to 9 of calls"),
        ("DELETE FROM calls WHERE id = 2", "events name rows 1 to 2 of calls, where 1 to 1 are"),
        ("DELETE FROM turns WHERE id = 3", "events name 4 rows of turns, where 3 are"),
        ("INSERT INTO metrics VALUES (NULL, 1, 'x', 1.0, 1.0)", "of metrics, where 1 to 2 are"),
        ("UPDATE turns SET message = x'7b' WHERE id = 2", "damaged: a row of turns"),
        ("UPDATE turns SET message = x'7b22ff' WHERE id = 2", "damaged: a row of turns"),
        ("DELETE FROM dictionaries", "dictionary 32768 is missing"),
    ],
)
async def test_check_finds_damage(tmp_path: Path, damage: str, said: str) -> None:
    path = await damageable(tmp_path / "run.db")
    assert check(path) == Findings([], [])
    if "dictionaries" in damage:
        path = await written(tmp_path / "other.db", shipped_seeds(), 40)
        compact(path)
    change(path, damage)
    assert any(said in problem for problem in check(path).problems), check(path).problems


async def test_check_finds_what_sqlite_finds(tmp_path: Path) -> None:
    path = await written(tmp_path / "run.db", shipped_seeds(), 40)
    with path.open("r+b") as file:
        for page in range(30, 60):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)
    problems = check(path).problems
    assert problems
    assert all(problem.startswith("SQLite: ") for problem in problems)


async def test_check_notes_what_is_worth_knowing_and_no_fault(tmp_path: Path) -> None:
    path = await damageable(tmp_path / "run.db")
    async with open_store(path) as store:
        await store.append(
            AdapterRecord(1, "/no/adapter", None, 1), CallRecord(9, "user", "e", "m", 1, "x", 0.1)
        )
        findings = check(path)
    assert findings == Findings(
        [],
        [
            "1 calls of a trajectory that was not written",
            "adapter 1 is no longer at /no/adapter",
            "a process owns it: this is what it held at one moment",
        ],
    )
    change(path, "UPDATE sessions SET ended_at = NULL, beat_at = 9e9 WHERE id = 1")
    cut_off, overlap = (n for n in reversed(check(path).notes) if n.startswith("1 sessions"))
    assert "cut off" in cut_off
    assert "began before the one before them" in overlap


def test_delete_takes_the_run_and_its_files(tmp_path: Path) -> None:
    path = asyncio.run(damageable(tmp_path / "run.db"))
    with Reader(path):
        pass
    neighbour = tmp_path / "run.db.backup"
    neighbour.touch()
    link = tmp_path / "link.db"
    link.symlink_to(path)
    delete(link)
    assert list(tmp_path.iterdir()) == [neighbour]


async def test_an_owned_run_is_left_alone_by_whatever_name_it_is_called(tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    async with open_store(tmp_path / "run.db") as store:
        link.symlink_to(store.path)
        for action in (upgrade, compact, delete):
            for path in (store.path, link):
                with pytest.raises(StoreError, match="owns this run"):
                    action(path)
        await store.append(MetricRecord(1, "still", 1.0))
    assert check(link).problems == []


def test_there_is_one_owner_even_while_locks_are_deleted(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    owners, most, owned = 0, 0, 0
    until = time.monotonic() + 1

    def own_and_delete() -> None:
        nonlocal owners, most, owned
        while time.monotonic() < until:
            with suppress(StoreError), Ownership(path):
                owners += 1
                most, owned = max(most, owners), owned + 1
                time.sleep(0)
                owners -= 1
                (tmp_path / "run.db.lock").unlink()

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(own_and_delete) for _ in range(4)]:
            done.result()
    assert owned > 100
    assert most == 1


def test_a_lock_file_of_something_else_is_not_overwritten(tmp_path: Path) -> None:
    lock = tmp_path / "poetry.lock"
    lock.write_text("[[package]]\n")
    with pytest.raises(StoreError, match=r"poetry\.lock beside it is a file of something else"):
        asyncio.run(opened(tmp_path / "poetry"))
    assert lock.read_text() == "[[package]]\n"
    assert list(tmp_path.iterdir()) == [lock]
