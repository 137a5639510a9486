"""A large run for the dashboard to show: python benchmarks/tui_store.py RUN [TRAJECTORIES].

By default 100,000 trajectories of ten turns each, in groups of eight, of 1,250 steps. It is written
by the real store, with the same words again and again: what is looked for by its words is rare.
"""

import random
import sys
import time
from pathlib import Path

from simia_store import (
    CallRecord,
    GroupRecord,
    MetricRecord,
    RunRecord,
    RunStatus,
    StatisticsRecord,
    Store,
    TrajectoryRecord,
    TrajectoryStatus,
    TurnRecord,
    open_store,
)

from simia_async.speed import run_fast

TRAJECTORIES, TURNS, GROUP, GROUPS_A_STEP = 100_000, 10, 8, 10
SAID = "Thank you for the patience; the order will be with you before the end of the week. " * 2
ROLES = ("user", "assistant", "tool", "assistant", "user")


def trajectory(number: int, chance: random.Random) -> TrajectoryRecord:
    failed = chance.random() < 0.001
    return TrajectoryRecord(
        number,
        "mini-retail",
        f"mini-retail/train/task/{number // GROUP}",
        TrajectoryStatus.UNSCORED if failed else TrajectoryStatus.SCORED,
        group_id=number // GROUP,
        policy_version=number // GROUP // GROUPS_A_STEP,
        stop_reason="simulator_error" if failed else "user_done",
        reward=None if failed else float(chance.random() < 0.6),
        boundary="simulator" if failed else None,
        reason="HTTP 503 after 5 attempts" if failed else "state as wanted",
        detail={"criteria": {"state": True, "said": True, "finished": True}, "solved": True},
        finished_at=time.time(),
    )


def conversation(number: int) -> list[TurnRecord]:
    rare = " Nobody expects a zebra." if number % 10_000 == 5_000 else ""
    return [
        TurnRecord(
            number, position, ROLES[position % 5],
            {"role": ROLES[position % 5], "content": f"{position} {SAID}{rare}"},
            "llm" if ROLES[position % 5] != "assistant" else None,
        )
        for position in range(TURNS)
    ]  # fmt: skip


async def write(store: Store, trajectories: int) -> None:
    chance = random.Random(0)
    await store.append(RunRecord("big", "rl", {"steps": 1250}, RunStatus.DONE, None, 1.0, 9e4))
    for group in range(trajectories // GROUP):
        numbers = range(group * GROUP, (group + 1) * GROUP)
        rollouts = [trajectory(number, chance) for number in numbers]
        step = group // GROUPS_A_STEP
        task = rollouts[0].task_id
        rewards = [rollout.reward for rollout in rollouts]
        await store.append(
            GroupRecord(group, task, step, step, GROUP, rewards),
            *rollouts,
            *(turn for number in numbers for turn in conversation(number)),
            *(CallRecord(n, "user", "http://x", "m", 1, "ok", 0.5, 900, 40) for n in numbers),
        )
        if group % GROUPS_A_STEP == 0:
            names = ("rollout/reward_mean", "train/loss", "train/kl", "train/entropy")
            await store.append(*(MetricRecord(step, name, chance.random()) for name in names))
    await store.append(StatisticsRecord("scheduler", {"concurrency": 64, "waiting": 0}))


async def main() -> None:
    path = Path(sys.argv[1])
    trajectories = int(sys.argv[2]) if len(sys.argv) > 2 else TRAJECTORIES
    async with open_store(path) as store:
        await write(store, trajectories)
    print(f"{path}: {trajectories:,} trajectories")


if __name__ == "__main__":
    run_fast(main)
