"""Our call path as runs use it: governor, ledger, and a turn stored before the next call."""

import asyncio
import tempfile
from pathlib import Path

from shape import PARAMETERS, Job, stopwatch
from simia_store import TurnRecord, open_store

from simia_async.clients import ChatClient, History
from simia_async.config import Endpoint
from simia_async.messages import Message
from simia_async.speed import run_fast


async def main() -> None:
    job = Job()
    endpoint = Endpoint(
        base_url=job.url, model="m", api_key_env="", max_in_flight=job.conversations
    )
    opening = [Message(turn["role"], turn["content"]) for turn in job.opening()]  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory(dir=".") as directory:
        async with (
            open_store(Path(directory) / "bench.db") as store,
            ChatClient.connect(endpoint) as client,
        ):

            async def converse(number: int) -> None:
                history = History(opening)
                for position in range(job.calls):
                    ledger = []
                    reply = await client.chat(
                        history, role="user", ledger=ledger, trajectory_id=number, **PARAMETERS
                    )
                    turn = TurnRecord(number, position, "assistant", reply.message.as_wire())
                    await store.append(turn, *ledger)
                    history.append(reply.message)

            await client.chat(opening, role="user", ledger=[])
            elapsed, writer = stopwatch(), store.statistics().cpu_s
            await asyncio.gather(*(converse(number) for number in range(job.conversations)))
            cpu_s, wall_s = elapsed()
            job.report(cpu_s, wall_s, writer_s=store.statistics().cpu_s - writer)


run_fast(main)
