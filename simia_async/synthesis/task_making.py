"""Tasks made of conversations: what a draft must be, and which tasks are held out."""

import hashlib
from collections.abc import Iterable, Mapping

import msgspec

from simia_async.environments import Environment, Scenario, Seed, Split, Task
from simia_async.environments.json_schemas import misfits
from simia_async.simulation import TaskDraft


class Source(msgspec.Struct, frozen=True):
    """A conversation to make a task of."""

    conversation: Seed
    seed: str
    """Id of the seed that it is, or was made from."""


def heldout_seeds(
    seeds: Iterable[str], share: float, settled: Mapping[str, Split]
) -> frozenset[str]:
    """Seeds whose tasks are held out: those whose hash, as a fraction, is below `share`.

    So the side of a seed depends on no other seed, and one that has tasks, in `settled`, stays
    where they are. Only where a side would be empty does the seed nearest to it go there: of one
    seed the tasks are for training, of two or more at least one is held out if `share` is not 0.
    """
    free = sorted(set(seeds) - settled.keys(), key=_place)
    heldout = {seed for seed, side in settled.items() if side == "heldout"}
    train = settled.keys() - heldout
    heldout |= {seed for seed in free if _fraction(seed) < share}
    train |= set(free) - heldout
    if free and not train:
        heldout.remove(free[-1])
    elif free and not heldout and share > 0 and len(train) > 1:
        heldout.add(free[0])
    return frozenset(heldout)


def _place(seed: str) -> tuple[float, str]:
    return _fraction(seed), seed


def _fraction(seed: str) -> float:
    """The hash of a seed's id, evenly spread between 0 and 1."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8]) / 2**64


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
