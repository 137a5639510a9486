"""Groups: G rollouts of one task on one pinned policy version."""

from collections.abc import Callable

import anyio
import msgspec
from simia_store import GroupRecord

from simia_async.environments import Environment, Task
from simia_async.errors import EndpointError
from simia_async.rollouts.conversation import Outcome, Placement, Policy, run_rollout
from simia_async.simulation import Simulator


def check_some_reward(outcomes: list[Outcome], whose: str) -> None:
    """Raise `EndpointError` if no rollout got a reward: then there is nothing to go on with."""
    if all(outcome.reward is None for outcome in outcomes):
        first = outcomes[0]
        raise EndpointError(
            f"none of the {len(outcomes)} rollouts of {whose} got a reward; the first ended with "
            f"{first.stop_reason}: {first.why}"
        )


OnOutcome = Callable[[Outcome], None]


async def run_group(
    group_id: int,
    step: int,
    task: Task,
    size: int,
    environment: Environment,
    policy: Policy,
    simulator: Simulator,
    place: Placement,
    on_outcome: OnOutcome,
) -> None:
    """Play `task` `size` times at once, and store the group with its rewards."""
    group = GroupRecord(group_id, task.id, step, policy.version, size)
    await place.store.append(group)
    rewards: list[float | None] = [None] * size

    async def play(member: int) -> None:
        seat = Placement(place.store, group_id, seed=place.seed + member)
        outcome = await run_rollout(task, environment, policy, simulator, seat)
        rewards[member] = outcome.reward
        on_outcome(outcome)

    async with anyio.create_task_group() as members:
        for member in range(size):
            members.start_soon(play, member)
    await place.store.append(msgspec.structs.replace(group, rewards=rewards))
