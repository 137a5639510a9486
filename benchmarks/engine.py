"""Agent tokens a second of the policy engine, against the one it replaced: the same conversations,
in turn, in one process. The old one batched requests that came together, and computed every turn's
prompt anew.

python benchmarks/engine.py [conversations …]
"""

import asyncio
import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from simia_async.builtin.mini_retail import MINI_RETAIL
from simia_async.builtin.play import oracle_dialogue
from simia_async.builtin.templates import TEMPLATES, draw_task
from simia_async.config import TINY
from simia_async.inference import engine as new_engine
from simia_async.inference.requests import SampleRequest
from simia_async.models import model_directory
from simia_async.rendering.renderer import Renderer

OLD = "c5655aa:simia_async/inference/engine.py"
TURNS, MAX_TOKENS, REPEATS = 6, 40, 3
OBSERVATION = (
    "\n<|im_start|>user\n<tool_response>\n{'order': 'W%d', 'status': 'pending'}\n</tool_response>"
    "<|im_end|>\n<|im_start|>assistant\n"
)


def old_engine() -> ModuleType:
    source = subprocess.run(["git", "show", OLD], capture_output=True, check=True).stdout
    path = Path(tempfile.mkdtemp()) / "old_engine.py"
    path.write_bytes(source)
    spec = importlib.util.spec_from_file_location("old_engine", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["old_engine"] = module
    spec.loader.exec_module(module)
    return module


async def converse(
    engine: Any, request: Any, renderer: Renderer, first: list[int], seed: int
) -> int:
    """Agent tokens of one conversation."""
    ids, said = list(first), 0
    for turn in range(TURNS):
        wanted = request(ids, "policy@0", MAX_TOKENS, 1.0, seed * 100 + turn)
        sampled = await asyncio.wrap_future(engine.sample(wanted))
        said += len(sampled.token_ids)
        ids = ids + sampled.token_ids + renderer.encode(OBSERVATION % (1000 + seed))
    return said


def opening(renderer: Renderer, number: int) -> list[int]:
    """Policy, tools and what a user of mini-retail says first."""
    task = draw_task(MINI_RETAIL, TEMPLATES[number % len(TEMPLATES)], number, "train")
    return renderer.prompt_ids(oracle_dialogue(MINI_RETAIL, task)[:2], MINI_RETAIL.tools())


async def speed(engine: Any, request: Any, renderer: Renderer, conversations: int) -> float:
    openings = [opening(renderer, number) for number in range(conversations)]
    started = time.perf_counter()
    said = await asyncio.gather(
        *(converse(engine, request, renderer, ids, n) for n, ids in enumerate(openings))
    )
    return sum(said) / (time.perf_counter() - started)


def main() -> None:
    directory = model_directory(TINY)
    renderer = Renderer(directory)
    old = old_engine()
    for conversations in map(int, sys.argv[1:] or ["32", "128"]):
        speeds: dict[str, list[float]] = {"old": [], "new": []}
        for _ in range(REPEATS):
            for name, module, request in (
                ("old", old, old.SampleRequest),
                ("new", new_engine, SampleRequest),
            ):
                engine = module.Engine(directory, renderer.eos_id)
                speeds[name].append(asyncio.run(speed(engine, request, renderer, conversations)))
        was, now = (statistics.median(speeds[name]) for name in ("old", "new"))
        print(
            f"{conversations} conversations of {TURNS} turns: old {was:.0f} agent tokens/s, "
            f"new {now:.0f}, {now / was:.2f} times"
        )


if __name__ == "__main__":
    main()
