"""Calls per CPU-second: our client, with limiter, ledger and store on, against `AsyncOpenAI`.

Both ask the scripted simulator, in a process of its own, for the same small replies, in turns, in
one run. Only this process's CPU time counts. Prints the median of the ratios.
"""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import anyio
import openai
from simia_store import open_store

from simia_async.builtin.mini_retail import MINI_RETAIL
from simia_async.builtin.templates import TEMPLATES, draw_task
from simia_async.clients import ChatClient
from simia_async.config import Endpoint
from simia_async.environments import load_environment
from simia_async.simulation import Simulator
from simia_async.simulation.prompts import WORDS, compose
from simia_async.supervision.service import run_service

CALLS = 1500
IN_FLIGHT = 64
ROUNDS = 5


async def ours(base_url: str, directory: Path) -> None:
    endpoint = Endpoint(base_url=base_url, model="m", api_key_env="", max_in_flight=IN_FLIGHT)
    task = draw_task(MINI_RETAIL, TEMPLATES[0], 0, "train")
    async with ChatClient.connect(endpoint) as client, open_store(directory / "b.db") as store:
        simulator = Simulator(client, load_environment("mini-retail"))

        async def call() -> None:
            ledger = []
            await simulator.user(task, [], ledger, 1)
            await store.append(*ledger)

        async with anyio.create_task_group() as group:
            for _ in range(CALLS):
                group.start_soon(call)


async def theirs(base_url: str, _: Path) -> None:
    task = draw_task(MINI_RETAIL, TEMPLATES[0], 0, "train")
    sections = {
        "environment": {"name": "mini-retail", "role": "user"},
        "task": {"scenario": task.scenario},
        "history": [],
    }
    messages = [
        {"role": "system", "content": WORDS["user"]},
        {"role": "user", "content": compose(sections)},
    ]
    slots = asyncio.Semaphore(IN_FLIGHT)
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as client:

        async def call() -> None:
            async with slots:
                await client.chat.completions.create(model="m", messages=messages)

        await asyncio.gather(*(call() for _ in range(CALLS)))


async def main() -> None:
    rates: dict[str, list[float]] = {"ours": [], "AsyncOpenAI": []}
    async with run_service("simulator", "simia_async.builtin.server", print) as service:
        for _ in range(ROUNDS):
            for name, calls in (("ours", ours), ("AsyncOpenAI", theirs)):
                with tempfile.TemporaryDirectory() as directory:
                    started = time.process_time()
                    await calls(service.base_url, Path(directory))
                    rates[name].append(CALLS / (time.process_time() - started))
    ratios = [a / b for a, b in zip(*rates.values(), strict=True)]
    for name, values in rates.items():
        print(f"{name:12} {statistics.median(values):8.0f} calls per CPU-second (median)")
    middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
    print(f"ratio        {middle:8.2f} (median of {ROUNDS} rounds; {low:.2f}–{high:.2f})")


if __name__ == "__main__":
    anyio.run(main)
