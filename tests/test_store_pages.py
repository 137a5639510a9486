"""Pages of trajectories: walked in any order while the run changes, and found by an index."""

import sqlite3
import tempfile
import time
from contextlib import closing
from operator import gt, lt
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simia_store import Order, Reader, TrajectoryRecord, TrajectoryStatus
from simia_store.rows import insert_statement, to_row
from simia_store.schema import migrate

STATUSES = (TrajectoryStatus.SCORED, TrajectoryStatus.UNSCORED, TrajectoryStatus.RUNNING)
ORDERS: list[Order] = ["id", "reward"]

trajectories = st.builds(
    TrajectoryRecord,
    id=st.integers(1, 40),
    environment=st.just("e"),
    task_id=st.just("t"),
    status=st.sampled_from(STATUSES),
    # Few different ones, as in real runs: pages begin and end within equal rewards.
    reward=st.none() | st.sampled_from([0.0, 0.5, 1.0]),
    created_at=st.just(0.0),
)


def in_order(
    rows: dict[int, TrajectoryRecord], order: Order, descending: bool, status: Any
) -> list[TrajectoryRecord]:
    wanted = [
        row
        for row in rows.values()
        if status in (None, row.status) and (order == "id" or row.reward is not None)
    ]
    return sorted(wanted, key=lambda row: key_of(row, order), reverse=descending)


def key_of(row: TrajectoryRecord, order: Order) -> tuple[Any, ...]:
    return (row.id,) if order == "id" else (row.reward, row.id)


def write(database: sqlite3.Connection, rows: list[TrajectoryRecord]) -> None:
    database.executemany(insert_statement(TrajectoryRecord), map(to_row, rows))


@settings(max_examples=60, deadline=None, database=None)
@given(
    before=st.lists(trajectories, max_size=30),
    meanwhile=st.lists(st.lists(trajectories, max_size=4), max_size=6),
    order=st.sampled_from(ORDERS),
    descending=st.booleans(),
    status=st.none() | st.sampled_from(STATUSES),
    limit=st.integers(1, 7),
)
def test_every_page_is_the_next_stretch_of_the_sorted_list(
    before: list[TrajectoryRecord],
    meanwhile: list[list[TrajectoryRecord]],
    order: Order,
    descending: bool,
    status: TrajectoryStatus | None,
    limit: int,
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "run.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("PRAGMA synchronous = OFF")
            migrate(database, 0)
            write(database, before)
            rows = {row.id: row for row in before}
            after, walked = None, []
            with Reader(path) as reader:
                while True:
                    page = reader.trajectory_page(
                        limit, after=after, order=order, descending=descending, status=status
                    )
                    rest = in_order(rows, order, descending, status)
                    if after is not None:
                        last = key_of(after, order)
                        beyond = lt if descending else gt
                        rest = [row for row in rest if beyond(key_of(row, order), last)]
                    assert page.rows == rest[:limit]
                    assert page.more == (len(rest) > limit)
                    walked += [key_of(row, order) for row in page.rows]
                    if not page.more:
                        break
                    after = page.rows[-1]
                    if meanwhile:
                        written = meanwhile.pop()
                        write(database, written)
                        rows |= {row.id: row for row in written}
    assert walked == sorted(set(walked), reverse=descending), "a row came twice, or out of order"


def plans(reader: Reader, read: Any) -> list[str]:
    """How SQLite finds the rows of what `read` asks for."""
    asked: list[str] = []
    reader._database.set_trace_callback(asked.append)
    read(reader)
    reader._database.set_trace_callback(None)
    return [
        step
        for query in asked
        if query.startswith("SELECT")
        for *_, step in reader._database.execute(f"EXPLAIN QUERY PLAN {query}")
    ]


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    path = tmp_path / "run.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        migrate(database, 0)
    return path


AFTER = TrajectoryRecord(5, "e", "t", TrajectoryStatus.SCORED, reward=1.0)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("status", [None, TrajectoryStatus.SCORED])
def test_a_page_is_found_by_an_index_and_never_sorted(
    empty: Path, order: Order, descending: bool, status: TrajectoryStatus | None
) -> None:
    def page(reader: Reader, after: TrajectoryRecord | None) -> None:
        reader.trajectory_page(9, after=after, order=order, descending=descending, status=status)

    with Reader(empty) as reader:
        first, later = (
            plans(reader, lambda r, after=after: page(r, after)) for after in (None, AFTER)
        )
    assert all(step.startswith("SEARCH") for step in later), later
    # The first page of all trajectories is the beginning of the table.
    assert all(step.startswith("SEARCH") or step == "SCAN trajectories" for step in first), first


@pytest.mark.parametrize(
    "read",
    [
        lambda r: r.turns(1),
        lambda r: r.facts(group_id=1),
        lambda r: r.facts(trajectory_id=1),
        lambda r: r.facts(group_id=1, trajectory_id=1),
        lambda r: r.groups(1),
        lambda r: r.metrics("loss"),
        lambda r: r.metric_names(),
        lambda r: r.statistics(),
        lambda r: r.events_after(9),
        lambda r: r.command(1),
        lambda r: list(r.trajectories(group_id=1)),
    ],
)
def test_what_screens_ask_for_often_is_found_by_an_index(empty: Path, read: Any) -> None:
    with Reader(empty) as reader:
        found = plans(reader, read)
    assert found
    assert all(step.startswith("SEARCH") for step in found), found


def test_the_last_page_of_equal_rewards_costs_what_the_first_does(empty: Path) -> None:
    row = to_row(TrajectoryRecord(0, "e", "t", TrajectoryStatus.SCORED, reward=1.0))
    with closing(sqlite3.connect(empty, isolation_level=None)) as database:
        database.execute("BEGIN")
        statement = insert_statement(TrajectoryRecord)
        database.executemany(statement, ((n, *row[1:]) for n in range(1, 60_001)))
        database.execute("COMMIT")
    with Reader(empty) as reader:

        def fastest(after: TrajectoryRecord) -> float:
            def once() -> float:
                started = time.perf_counter()
                page = reader.trajectory_page(20, after=after, order="reward", status=AFTER.status)
                assert len(page.rows) == 20
                return time.perf_counter() - started

            return min(once() for _ in range(20))

        late = msgspec.structs.replace(AFTER, id=59_900)
        # Walking there takes ten times as long as a page.
        assert fastest(late) < 3 * fastest(AFTER)
