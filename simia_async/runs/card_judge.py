"""A card's part on the judge: rubrics, every scoring, and what changed from one to the next."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import fmean
from typing import Any

from simia_store import Reader, ScoringRecord

from simia_async.runs.scorings import change_between, rewards_of
from simia_async.synthesis.markdown import table

_SCORING = ("scoring", "judge", "reward is", "votes", "criteria", "judged", "mean reward")
_CHANGE = ("scorings", "in both", "reward up", "reward down", "same side of one half")


def judge_sections(reader: Reader) -> list[str]:
    """Nothing for a run in which nothing is judged."""
    scorings = reader.scorings()
    if not scorings:
        return []
    sections = ["## Judge", table(_SCORING, (_row(reader, scoring) for scoring in scorings))]
    changes = list(_changes(reader, scorings))
    if changes:
        sections += ["What changed from one scoring to the next:", table(_CHANGE, changes)]
    return sections


def _row(reader: Reader, scoring: ScoringRecord) -> tuple[object, ...]:
    rubric: dict[str, Any] = scoring.rubric
    rewards = rewards_of(reader, scoring.id)
    criteria = ", ".join(each["name"] for each in rubric.get("criteria") or ())
    return (
        scoring.id,
        scoring.judge or "code alone",
        rubric.get("combine", "judge"),
        rubric.get("votes", 1),
        criteria or "those of each task",
        len(rewards),
        f"{fmean(rewards.values()):.3f}" if rewards else "–",
    )


def _changes(reader: Reader, scorings: Sequence[ScoringRecord]) -> Iterator[tuple[object, ...]]:
    for before, after in pairwise(scorings):
        change = change_between(reader, before.id, after.id)
        if change is not None:
            sides = f"{change.agreement:.1%}"
            yield f"{before.id} → {after.id}", change.both, change.up, change.down, sides
