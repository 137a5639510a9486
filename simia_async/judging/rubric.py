"""A rubric: what a judge looks at, and how that makes a reward. A TOML file may hold one."""

import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
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
    """What the reward is made of: the judge's alone (`judge`); the exact check alone, and no LLM is
    asked (`check`); the judge's, but 0 unless the check holds (`gate`); both multiplied
    (`product`), averaged (`mean`), or the lesser of them (`min`). Where a task has no check, all
    but `check` are the judge's."""
    votes: Annotated[int, msgspec.Meta(ge=1)] = 1
    """How often the judge is asked of one conversation."""
    instructions: str = ""
    """What the judge is told besides."""

    def criteria_of(self, task: Task) -> tuple[Criterion, ...]:
        """What is looked at in one task."""
        return self.criteria or task.rubric


def load_rubric(path: Path) -> Rubric:
    """The rubric in a TOML file. Raises `UsageError` naming file and field."""
    try:
        rubric = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Rubric)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeError, msgspec.ValidationError) as error:
        raise UsageError(f"{path}: {error}; expected a rubric in TOML") from error
    counts = Counter(criterion.name for criterion in rubric.criteria)
    if twice := next((name for name, count in counts.items() if count > 1), None):
        raise UsageError(f"{path}: `criteria`: {twice!r} is the name of two; give each its own")
    return rubric


def check_judgeable(rubric: Rubric, tasks: Iterable[Task]) -> None:
    """Raise `UsageError` for a task that the rubric cannot judge."""
    if rubric.combine == "check":
        bare = next((task for task in tasks if task.check is None), None)
        if bare is not None:
            raise UsageError(
                f"task {bare.id!r} has no exact `check`, which is all that the rubric counts by "
                '(`combine = "check"`); add one, or combine otherwise'
            )


def combined(rubric: Rubric, judged: float, holds: bool | None) -> float:
    """The reward, of the judge's and of whether the exact check holds."""
    if holds is None:
        return judged
    checked = float(holds)
    match rubric.combine:
        case "gate" | "product":
            return judged * checked
        case "mean":
            return (judged + checked) / 2
        case "min":
            return min(judged, checked)
        case "check":
            return checked
        case "judge":
            return judged
