"""Evaluation tasks that training data holds: what says the same, or is about the same things.

Four kinds, the strongest first; a task has the first that applies.

`exact`       all words of its scenario, or all that its user says, are those of training data
`near`        nearly so: the share of runs of five words in common (Jaccard, estimated by MinHash,
              as duplicates are found in synthesis)
`seed`        it was made of the same seed
`shared_ids`  its user, or a call that it asks for, names an id that training data names too
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import msgspec

from simia_async.environments import Task
from simia_async.messages import Message
from simia_async.synthesis.dedupe import Duplicate, Duplicates, sketch

Kind = Literal["exact", "near", "seed", "shared_ids"]
LeaveOut = Literal["none", "duplicates", "all"]

_WORD = re.compile(r"\w+")
_ID = re.compile(
    r"(?<![\w-])(?:"
    r"(?=[A-Z]*\d)(?=\d*[A-Z])[A-Z0-9]{5,}"  # W2378156, SI5UKW
    r"|[A-Za-z]+(?:[-_][A-Za-z]+)*[-_]\d+"  # sara_doe_496
    r"|\d{6,}"
    r")(?![\w-])"
    r"|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"  # sara.doe@example.com
)


class TrainingText(msgspec.Struct, frozen=True):
    """One task or conversation that something was trained on."""

    where: str
    """For people: which one of which file or run."""
    scenario: str = ""
    """What its user was told to want; empty where that is not known."""
    said: str = ""
    """What its user said, or has to say."""
    ids: frozenset[str] = frozenset()
    seed: str = ""
    """Id of the seed it was made of, if it was."""


class Finding(msgspec.Struct, frozen=True):
    """One task that training data holds."""

    task_id: str
    kind: Kind
    where: str
    similarity: float | None = None
    """Estimated, of near duplicates."""
    ids: list[str] = []
    """That both name, of those that share ids."""


class Contamination(msgspec.Struct, frozen=True):
    """What was found."""

    training_texts: int
    tasks: int
    findings: list[Finding]
    left_out: list[str]
    """Ids of tasks that are not played."""

    @property
    def counts(self) -> dict[str, int]:
        """Tasks by kind, and the totals."""
        kinds: dict[str, int] = dict.fromkeys(("exact", "near", "seed", "shared_ids"), 0)
        for finding in self.findings:
            kinds[finding.kind] += 1
        totals = {"training_texts": self.training_texts, "tasks": self.tasks}
        return {**totals, **kinds, "left_out": len(self.left_out)}


def drop_contaminated(
    tasks: Sequence[Task], texts: Sequence[TrainingText], similarity: float, leave_out: LeaveOut
) -> tuple[list[Task], Contamination]:
    """The tasks that are to be played, and what was found of all. Pure; safe in any thread."""
    findings = list(_findings(tasks, texts, similarity))
    harmless = {"none": ("exact", "near", "seed", "shared_ids"), "duplicates": ("shared_ids",)}
    kept_kinds = harmless.get(leave_out, ())
    out = {finding.task_id for finding in findings if finding.kind not in kept_kinds}
    left_out = [task.id for task in tasks if task.id in out]
    kept = [task for task in tasks if task.id not in out]
    return kept, Contamination(len(texts), len(tasks), findings, left_out)


def text_of_task(task: Task, where: str) -> TrainingText:
    """What is compared of a task."""
    utterances = [utterance.text for utterance in task.scenario.utterances]
    said = utterances or [m.content or "" for m in task.reference if m.role == "user"]
    calls = [call.arguments for call in task.check.required_calls] if task.check else []
    scenario = task.scenario.instructions
    named = [scenario, *said, *_texts(calls)]
    return TrainingText(where, scenario, "\n".join(said), ids_in(named), task.seed)


def ids_in(texts: Iterable[str]) -> frozenset[str]:
    """What has the shape of an id, in lower case: capitals and digits mixed, a name with a number
    behind `_` or `-`, six digits and more, an e-mail address.
    """
    return frozenset(found.lower() for text in texts for found in _ID.findall(text))


def _findings(
    tasks: Sequence[Task], texts: Sequence[TrainingText], similarity: float
) -> Iterator[Finding]:
    scenarios, said = _Known(similarity), _Known(similarity)
    by_seed: dict[str, str] = {}
    by_id: dict[str, str] = {}
    for text in texts:
        scenarios.add(text.where, text.scenario)
        said.add(text.where, text.said)
        if text.seed:
            by_seed.setdefault(text.seed, text.where)
        for each in text.ids:
            by_id.setdefault(each, text.where)
    for task in tasks:
        own = text_of_task(task, task.id)
        found = [each for each in (scenarios.of(own.scenario), said.of(own.said)) if each]
        best = max(found, key=lambda each: (each.exact, each.similarity), default=None)
        shared = sorted(own.ids & by_id.keys())
        if best is not None:
            kind: Kind = "exact" if best.exact else "near"
            yield Finding(task.id, kind, best.of, best.similarity)
        elif own.seed in by_seed:
            yield Finding(task.id, "seed", by_seed[own.seed])
        elif shared:
            yield Finding(task.id, "shared_ids", by_id[shared[0]], ids=shared)


class _Known:
    """Texts of one sort, and which of them another text repeats."""

    def __init__(self, similarity: float) -> None:
        self._duplicates = Duplicates(similarity)

    def add(self, where: str, text: str) -> None:
        if words := _words(text):
            self._duplicates.add(where, words, sketch([Message("user", text)]))

    def of(self, text: str) -> Duplicate | None:
        words = _words(text)
        return self._duplicates.of(words, sketch([Message("user", text)])) if words else None


def _words(text: str) -> str:
    return " ".join(_WORD.findall(text.lower()))


def _texts(value: Any) -> Iterator[str]:
    """All texts and numbers in a JSON value."""
    if isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str | int) and not isinstance(value, bool):
        yield str(value)
