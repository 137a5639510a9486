"""Places where not everything can be written: read-only directories, full disks."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from simia_store import MetricRecord, Reader, RunRecord, StoreError, TurnRecord, open_store
from simia_store.checks import check
from simia_store.maintenance import compact, delete


def mount(*arguments: object) -> None:
    done = subprocess.run(
        ["mount", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"this machine lets nobody mount: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 3 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk to fill")
    place = tmp_path / "disk"
    place.mkdir()
    mount("-t", "tmpfs", "-o", "size=3m", "tmpfs", place)
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Puts files where they can only be read. Permissions do not bind root, so root mounts."""
    place = tmp_path / "archive"
    place.mkdir()
    root = os.geteuid() == 0
    if root:
        mount("-t", "tmpfs", "-o", "size=32m", "tmpfs", place)

    def put(*files: Path) -> Path:
        for file in files:
            shutil.copy(file, place)
        if root:
            mount("-o", "remount,ro", place)
        else:
            place.chmod(0o555)
        return place / files[0].name

    yield put
    if root:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
    else:
        place.chmod(0o755)


async def record(path: Path) -> Path:
    async with open_store(path) as store:
        await store.append(RunRecord("r", "rl", {}), MetricRecord(1, "loss", 0.5))
    return path


KILLED = """
import os, signal, sys
from pathlib import Path
import anyio
from simia_store import MetricRecord, RunRecord, open_store

async def main():
    async with open_store(Path(sys.argv[1])) as store:
        await store.append(RunRecord("r", "rl", {}), MetricRecord(1, "loss", 0.5))
        os.kill(os.getpid(), signal.SIGKILL)

anyio.run(main)
"""


def killed(path: Path) -> Path:
    """A run whose owner was killed: what it wrote stands in the log."""
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    return path


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def read(path: Path) -> list[float]:
    with Reader(path) as reader:
        return [metric.value for metric in reader.metrics("loss")]


def test_a_finished_run_is_read_where_nothing_can_be_written(
    tmp_path: Path, archive: Callable[..., Path]
) -> None:
    path = archive(asyncio.run(record(tmp_path / "run.db")))
    assert read(path) == [0.5]
    assert check(path).problems == []
    for action in (compact, delete):
        with pytest.raises(StoreError, match="cannot be written"):
            action(path)


def test_an_empty_log_beside_it_does_no_harm(tmp_path: Path, archive: Callable[..., Path]) -> None:
    path = asyncio.run(record(tmp_path / "run.db"))
    beside(path, "-wal").touch()
    assert read(archive(path, beside(path, "-wal"))) == [0.5]


def test_the_log_of_a_killed_owner_is_read_too(
    tmp_path: Path, archive: Callable[..., Path]
) -> None:
    path = killed(tmp_path / "run.db")
    assert beside(path, "-wal").stat().st_size
    assert read(archive(path, beside(path, "-wal"), beside(path, "-shm"))) == [0.5]


def test_a_log_that_cannot_be_read_there_is_not_passed_over(
    tmp_path: Path, archive: Callable[..., Path]
) -> None:
    path = killed(tmp_path / "run.db")
    alone = archive(path, beside(path, "-wal"))
    with pytest.raises(StoreError, match=r"run\.db-wal .* a directory that can be written"):
        Reader(alone)


async def test_a_full_disk_loses_nothing_that_was_acknowledged(disk: Path) -> None:
    ballast = disk / "ballast"
    ballast.write_bytes(b"\0" * 1_000_000)
    path = disk / "run.db"
    async with open_store(path) as store:
        position = 0

        async def fill() -> None:
            nonlocal position
            while position < 1000:
                await store.append(TurnRecord(1, position, "user", {"content": "x" * 50_000}))
                position += 1

        with pytest.raises(StoreError, match=r"run\.db: not written: .*full"):
            await fill()
        # Others still read what is there, and the owner goes on once there is room.
        with Reader(path) as reader:
            assert [turn.position for turn in reader.turns(1)] == list(range(position))
        ballast.unlink()
        await store.append(TurnRecord(1, position, "user", {"content": "room again"}))
        assert store.statistics().failed
    with Reader(path) as reader:
        turns = reader.turns(1)
        assert len(reader.sessions()) == 1
    assert [turn.position for turn in turns] == list(range(position + 1))


async def test_a_run_that_cannot_begin_on_a_full_disk_says_so(disk: Path) -> None:
    with suppress(OSError), (disk / "ballast").open("wb") as file:
        while True:
            file.write(b"\0" * 4096)
            file.flush()
    with pytest.raises(StoreError, match=r"run\.db: .*(full|No space)"):
        async with open_store(disk / "run.db"):
            pass


async def test_a_run_that_could_not_begin_begins_when_there_is_room(disk: Path) -> None:
    """Wherever the disk is full while a database is made: it is made, or it is not there."""
    path, ballast = disk / "run.db", disk / "ballast"
    not_made = 0
    for room in range(0, 400_000, 20_000):
        ballast.write_bytes(bytes(shutil.disk_usage(disk).free - room))
        with suppress(StoreError):
            async with open_store(path):
                pass
        not_made += not path.exists()
        ballast.unlink()
        await record(path)
        delete(path)
    assert 3 < not_made < 20


async def test_a_run_can_be_deleted_from_a_full_disk(disk: Path) -> None:
    path = await record(disk / "run.db")
    with suppress(OSError):
        (disk / "ballast").write_bytes(b"\0" * 4_000_000)
    delete(path)
    assert not path.exists()


async def test_compacting_on_a_full_disk_leaves_the_run_as_it_was(disk: Path) -> None:
    path = disk / "run.db"
    async with open_store(path) as store:
        await store.append(
            *(TurnRecord(1, n, "user", {"content": os.urandom(2000).hex()}) for n in range(400))
        )
    with Reader(path) as reader:
        before = reader.turns(1)
    with pytest.raises(StoreError, match=r"run\.db: .*full"):
        compact(path)
    with Reader(path) as reader:
        assert reader.turns(1) == before
