"""A rubric: what a judge looks at, and how that makes a reward. A TOML file may hold one."""

from collections.abc import Collection
from typing import Annotated, Literal

import msgspec

from simia_async.environments import Criterion, Task
from simia_async.errors import UsageError

Combine = Literal["judge", "check", "gate", "product", "mean", "min"]


class Rubric(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How conversations are judged."""

    criteria: tuple[Criterion, ...] = ()
    """Empty: those of each task."""
    combine: Combine = "judge"
    """What the reward is made of: the judge's alone (`judge`); the exact check alone, 1 or 0, and
    no LLM is asked (`check`); the judge's where the check holds, else 0 without asking (`gate`);
    both multiplied (`product`), averaged (`mean`), or the lesser of them (`min`). Where a task has
    no check, all but `check` are the judge's."""
    votes: Annotated[int, msgspec.Meta(ge=1)] = 1
    """How often the judge is asked of one conversation."""
    instructions: str = ""
    """What the judge is told besides."""

    @property
    def asks_llm(self) -> bool:
        """Whether an LLM is ever asked."""
        return self.combine != "check"

    def criteria_of(self, task: Task) -> tuple[Criterion, ...]:
        """What is looked at in one task."""
        return self.criteria or task.rubric

    def is_settled_by(self, checks: dict[str, bool]) -> bool:
        """Whether the exact check is enough to tell the reward: 1 if all of it holds, else 0."""
        return self.combine == "check" or (self.combine == "gate" and not all(checks.values()))


def check_judgeable(rubric: Rubric, tasks: Collection[Task], *, keeps_state: bool = True) -> None:
    """Raise `UsageError` for a task that the rubric cannot judge, as in a world without state one
    that is checked by it.
    """
    if rubric.combine != "judge" and not keeps_state:
        by_state = next((t for t in tasks if t.check and t.check.final_state is not None), None)
        if by_state is not None:
            raise UsageError(
                f"task {by_state.id!r} is checked by its final state, which a transcript world "
                "does not keep, and the rubric counts by checks "
                f'(`combine = "{rubric.combine}"`): play a grounded world, or combine by "judge"'
            )
    if rubric.asks_llm:
        return
    bare = next((task for task in tasks if task.check is None), None)
    if bare is not None:
        raise UsageError(
            f"task {bare.id!r} has no exact `check`, which is all that the rubric counts by "
            '(`combine = "check"`); add one, or combine otherwise'
        )


def combined(rubric: Rubric, judged: float, holds: bool | None) -> float:
    """The reward, of the judge's and of whether the exact check holds; None: there is none."""
    if holds is None:
        return judged
    match rubric.combine:
        case "judge":
            return judged
        case "check":
            return float(holds)
        case "gate" | "product":
            return judged * holds
        case "mean":
            return (judged + holds) / 2
        case "min":
            return min(judged, float(holds))
