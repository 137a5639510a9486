"""Every call has its observation and every observation its call, told by the call's id."""

from collections.abc import Iterator

import msgspec

from simia_async.messages import Message, ToolCall
from simia_async.synthesis.rules.verdict import Case, Mended, Reject


def calls_are_answered(case: Case) -> Mended | None:
    """Calls and the observations right after them pair up by id.

    Ids that are missing, doubled or made up are renumbered if there are as many observations as
    calls and no id speaks against their order. Ids need not differ between turns.
    """
    messages = case.messages
    mended: list[Message] | None = None
    reasons = []
    for at, end in _batches(messages):
        calls = messages[at].tool_calls or []
        observations = messages[at + 1 : end]
        if _pair_up(calls, observations):
            continue
        _check_order(at, calls, observations, messages)
        mended = mended or list(messages)
        mended[at:end] = _renumbered(at, messages[at], observations)
        reasons.append(f"turn {at}: numbered its calls and their observations by their order")
    return Mended(mended, reasons) if mended else None


def _batches(messages: list[Message]) -> Iterator[tuple[int, int]]:
    """Where each turn with calls stands, and where the observations right after it end."""
    at = 0
    while at < len(messages):
        end = at + 1
        if messages[at].role == "tool":
            raise Reject(f"turn {at}: an observation without a call")
        if messages[at].tool_calls:
            while end < len(messages) and messages[end].role == "tool":
                end += 1
            yield at, end
        at = end


def _pair_up(calls: list[ToolCall], observations: list[Message]) -> bool:
    called = [call.id for call in calls]
    answered = [message.tool_call_id for message in observations]
    if called == answered and len(called) == 1:
        return called != [""]
    distinct = len(set(called)) == len(called) and "" not in called
    return distinct and len(answered) == len(called) and set(answered) == set(called)


def _check_order(
    at: int, calls: list[ToolCall], observations: list[Message], messages: list[Message]
) -> None:
    """Raise `Reject` unless the order alone can tell which observation answers which call."""
    if len(observations) < len(calls):
        raise Reject(f"turn {at}: a call was left without its observation")
    if len(observations) > len(calls):
        raise Reject(f"turn {at + len(calls) + 1}: an observation without a call")
    known = {call.id for message in messages for call in message.tool_calls or ()}
    for offset, (call, message) in enumerate(zip(calls, observations, strict=True), at + 1):
        answered = message.tool_call_id
        if answered and answered != call.id and answered in known:
            raise Reject(f"turn {offset}: the observation answers another call ({answered})")


def _renumbered(at: int, turn: Message, observations: list[Message]) -> list[Message]:
    calls = turn.tool_calls or []
    ids = [call.id for call in calls]
    if "" in ids or len(set(ids)) < len(ids):
        ids = [f"call_{at}_{number}" for number in range(len(ids))]
    renamed = [msgspec.structs.replace(call, id=new) for call, new in zip(calls, ids, strict=True)]
    return [
        msgspec.structs.replace(turn, tool_calls=renamed),
        *[
            msgspec.structs.replace(message, tool_call_id=new)
            for message, new in zip(observations, ids, strict=True)
        ],
    ]
