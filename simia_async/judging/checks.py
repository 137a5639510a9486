"""The exact check of a conversation: code alone tells."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from simia_async.environments import CallPattern, Check
from simia_async.judging.case import Case, MadeCall
from simia_async.messages import Message, visible_text

_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


def check_case(case: Case) -> dict[str, bool] | None:
    """The check of a case by criterion; None where its task has none, or one that needs a state
    which nobody kept.
    """
    check = case.task.check
    if check is None or (case.wanted_state is not None and case.final_state is None):
        return None
    return check_exactly(
        check,
        case.final_state or {},
        case.history,
        case.made,
        wanted=case.wanted_state,
        finished=case.finished,
    )


def check_exactly(
    check: Check,
    state: dict[str, Any],
    messages: Iterable[Message],
    made: Sequence[MadeCall] = (),
    *,
    wanted: dict[str, Any] | None = None,
    finished: bool,
) -> dict[str, bool]:
    """The exact check by criterion: the task is done if all are true.

    `wanted` is the whole state that `check.final_state` means, where that is not the state itself;
    `finished` is whether the user got to the end of their scenario. Calls are criteria only where
    the check speaks of some.
    """
    goal = check.final_state if wanted is None else wanted
    criteria = {
        "state": goal is None or same_json(state, goal),
        "said": _said(check.must_say, messages),
        "finished": finished,
    }
    if check.required_calls:
        sound = [call for call in made if not call.is_error]
        criteria["required_calls"] = all(_is_among(p, sound) for p in check.required_calls)
    if check.forbidden_calls:
        criteria["forbidden_calls"] = not any(_is_among(p, made) for p in check.forbidden_calls)
    return criteria


def same_json(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: 1 is 1.0, and neither is true."""
    if one is other:
        return True  # States share what no call has changed, which may be a whole database.
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def _said(must_say: Iterable[Sequence[str]], messages: Iterable[Message]) -> bool:
    replies = [
        visible_text(message.content or "").lower()
        for message in messages
        if message.role == "assistant" and not message.tool_calls
    ]
    return all(
        any(all(_mentions(reply, word) for word in words) for reply in replies)
        for words in must_say
    )


def _mentions(reply: str, word: str) -> bool:
    """Whether the word stands in the reply, and not within another word or number. A number may be
    written with commas between its thousands.
    """
    pattern = re.compile(rf"(?<!\w){re.escape(word.lower())}(?!\w)")
    return any(map(pattern.search, (reply, _THOUSANDS.sub("", reply))))


def _is_among(pattern: CallPattern, calls: Iterable[MadeCall]) -> bool:
    return any(
        call.tool == pattern.tool
        and all(
            name in call.arguments and same_json(call.arguments[name], value)
            for name, value in pattern.arguments.items()
        )
        for call in calls
    )
