"""Groups: G rollouts of one task from one snapshot of the world, on one pinned policy version."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import msgspec
from simia_store import FactRecord, GroupRecord, TrajectoryRecord, TurnRecord

from simia_async.environments import Task
from simia_async.errors import EndpointError
from simia_async.rollouts.conversation import Outcome, Seat, Setting, run_rollout
from simia_async.simulation.grounding import SharedFacts

Slot = Callable[[], AbstractAsyncContextManager[None]]
PlayRollout = Callable[[Setting, Seat], Awaitable[Outcome]]
"""Plays one conversation, here or elsewhere, as `run_rollout` does."""
OnOutcome = Callable[[Outcome], None]


class Member(msgspec.Struct, frozen=True):
    """One rollout of a group, as an earlier session left it."""

    record: TrajectoryRecord
    turns: Sequence[TurnRecord] = ()
    tokens: int = 0
    """Of prompt and reply at the policy's last turn, as its endpoint counted them."""
    facts: Sequence[FactRecord] = ()
    is_done: bool = False


class GroupPlan(msgspec.Struct, frozen=True):
    """A group to be played, or played on."""

    id: int
    task: Task
    size: int
    step: int = 0
    seed: int = 0
    """Of the first rollout's sampling; the others count on from it."""
    record: GroupRecord | None = None
    """Where it goes on."""
    facts: Sequence[FactRecord] = ()
    members: dict[int, Member] = {}
    """By trajectory."""

    def trajectory_ids(self) -> range:
        """Those of its rollouts; the same whenever the run goes on."""
        return range((self.id - 1) * self.size + 1, self.id * self.size + 1)


@asynccontextmanager
async def at_once() -> AsyncIterator[None]:
    """Room for everyone."""
    yield


async def run_group(
    plan: GroupPlan,
    setting: Setting,
    on_outcome: OnOutcome,
    *,
    slot: Slot = at_once,
    placed: Callable[[], None] = lambda: None,
    play: PlayRollout = run_rollout,
) -> list[Outcome]:
    """Play the group's rollouts, each when it has a slot, and store its rewards at the end.

    `placed` is called when all have theirs. What an earlier session has finished is not repeated.
    """
    group = plan.record or GroupRecord(
        plan.id, plan.task.id, plan.step, setting.policy.version, plan.size
    )
    facts = facts_of(plan.id, plan.task, setting)
    facts.restore(plan.facts)
    is_written = anyio.Event()
    outcomes: list[Outcome] = []
    rewards: dict[int, float | None] = {
        number: member.record.reward for number, member in plan.members.items() if member.is_done
    }
    left = [number for number in plan.trajectory_ids() if number not in rewards]
    waiting = len(left)

    async def take_seat(number: int, seed: int) -> None:
        nonlocal waiting
        async with slot():
            waiting -= 1
            if not waiting:
                placed()
            # Room first, so that the next group need not wait for this one's commit.
            await is_written.wait()
            outcome = await play(setting, _seat(plan, number, facts, seed))
        rewards[number] = outcome.reward
        outcomes.append(outcome)
        on_outcome(outcome)

    try:
        async with anyio.create_task_group() as members:
            for number in left:
                members.start_soon(
                    take_seat, number, plan.seed + number - plan.trajectory_ids().start
                )
            if plan.record is None:
                await setting.store.append(group)
            is_written.set()
    finally:
        placed()
    in_order = [rewards[number] for number in plan.trajectory_ids()]
    await setting.store.append(msgspec.structs.replace(group, rewards=in_order))
    return outcomes


def facts_of(group_id: int | None, task: Task, setting: Setting) -> SharedFacts:
    """The world that the rollouts of a group begin in."""
    snapshot = setting.environment.state_with(task.initial_state)
    return SharedFacts(group_id, snapshot, setting.store.append)


def _seat(plan: GroupPlan, number: int, facts: SharedFacts, seed: int) -> Seat:
    member = plan.members.get(number)
    if member is None:
        return Seat(number, plan.task, facts, seed)
    return Seat(
        number,
        plan.task,
        facts,
        seed,
        member.record,
        member.turns,
        member.tokens,
        member.facts,
    )


def check_some_reward(outcomes: list[Outcome], whose: str) -> None:
    """Raise `EndpointError` if no rollout got a reward: then there is nothing to go on with."""
    if all(outcome.reward is None for outcome in outcomes):
        first = outcomes[0]
        raise EndpointError(
            f"none of the {len(outcomes)} rollouts of {whose} got a reward; the first ended with "
            f"{first.stop_reason}: {first.why}"
        )
