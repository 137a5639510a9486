"""What the agent thinks stands in `<think>` blocks: where they may stand, and which are kept."""

import re

import msgspec

from simia_async.messages import Message, visible_text
from simia_async.synthesis.rules.verdict import Case, Mended, Reject

_TAG = re.compile(r"<\s{0,3}/?\s{0,3}think(?:ing)?\s{0,3}/?>", re.IGNORECASE)


def think_tags(case: Case) -> Mended | None:
    """Only the agent thinks, at most once a turn, before it speaks, and in a block that is closed.

    Where a misplaced thought ends and speech begins is anybody's guess, so nothing of it is
    repaired. Of sound thoughts those stay that the settings want.
    """
    if _TAG.search(case.text):
        for at, message in enumerate(case.messages):
            _check(at, message)
    return None if case.settings.think == "keep" else _without_thoughts(case)


def _check(at: int, message: Message) -> None:
    if any(_TAG.search(call.function.arguments) for call in message.tool_calls or ()):
        raise Reject(f"turn {at}: a think tag in the arguments of a call")
    content = message.content or ""
    tags = _TAG.findall(content)
    if not tags:
        return
    if message.role != "assistant":
        raise Reject(f"turn {at}: a think tag in a turn of role {message.role}")
    if tags != ["<think>", "</think>"]:
        raise Reject(
            f"turn {at}: its think tags are {' '.join(tags[:6])}; a turn holds one "
            "<think>…</think> at most"
        )
    if not content.lstrip().startswith("<think>"):
        raise Reject(f"turn {at}: the agent speaks before it thinks")


def _without_thoughts(case: Case) -> Mended | None:
    messages = list(case.messages)
    emptied = []
    for at, message in enumerate(messages):
        wanted = case.settings.think == "calls" and message.tool_calls
        if message.role == "assistant" and not wanted and _thinks(message):
            said = visible_text(message.content or "") or None
            messages[at] = msgspec.structs.replace(message, content=said, reasoning_content=None)
            emptied.append(f"turn {at}: took the thought out (think = {case.settings.think})")
    return Mended(messages, emptied) if emptied else None


def _thinks(message: Message) -> bool:
    return message.reasoning_content is not None or "<think>" in (message.content or "")
