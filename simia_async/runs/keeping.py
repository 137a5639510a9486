"""Conversations that were played well, kept for SFT: by the same rules as those an author wrote.

What is kept is a trajectory of its own, with its turns as the rules have repaired them; the rollout
stays what it was.
"""

from collections import Counter
from pathlib import Path

import anyio.to_thread
import msgspec
from simia_store import Reader, Store, TrajectoryRecord, TrajectoryStatus, TurnRecord

from simia_async.environments import Environment
from simia_async.messages import Message, messages_for_policy
from simia_async.runs.harvest import Finished, Harvest
from simia_async.synthesis.rules import apply_rules

ROLLOUT = "rollout"
"""Key in a kept trajectory's detail: the rollout it was made of."""

_SIMILARITY = 1.0
"""Rollouts of one task are alike by design; only what says the same is a duplicate."""
_AT_ONCE = 64
_KEPT_FROM = 1_000_000_000
"""What is kept of rollout n is trajectory n beyond this: no rollout has such a number, however many
the run comes to have."""


class Kept(msgspec.Struct, frozen=True):
    """What came of the rollouts that were good enough."""

    considered: int
    kept: int
    rejected: Counter[str]
    """Those that the rules kept out, by rule."""


async def keep_for_sft(store: Store, environment: Environment, reward: float) -> Kept:
    """Keep the scored rollouts with at least `reward`. Those of earlier sessions are not kept
    twice.
    """
    keeper = _Keeper(store, environment)
    good = await anyio.to_thread.run_sync(keeper.recall, reward)
    for start in range(0, len(good), _AT_ONCE):
        batch = good[start : start + _AT_ONCE]
        # One transaction a batch: a commit for each would take longer than the rules.
        await store.append(*await anyio.to_thread.run_sync(keeper.judge, batch))
    harvest = keeper.harvest
    return Kept(len(harvest.done), harvest.kept, harvest.rejected)


class _Keeper:
    def __init__(self, store: Store, environment: Environment) -> None:
        self.harvest = Harvest(_SIMILARITY)
        self._path: Path = store.path
        self._environment = environment

    def recall(self, reward: float) -> list[TrajectoryRecord]:
        """Rollouts to look at, in the order of their ids."""
        good, looked_at = [], set()
        with Reader(self._path) as reader:
            for record in reader.trajectories():
                if ROLLOUT in record.detail:
                    looked_at.add(record.detail[ROLLOUT])
                    self.harvest.take_up(reader, record)
                elif record.status == TrajectoryStatus.SCORED and _reached(record, reward):
                    good.append(record)
        return [record for record in good if record.id not in looked_at]

    def judge(self, rollouts: list[TrajectoryRecord]) -> list[TrajectoryRecord | TurnRecord]:
        """The records of what is made of them: too much work for the event loop."""
        made: list[TrajectoryRecord | TurnRecord] = []
        with Reader(self._path) as reader:
            for rollout in rollouts:
                messages = messages_for_policy(reader.turns(rollout.id))
                made += self._made_of(rollout, messages)
        return made

    def _made_of(
        self, rollout: TrajectoryRecord, messages: list[Message]
    ) -> tuple[TrajectoryRecord | TurnRecord, ...]:
        verdict = apply_rules(messages, self._environment)
        told = None if verdict.rejected_by else self.harvest.tell(verdict.messages)
        begun = TrajectoryRecord(
            _KEPT_FROM + rollout.id,
            rollout.environment,
            rollout.task_id,
            TrajectoryStatus.RUNNING,
            rollout.split,
            reward=rollout.reward,
            detail={ROLLOUT: rollout.id, "seed": rollout.task_id},
        )
        finished = Finished(verdict, told)
        ended, turns = self.harvest.end_now(begun, finished)
        return (ended, *turns)


def _reached(record: TrajectoryRecord, reward: float) -> bool:
    return record.reward is not None and record.reward >= reward
