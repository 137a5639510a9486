"""Rules on the shape of a conversation: text, length, turns, their order and the end."""

from collections.abc import Sequence

from simia_async.messages import Message, visible_text
from simia_async.synthesis.rules.verdict import Case, Mended, Reject, texts_of

_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"


def not_too_long(case: Case) -> Mended | None:
    """No longer than the settings allow. What comes after may count on that."""
    length = len(case.text) + sum(
        len(name) for message in case.messages for name in _names(message)
    )
    if length > case.settings.max_characters:
        raise Reject(
            f"{length} characters; at most {case.settings.max_characters} are wanted "
            "(max_characters)"
        )
    return None


def storable_text(case: Case) -> Mended | None:
    """Text is text: no halves of surrogate pairs, no NULs. Neither can be stored everywhere."""
    names = [name for message in case.messages for name in _names(message)]
    if not _is_storable(case.text) or not _is_storable("".join(names)):
        for at, message in enumerate(case.messages):
            if not all(map(_is_storable, [*_names(message), *texts_of(message)])):
                raise Reject(f"turn {at}: holds half a surrogate pair or a NUL")
    return None


def _names(message: Message) -> list[str]:
    """All that it holds besides the texts that a rule looks at."""
    names = [message.tool_call_id, message.name, message.reasoning_content]
    for call in message.tool_calls or ():
        names += (call.id, call.function.name)
    return [name for name in names if name]


def _is_storable(text: str) -> bool:
    if text.isascii():
        return "\0" not in text
    try:
        return b"\0" not in text.encode()
    except UnicodeError:
        return False


def proper_end(case: Case) -> Mended | None:
    """The last word is the agent's reply, or the observation of a tool that ends conversations.
    A last word of the user that nobody answered is cut off.
    """
    messages = case.messages
    if len(messages) < 2:
        raise Reject("the agent never answers")
    if messages[-1].role == "user":
        if _kind(messages[-2]) != "reply":
            return None  # it speaks out of turn, which is another rule's
        _check_end(messages[:-1], case.environment.ending_tools)
        return Mended(messages[:-1], ["cut off the user's last word, which nobody answered"])
    _check_end(messages, case.environment.ending_tools)
    return None


def _check_end(messages: Sequence[Message], ending_tools: frozenset[str]) -> None:
    last = messages[-1]
    if last.role == "assistant" and not last.tool_calls:
        return
    if last.role == "tool":
        spoken = next((message for message in reversed(messages) if message.role != "tool"), last)
        if any(call.function.name in ending_tools for call in spoken.tool_calls or ()):
            return
    raise Reject(f"the conversation breaks off after {_KINDS[_kind(last)]}")


def no_empty_turns(case: Case) -> Mended | None:
    """User and agent say or call something; an observation may well be empty."""
    for at, message in enumerate(case.messages):
        if message.role == "tool" or message.tool_calls:
            continue
        content = message.content or ""
        said = visible_text(content) if "<think>" in content else content
        # Most turns begin with something that can be seen.
        if not said[:1].isalnum() and not said.strip().strip(_INVISIBLE).strip():
            raise Reject(f"turn {at} ({message.role}) is empty")
    return None


_KINDS = {
    "user": "a word of the user",
    "tool": "an observation",
    "reply": "a reply",
    "call": "a call",
    "system": "a system message",
}
_FOLLOWERS = {
    "user": {"assistant"},
    "tool": {"assistant", "tool"},
    "reply": {"user"},
    "call": {"tool"},
    "system": set(),
}


def role_order(case: Case) -> Mended | None:
    """The user opens; replies go to the user, calls to tools, observations to the agent.

    Two turns of one side are not made one: they look the same as a turn under the wrong role.
    """
    if case.messages[0].role != "user":
        raise Reject("the conversation does not open with the user")
    before = "user"
    for at, message in enumerate(case.messages[1:], 1):
        if message.role not in _FOLLOWERS[before]:
            raise Reject(f"turn {at} ({message.role}) follows {_KINDS[before]}")
        before = _kind(message)
    return None


def _kind(message: Message) -> str:
    if message.role == "assistant":
        return "call" if message.tool_calls else "reply"
    return message.role


def without_preface(messages: Sequence[Message]) -> list[Message]:
    """Without the system messages at the start: they are the environment's, not simulated."""
    first = next((at for at, m in enumerate(messages) if m.role != "system"), len(messages))
    return list(messages[first:])
