"""What a run writes down of its governors, its writer and its spending."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import msgspec
import pytest
from simia_store import Reader, open_store

from simia_async.clients import GovernorStatistics, SpendingStatistics
from simia_async.config import Endpoint, GenerateConfig
from simia_async.runs import pulse as pulses
from simia_async.runs.generate import run_generate
from simia_async.runs.pulse import pulse
from simia_async.testing import ScriptedServer


class Count(msgspec.Struct, frozen=True):
    """A source of statistics."""

    at: int


def samples(run: Path) -> dict[str, dict[str, object]]:
    with Reader(run) as reader:
        return {record.source: record.sample for record in reader.statistics()}


async def test_what_a_run_writes_of_itself_is_read_back(tmp_path: Path) -> None:
    run = tmp_path / "g.db"
    async with ScriptedServer() as server:
        simulator = Endpoint(base_url=server.base_url, model="world", api_key_env="")
        config = GenerateConfig(n=10, prefilter=False, simulator=simulator)
        result = await run_generate(config, run, report=print)
    told = samples(run)
    assert set(told) == {"simulator", "spending", "writer"}
    governor = msgspec.convert(told["simulator"], GovernorStatistics)
    assert (governor.ok, governor.in_flight, governor.waiting) == (result.simulated, 0, 0)
    assert msgspec.convert(told["spending"], SpendingStatistics) == result.spending
    assert told["writer"]["failed"] == 0
    assert told["writer"]["records"] > result.simulated


async def test_only_what_has_changed_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulses, "_EVERY_S", 0.01)
    run = tmp_path / "g.db"
    now = 0
    async with open_store(run) as store:
        async with pulse(store, {"still": lambda: Count(1), "moving": lambda: Count(now)}):
            for now in range(1, 4):  # noqa: B007, the source reads it
                await anyio.sleep(0.05)
        before = store.statistics().records
    with Reader(run) as reader:
        counts = reader.row_counts()
    assert samples(run) == {"still": {"at": 1}, "moving": {"at": 3}}
    assert counts["statistics"] == 4
    assert before >= 4


async def test_the_last_sample_is_written_at_the_end_also_of_a_cancelled_run(
    tmp_path: Path,
) -> None:
    run = tmp_path / "g.db"
    now = 1
    async with open_store(run) as store:
        with anyio.CancelScope() as scope:
            async with pulse(store, {"source": lambda: Count(now)}):
                now = 2
                scope.cancel()
                await anyio.sleep_forever()
    assert samples(run) == {"source": {"at": 2}}


@contextmanager
def full_disk() -> Iterator[None]:
    """No file grows: SQLite fails as on a full disk, whatever the place."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_is_no_end_and_what_was_not_written_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulses, "_EVERY_S", 0.01)
    run = tmp_path / "g.db"
    async with open_store(run) as store, pulse(store, {"source": lambda: Count(1)}):
        with full_disk():
            await anyio.sleep(0.1)
        assert store.statistics().failed > 0
        assert samples(run) == {}
        await anyio.sleep(0.1)
        assert samples(run) == {"source": {"at": 1}}
