r"""tau-bench's two kinds of files. Both are read, neither is written.

Recorded trajectories hold everything: `{"traj": […], "reward": …, "task_id": …, "trial": …}`.

Few-shot examples are text for the eye, `{"messages_display": "user: …\nassistant: …\ntool: …"}`:
a call shows as `assistant: None`, or as what the agent said beside it, and what it called with
which arguments is nowhere told. They are read as incomplete. A turn starts at a line that begins
with a role which may speak then: the agent after the user or a tool, a tool or the user after the
agent. Any other line is text of the turn before it, whatever it begins with.
"""

import re
from typing import Any, get_args

import msgspec

from simia_async.formats.conversation import Conversation
from simia_async.formats.json_text import convert
from simia_async.formats.openai import read_messages
from simia_async.formats.refusals import NotReadable
from simia_async.messages import Message, Role

_ROLE = re.compile(r"(system|user|assistant|tool): ?")
_ROLES: dict[str, Role] = {role: role for role in get_args(Role)}
_MAY_FOLLOW: dict[Role, set[Role]] = {
    "system": {"user", "assistant"},
    "user": {"assistant"},
    "assistant": {"user", "tool"},
    "tool": {"assistant"},
}


class _Recorded(msgspec.Struct):
    traj: Any
    reward: float | None = None


class _Displayed(msgspec.Struct):
    messages_display: str


def read(line: dict[str, Any]) -> Conversation:
    """A recorded trajectory. Raises `NotReadable` naming the field."""
    recorded = convert(line, _Recorded)
    try:
        messages = read_messages(recorded.traj)
    except NotReadable as error:
        raise NotReadable(f"`traj`: {error}") from error
    return Conversation(messages, reward=recorded.reward)


def read_display(line: dict[str, Any]) -> Conversation:
    """A few-shot example. Raises `NotReadable` naming the field."""
    turns = _split(convert(line, _Displayed).messages_display)
    messages = [Message(role, None if _is_untold(role, text) else text) for role, text in turns]
    untold = _count_untold(messages)
    reason = f"{untold} of its tool calls are not told (`assistant: None`)" if untold else None
    return Conversation(messages, incomplete=reason)


def _split(text: str) -> list[tuple[Role, str]]:
    turns: list[tuple[Role, list[str]]] = []
    for line in text.split("\n"):
        match = _ROLE.match(line)
        role = _ROLES[match[1]] if match else None
        if match and role and (not turns or role in _MAY_FOLLOW[turns[-1][0]]):
            turns.append((role, [line[match.end() :]]))
        elif turns:
            turns[-1][1].append(line)
        else:
            raise NotReadable(
                "`messages_display` does not begin with a role; expected `user: …`, then a line "
                "that begins with `assistant: `, `tool: ` or `user: ` for each further turn"
            )
    return [(role, "\n".join(lines)) for role, lines in turns]


def _is_untold(role: Role, text: str) -> bool:
    return role == "assistant" and text == "None"


def _count_untold(messages: list[Message]) -> int:
    """Calls that happened: one for each observation, and the last one if nothing answers it."""
    answered = sum(message.role == "tool" for message in messages)
    last = messages[-1]
    return answered + (last.role == "assistant" and last.content is None)
