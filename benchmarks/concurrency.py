"""(b) Wall time of many slow conversations at once, against the ideal, and the loop's lag.

The ideal is the greatest sum of latencies that the mock drew for one conversation: what the
slowest would take alone. Lag is how much later than asked a sleep of 10 ms ends.
"""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from serving import mock
from simia_store import TurnRecord, open_store

from simia_async.clients import ChatClient, History
from simia_async.config import Endpoint
from simia_async.messages import Message
from simia_async.speed import run_fast

SHAPES = ((1000, 8, 1.0), (2000, 6, 2.0), (5000, 4, 5.0))
"""Conversations at once, calls each, mean latency in seconds (lognormal, sigma 0.5)."""
TEXT = "The agent should now continue. " * 4


async def watch_lag(lags: list[float]) -> None:
    while True:
        started = time.perf_counter()
        await asyncio.sleep(0.01)
        lags.append(time.perf_counter() - started - 0.01)


async def play(url: str, conversations: int, calls: int) -> tuple[float, float, float, float]:
    """Wall time, the 99th percentile of lag, CPU share of one core, the writer's part of it."""
    endpoint = Endpoint(base_url=url, model="m", api_key_env="", max_in_flight=conversations)
    lags: list[float] = []
    with tempfile.TemporaryDirectory(dir=".") as directory:
        async with (
            open_store(Path(directory) / "bench.db") as store,
            ChatClient.connect(endpoint) as client,
        ):

            async def converse(number: int) -> None:
                history = History([Message("user", TEXT)])
                for position in range(calls):
                    ledger = []
                    reply = await client.chat(
                        history,
                        role="user",
                        ledger=ledger,
                        trajectory_id=number,
                        fresh=not position,
                        user=str(number),
                    )
                    turn = TurnRecord(number, position, "assistant", reply.message.as_wire())
                    await store.append(turn, *ledger)
                    history.append(reply.message)

            watch = asyncio.create_task(watch_lag(lags))
            started, cpu = time.perf_counter(), time.process_time()
            await asyncio.gather(*(converse(number) for number in range(conversations)))
            wall_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
            watch.cancel()
            writer_s = store.statistics().cpu_s
    return wall_s, statistics.quantiles(lags, n=100)[98], cpu_s / wall_s, writer_s / cpu_s


def main() -> None:
    print(
        "\n| conversations | calls each | mean latency | ideal | wall | ratio | p99 lag | CPU | "
        "writer's part |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for conversations, calls, mean_s in SHAPES:
        with mock(f"lognormal:{mean_s},0.5", keep=True) as server:
            wall_s, lag_s, cpu, writer = run_fast(play, server.url, conversations, calls)
            summary = server.summary()
        assert summary["requests"] == conversations * calls
        ideal_s = summary["ideal_s"]
        print(
            f"| {conversations} | {calls} | {mean_s:g} s | {ideal_s:.1f} s | {wall_s:.1f} s | "
            f"{wall_s / ideal_s:.3f}× | {lag_s * 1000:.0f} ms | {cpu:.0%} | {writer:.0%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
