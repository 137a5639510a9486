"""RL runs in which roles fail now and then, and whether their record accounts for all of it."""

import statistics
from collections import Counter
from pathlib import Path

import pytest
from simia_store import Reader, TrajectoryRecord

from simia_async.builtin.server.protocol import ChatRequest
from simia_async.testing import Faults
from tests.rollout_servers import Say

FAULTS = Faults(
    rate_limit=0.05,
    server_error=0.03,
    drop=0.02,
    drop_mid=0.01,
    malformed=0.03,
    prose=0.03,
    html=0.01,
    retry_after_s=0.01,
)
"""What the client or the simulator mends by asking again."""
_BROKEN = {"judge_error", "simulator_error"}
_LEFT_OUT = ("masked", "zero_variance", "overflow", "unspoken", "stale")


def failing_every(number: int) -> Say:
    """Nonsense for every so many-th question, however often it is asked."""
    asked: dict[str, int] = {}

    def say(request: ChatRequest) -> str | None:
        place = asked.setdefault(request.prompt, len(asked))
        return "I would rather not say." if place % number == 1 else None

    return say


def check_counted(database: Path, steps: int) -> Counter[str]:
    """What the metrics of each step say is what the store holds; how its rollouts ended."""
    ended = Counter[str]()
    with Reader(database) as reader:
        for step in range(1, steps + 1):
            rollouts = [
                rollout
                for group in reader.groups(step)
                for rollout in reader.trajectories(group_id=group.id)
            ]
            ended += check_step(rollouts, metrics_of(reader, step))
    return ended


def metrics_of(reader: Reader, step: int) -> dict[str, float]:
    """Those of one step, by name."""
    return {
        name: metric.value
        for name in reader.metric_names()
        for metric in reader.metrics(name)
        if metric.step == step
    }


def check_step(rollouts: list[TrajectoryRecord], metrics: dict[str, float]) -> Counter[str]:
    ended = Counter(str(rollout.stop_reason) for rollout in rollouts)
    stops = {n: v for n, v in metrics.items() if n.startswith("rollout/stop/")}
    assert stops == {f"rollout/stop/{reason}": count for reason, count in ended.items()}
    rewards = [rollout.reward for rollout in rollouts if rollout.reward is not None]
    assert len(rewards) == sum(n for reason, n in ended.items() if reason not in _BROKEN)
    assert metrics["rollout/rollouts"] == metrics["train/rollouts"] == len(rollouts)
    assert metrics["rollout/no_reward"] == metrics["train/masked"] == len(rollouts) - len(rewards)
    assert metrics["rollout/reward_mean"] == pytest.approx(statistics.fmean(rewards))
    left_out = sum(metrics[f"train/{name}"] for name in _LEFT_OUT)
    assert metrics["train/trained"] + left_out == len(rollouts)
    return ended
