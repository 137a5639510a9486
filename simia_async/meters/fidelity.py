"""How true a simulator is: all its observations together, by tool and kind of call, and beside them
what answers without any model would come to.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from simia_async.meters.figures import Figure, mean, share
from simia_async.meters.observations import Measured, measure
from simia_async.meters.steps import Step
from simia_async.meters.tool_kinds import ToolKind

Scored = tuple[Step, Measured]


class Fidelity(msgspec.Struct, frozen=True):
    """Figures of a number of calls; what each counts stands with `Measured`."""

    calls: int
    usable: Figure
    error_agreement: Figure
    """Share of the calls in which both tell of an error, or neither does."""
    errors_met: Figure
    """Of the recorded errors, those that the simulator tells as errors too."""
    successes_met: Figure
    """Of the recorded successes, those that it tells as successes too."""
    exact: Figure
    keys_f1: Figure
    leaves_f1: Figure
    consistent: Figure
    """Share of the observations that deny nothing of what was seen, among those that could."""


class FidelityReport(msgspec.Struct, frozen=True):
    """A simulator, and the baselines beside it."""

    overall: Fidelity
    by_kind: dict[ToolKind, Fidelity]
    by_tool: dict[str, Fidelity]
    """Those that are called most first."""
    baselines: dict[str, Fidelity]


BASELINES: Mapping[str, Callable[[Step], Any]] = {
    "last of the tool": lambda step: step.last_of_tool,
    "last of any tool": lambda step: step.last,
    "empty": lambda _: None,
}
"""Answers without a model: what the tool, or any, returned last in the conversation; nothing."""


def report(scored: Sequence[Scored], kinds: Mapping[str, ToolKind]) -> FidelityReport:
    """All figures. `kinds` tells of every tool whether it changes the world."""
    by_kind: dict[ToolKind, list[Scored]] = defaultdict(list)
    by_tool: dict[str, list[Scored]] = defaultdict(list)
    for each in scored:
        by_kind[kinds[each[0].tool]].append(each)
        by_tool[each[0].tool].append(each)
    most_called = sorted(by_tool, key=lambda name: (-len(by_tool[name]), name))
    return FidelityReport(
        summarize(scored),
        {kind: summarize(calls) for kind, calls in sorted(by_kind.items())},
        {name: summarize(by_tool[name]) for name in most_called},
        {name: baseline([step for step, _ in scored], name) for name in BASELINES},
    )


def summarize(scored: Sequence[Scored]) -> Fidelity:
    """The figures of some calls."""
    measured = [each for _, each in scored]
    return Fidelity(
        calls=len(measured),
        usable=share(each.usable for each in measured),
        error_agreement=share(each.error_agrees for each in measured),
        errors_met=share(each.error_agrees for each in measured if each.recorded_error),
        successes_met=share(each.error_agrees for each in measured if not each.recorded_error),
        exact=share(each.exact for each in measured),
        keys_f1=mean((step.conversation, each.keys_f1) for step, each in scored),
        leaves_f1=mean((step.conversation, each.leaves_f1) for step, each in scored),
        consistent=share(each.consistent for each in measured),
    )


def baseline(steps: Iterable[Step], name: str) -> Fidelity:
    """The figures of one of the `BASELINES`; where it has nothing to copy it says `{}`."""
    answer = BASELINES[name]
    scored = []
    for step in steps:
        copied = answer(step)
        said = {} if copied is None else copied
        scored.append((step, measure(step.truth, said, step.request, step.known)))
    return summarize(scored)
