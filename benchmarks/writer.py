"""(c) Small turns per second of the store's writer, against bare aiosqlite in the same run, and its
part of the CPU time of a generate run.

Both write the same turns in transactions of 1,000 into a table with the same index; ours also
encodes the records, keeps the event log and answers for each append.
"""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import aiosqlite
import msgspec
from simia_store import Reader, TurnRecord, open_store

import simia_async
from simia_async.speed import run_fast

TURNS, BATCH, CONVERSATIONS, ROUNDS = 200_000, 1000, 2000, 5
MESSAGE = {"role": "assistant", "content": "The agent should now continue. " * 3}


def turns() -> list[TurnRecord]:
    return [
        TurnRecord(k % CONVERSATIONS, k // CONVERSATIONS, "assistant", MESSAGE)
        for k in range(TURNS)
    ]


async def ours(directory: Path) -> tuple[float, float]:
    async with open_store(directory / "ours.db") as store:
        records = turns()
        started = time.perf_counter()
        for first in range(0, TURNS, BATCH):
            await store.append(*records[first : first + BATCH])
        return time.perf_counter() - started, store.statistics().cpu_s


async def one_by_one(directory: Path) -> tuple[float, float]:
    async with open_store(directory / "single.db") as store:

        async def converse(number: int) -> None:
            for position in range(TURNS // CONVERSATIONS):
                await store.append(TurnRecord(number, position, "assistant", MESSAGE))

        started = time.perf_counter()
        await asyncio.gather(*(converse(number) for number in range(CONVERSATIONS)))
        return time.perf_counter() - started, store.statistics().cpu_s


async def bare(directory: Path) -> tuple[float, float]:
    async with aiosqlite.connect(directory / "bare.db", isolation_level=None) as database:
        await database.execute("PRAGMA journal_mode = WAL")
        await database.execute("PRAGMA synchronous = NORMAL")
        await database.execute(
            "CREATE TABLE turns (id INTEGER PRIMARY KEY, trajectory_id INTEGER, position INTEGER,"
            " role TEXT, message BLOB, UNIQUE (trajectory_id, position))"
        )
        encode = msgspec.json.encode
        records = turns()
        started, cpu = time.perf_counter(), time.process_time()
        for first in range(0, TURNS, BATCH):
            rows = [
                (t.trajectory_id, t.position, t.role, encode(t.message))
                for t in records[first : first + BATCH]
            ]
            await database.execute("BEGIN")
            await database.executemany(
                "INSERT INTO turns (trajectory_id, position, role, message) VALUES (?, ?, ?, ?)",
                rows,
            )
            await database.execute("COMMIT")
        return time.perf_counter() - started, time.process_time() - cpu


async def part_of_generate() -> float:
    """The writer's part of the CPU time of a run whose simulator answers at once."""
    with tempfile.TemporaryDirectory(dir=".") as directory:
        started = time.process_time()
        result = await simia_async.generate(run=Path(directory) / "generate.db", n=3000)
        cpu_s = time.process_time() - started
        with Reader(result.run) as reader:
            said = {record.source: record.sample for record in reader.statistics()}
    return float(said["writer"]["cpu_s"] / cpu_s)


async def main() -> None:
    ways = {"our writer, batched": ours, "our writer, turn by turn": one_by_one, "aiosqlite": bare}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            with tempfile.TemporaryDirectory(dir=".") as directory:
                wall_s, _ = await way(Path(directory))
            rates[name].append(TURNS / wall_s)
    print("\n| way | turns a second (median) | against bare aiosqlite |\n|---|---|---|")
    for name, values in rates.items():
        ratio = statistics.median(a / b for a, b in zip(values, rates["aiosqlite"], strict=True))
        print(f"| {name} | {statistics.median(values):,.0f} | {ratio:.2f}× |")
    parts = [await part_of_generate() for _ in range(ROUNDS)]
    print(
        f"\nThe writer's part of `simia generate`: {statistics.median(parts):.0%} "
        f"({min(parts):.0%}–{max(parts):.0%})"
    )


if __name__ == "__main__":
    run_fast(main)
