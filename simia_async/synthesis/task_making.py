"""Tasks made of conversations: what a draft must be, and which tasks are held out."""

import hashlib
from collections.abc import Iterable
from math import ceil

import msgspec

from simia_async.environments import Environment, Scenario, Seed, Split, Task
from simia_async.environments.json_schemas import misfits
from simia_async.simulation import TaskDraft


class Source(msgspec.Struct, frozen=True):
    """A conversation to make a task of."""

    conversation: Seed
    seed: str
    """Id of the seed that it is, or was made from."""


def heldout_seeds(sources: Iterable[Source], share: float) -> frozenset[str]:
    """Seeds whose tasks are held out: `share` of them, at least one if there are two or more.

    All tasks of a seed are on one side, and which side that is does not depend on the order.
    """
    seeds = sorted(
        {source.seed for source in sources},
        key=lambda seed: (hashlib.sha256(seed.encode()).digest(), seed),
    )
    if len(seeds) < 2 or share == 0:
        return frozenset()
    return frozenset(seeds[: min(ceil(share * len(seeds)), len(seeds) - 1)])


def check_draft(draft: TaskDraft, environment: Environment) -> None:
    """Raise `msgspec.ValidationError` unless the drafted state is one that the world can have, and
    success can be told.
    """
    if not draft.rubric:
        raise msgspec.ValidationError("`rubric` is empty; it must hold at least one criterion")
    if environment.state_schema is None:
        return
    state = environment.state_with(draft.initial_state)
    if problem := next(iter(misfits(state, environment.state_schema)), None):
        raise msgspec.ValidationError(f"`initial_state`: {problem}")


def as_task(draft: TaskDraft, source: Source, environment: Environment, split: Split) -> Task:
    """The task of a draft that was checked."""
    return Task(
        id=source.conversation.id,
        environment=environment.name,
        split=split,
        scenario=Scenario(draft.instructions),
        initial_state=draft.initial_state,
        needs_action=draft.needs_action,
        goal=draft.goal,
        rubric=draft.rubric,
        reference=tuple(source.conversation.messages),
        seed=source.seed,
    )
