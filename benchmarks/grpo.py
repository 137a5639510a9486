"""Spoken tokens per second of a GRPO step on the tiny base: packed rows against padded batches.

Both learn from the same rollouts, conversations of mini-retail's oracle that begin with the same
policy and tools, with the same budget of tokens a batch; medians over rounds that take turns.
"""

import asyncio
import statistics
import tempfile
from pathlib import Path

from simia_store import GroupRecord, TrajectoryRecord, TrajectoryStatus, TurnRecord, open_store

from simia_async.builtin.mini_retail import MINI_RETAIL
from simia_async.builtin.play import oracle_dialogue
from simia_async.builtin.templates import TEMPLATES, draw_task
from simia_async.config import TINY, GrpoConfig
from simia_async.models import model_directory
from simia_async.rendering.renderer import Renderer
from simia_async.training.grpo import GrpoTrainer

GROUPS, SIZE, ROUNDS = 4, 8, 5


async def store_rollouts(path: Path) -> None:
    """Each group's members say the same, and every other one is rewarded."""
    renderer = Renderer(model_directory(TINY))
    async with open_store(path) as store:
        for group in range(GROUPS):
            task = draw_task(MINI_RETAIL, TEMPLATES[group], group, "train")
            told = renderer.sample(oracle_dialogue(MINI_RETAIL, task), MINI_RETAIL.tools())
            await store.append(GroupRecord(group + 1, "t", 1, 0, SIZE))
            for member in range(SIZE):
                number = group * SIZE + member + 1
                status, reward = TrajectoryStatus.SCORED, float(member % 2)
                await store.append(
                    TrajectoryRecord(number, "e", "t", status, group_id=group + 1, reward=reward),
                    *turns_of(number, told.ids, told.loss_mask),
                )


def turns_of(number: int, ids: list[int], mask: list[int]) -> list[TurnRecord]:
    """Stretches that were heard, each with what was said next."""
    turns: list[TurnRecord] = []
    heard: list[int] = []
    at = 0
    while at < len(ids):
        end = at
        while end < len(ids) and mask[end] == mask[at]:
            end += 1
        if mask[at]:
            said = ids[at:end]
            surely = [0.0] * len(said)
            turns.append(
                TurnRecord(
                    number,
                    len(turns),
                    "assistant",
                    {},
                    prompt_ids=heard,
                    token_ids=said,
                    logprobs=surely,
                )
            )
        else:
            heard = ids[at:end]
        at = end
    return turns


def main() -> None:
    speeds: dict[bool, list[float]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as place:
        data = Path(place) / "rl.db"
        asyncio.run(store_rollouts(data))
        trainers = {
            packing: GrpoTrainer(GrpoConfig(packing=packing, device="cpu"), Path(place))
            for packing in speeds
        }
        for _ in range(ROUNDS):
            for packing, trainer in trainers.items():
                speeds[packing].append(trainer.step(data, 1, 1)["tokens_per_second"])
    packed, padded = (statistics.median(speeds[packing]) for packing in (True, False))
    print(f"packed {packed:.0f} spoken tokens/s, padded {padded:.0f}: {packed / padded:.2f} times")


if __name__ == "__main__":
    main()
