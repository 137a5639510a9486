"""The scripted author: re-tells a seed conversation with other people, ids, dates and words.

Rule-based. What stands in several places of the seed is replaced by the same new value in all of
them, so calls and observations stay consistent; what happens in the conversation stays the same.
"""

import random
from collections.abc import Sequence
from typing import Any

import msgspec

from simia_async.builtin.author.cast import Cast
from simia_async.builtin.author.documents import Rewrite, rewrite_document
from simia_async.builtin.author.scripted import ScriptedCast, reword_scripted
from simia_async.builtin.author.survey import survey
from simia_async.builtin.author.wording import Wording
from simia_async.messages import FunctionCall, Message, ToolCall


def retell(
    seed: Sequence[Message],
    request_seed: int,
    *,
    scripted_world: bool,
    wishes: dict[str, Any] | None = None,
) -> list[Message]:
    """A new conversation; the same for the same arguments.

    In a scripted world it has as many turns as the seed, and short numbers are replaced as well:
    nothing there is computed from them. Elsewhere prices stay, since they must still add up, and a
    word of thanks and its answer may be added at the end.

    Of `wishes` only `persona` is heeded, and not in a scripted world: the same text means the same
    way of talking. A rule-based author can not make up what else may be wished for.
    """
    rng = random.Random(f"{request_seed}/{len(seed)}")
    if scripted_world:
        return _retell_scripted(seed, rng)
    cast = Cast(rng, survey(seed))
    persona = (wishes or {}).get("persona")
    wording = Wording(rng, None if persona is None else str(persona))
    told: list[Message] = []
    for message in seed:
        moved = _recast(message, cast.rewrite)
        told.append(_reworded(moved, told, wording))
    return told + (wording.farewell(told) if told else [])


def _retell_scripted(seed: Sequence[Message], rng: random.Random) -> list[Message]:
    cast = ScriptedCast(rng)
    first_user = next((message for message in seed if message.role == "user"), None)
    told = []
    for message in seed:
        new = _recast(message, cast.rewrite, cast.rewrite)
        if message.role == "user":
            content = reword_scripted(rng, new.content or "", opening=message is first_user)
            new = msgspec.structs.replace(new, content=content)
        told.append(new)
    return told


def _recast(message: Message, rewrite: Rewrite, rewrite_number: Rewrite | None = None) -> Message:
    """The message about others: the same words, with what they name replaced."""
    content = message.content and rewrite_document(message.content, rewrite, rewrite_number)
    calls = [
        ToolCall(
            call.id,
            FunctionCall(
                call.function.name,
                rewrite_document(call.function.arguments, rewrite, rewrite_number, named=True),
            ),
        )
        for call in message.tool_calls or ()
    ]
    return msgspec.structs.replace(message, content=content, tool_calls=calls or None)


def _reworded(message: Message, before: Sequence[Message], wording: Wording) -> Message:
    if not message.content:
        return message
    opening = all(earlier.role != message.role for earlier in before)
    match message.role:
        case "user":
            content = wording.of_user(message.content, opening=opening)
        case "assistant" if not message.tool_calls:
            last = before[-1] if before else None
            content = wording.of_agent(message.content, opening=opening, before=last)
        case _:
            return message
    return msgspec.structs.replace(message, content=content)
