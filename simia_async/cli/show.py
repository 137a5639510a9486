"""`simia show`: one conversation, readable. What it shows is text, never markup."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.padding import Padding
from rich.text import Text
from simia_store import CallRecord, printable

from simia_async.cli.output import AsJson, fail, print_json, show, stdout
from simia_async.cli.transcript import JudgementView, Transcript, TurnView, read_transcript
from simia_async.errors import SimiaError

_WHO = {
    "user": "user",
    "assistant": "agent",
    "tool": "tool",
    "system": "system",
    "user_call": "user, on their own device",
    "user_tool": "the user's device",
}
_STYLES = {
    "user": "bold cyan",
    "agent": "bold green",
    "tool": "bold yellow",
    "user, on their own device": "cyan",
    "the user's device": "yellow",
}
_SOURCES = {
    "code": "answered by code",
    "fact": "a fact that was told before",
    "llm": "answered by the simulator",
    "function": "answered by a Python function",
}
_SHOWN = 400
"""Characters of a state change that are shown; `--json` has it whole."""


def show_trajectory(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="Database of a run.")],
    number: Annotated[int, typer.Argument(metavar="TRAJECTORY", help="Number of it.")],
    calls: Annotated[
        bool, typer.Option("--calls", help="Also every LLM call that was made for it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """One conversation: what was said and called, who answered, what changed, and its reward."""
    try:
        transcript = read_transcript(path, number, calls=calls)
    except SimiaError as error:
        fail(error)
    if as_json:
        print_json(transcript)
    else:
        print_transcript(transcript)


def print_transcript(transcript: Transcript) -> None:
    """Print it, from its head to its judgements."""
    _print_head(transcript)
    for turn in transcript.turns:
        _print_turn(turn)
    if transcript.turns and transcript.judgements:
        stdout.print()
    for judgement in transcript.judgements:
        _print_judgement(judgement)
    for call in transcript.calls or ():
        show("call", _call(call))


def _print_head(transcript: Transcript) -> None:
    trajectory, task = transcript.trajectory, transcript.task
    show("trajectory", f"{trajectory.id} of {transcript.run}, {trajectory.status}")
    show("task", f"{trajectory.task_id} ({trajectory.split}), {trajectory.environment}")
    if task is not None and task.get("goal"):
        show("goal", task["goal"])
    if trajectory.group_id is not None:
        show("group", trajectory.group_id)
    if trajectory.policy_version is not None:
        show("policy", f"version {trajectory.policy_version}")
    if trajectory.stop_reason:
        show("ended", trajectory.stop_reason)
    if trajectory.stop_reason or trajectory.reward is not None:
        show("reward", "none" if trajectory.reward is None else f"{trajectory.reward:g}")
    if (solved := trajectory.detail.get("solved")) is not None:
        show("solved", _yes(solved))
    if trajectory.rejected_by:
        show("rejected", f"by {trajectory.rejected_by}")
    if trajectory.reason:
        show("reason", trajectory.reason)
    for repair in trajectory.detail.get("repairs", ()):
        show("repaired", f"{repair.get('rule')}: {repair.get('reason', '')}")


def _print_turn(turn: TurnView) -> None:
    who = _WHO.get(turn.role, turn.role)
    head = Text(f"\n{turn.number} ")
    head.append(who, _STYLES.get(who, "bold"))
    if turn.role in ("user_call", "user_tool"):
        head.append(" · unseen by the agent", "dim")
    if turn.role in ("tool", "user_tool") and turn.source:
        head.append(f" · {_SOURCES.get(turn.source, turn.source)}", "dim")
    if turn.is_error:
        head.append(" · error", "bold red")
    if turn.ends:
        head.append(f" · ends the conversation: {turn.ends}", "dim")
    stdout.print(head)
    if turn.thoughts:
        _print_indented(f"(thinks) {turn.thoughts}", "dim italic")
    if turn.text:
        _print_indented(turn.text)
    for call in turn.calls:
        _print_indented(f"→ {call.name}({_arguments(call.arguments)})", "green")
    for change in turn.changes:
        _print_indented(f"± {_short(str(change))}", "magenta")


def _print_judgement(judgement: JudgementView) -> None:
    how = f"{judgement.judge or 'code alone'}, {judgement.rubric.get('combine', 'judge')}"
    reward = "none" if judgement.reward is None else f"{judgement.reward:g}"
    show("scoring", f"{judgement.scoring} ({how}): reward {reward}")
    detail = judgement.detail
    for kind in ("criteria", "checks"):
        for name, met in detail.get(kind, {}).items():
            _print_indented(f"{_yes(met)}  {name}" + (" (exact)" if kind == "checks" else ""))
    if judgement.reason:
        _print_indented(judgement.reason)
    if "votes" in detail:
        votes = ", ".join(f"{vote['reward']:g}" for vote in detail["votes"])
        _print_indented(f"votes {votes}; agreement {detail['agreement']:.0%}")


def _call(call: CallRecord) -> str:
    tokens = f"{call.tokens_in} tokens in, {call.tokens_out} out"
    failed = "" if call.error is None else f": {call.error}"
    return f"{call.role} {call.model}: {call.status} in {call.latency_s:.2f} s, {tokens}{failed}"


def _print_indented(text: str, style: str = "") -> None:
    stdout.print(Padding(Text(printable(text), style), (0, 0, 0, 4), expand=False))


def _arguments(text: str) -> str:
    """Arguments as in a call; as they were written where they are no JSON object."""
    try:
        arguments = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return text
    return ", ".join(_named(arguments.items()))


def _named(items: Iterable[tuple[str, Any]]) -> Iterable[str]:
    return (f"{name}={msgspec.json.encode(value).decode()}" for name, value in items)


def _yes(met: bool | float) -> str:
    """A criterion that is met or not; a share as it is."""
    return f"{met:g}" if not isinstance(met, bool) else "yes" if met else "no"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
