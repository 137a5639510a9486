"""The scripted user: makes the requests of a scenario one by one, each wrong id followed by
its correction, and then says goodbye. What they keep back until they are asked, they keep back.
"""

import re
from collections.abc import Iterable

import msgspec

from simia_async.environments.task import Scenario
from simia_async.messages import Message, visible_text
from simia_async.simulation.replies import UserReply

FAREWELL = "Thank you, that is all."
WAITING = "What do you need to know from me?"
"""Said as long as the agent does not ask for what comes next."""


class _Line(msgspec.Struct, frozen=True):
    text: str
    when: tuple[str, ...] = ()


def next_message(scenario: Scenario, history: Iterable[Message]) -> UserReply:
    """What the user says after `history`, which tells all there is to know."""
    lines = _lines(scenario)
    spoken, reply = 0, ""
    for message in history:
        if message.role == "assistant" and not message.tool_calls:
            reply = visible_text(message.content or "")
        elif message.role == "user" and _may_go_on(lines, spoken, reply):
            spoken += 1
    if spoken >= len(lines):
        return UserReply(FAREWELL, done=True)
    if _may_go_on(lines, spoken, reply):
        return UserReply(lines[spoken].text, done=False)
    return UserReply(WAITING, done=False)


def has_finished(history: Iterable[Message]) -> bool:
    """Whether the user has said goodbye, and so got to the end of the scenario."""
    return any(message.role == "user" and message.content == FAREWELL for message in history)


def _lines(scenario: Scenario) -> list[_Line]:
    lines = []
    for utterance in scenario.utterances:
        lines.append(_Line(utterance.text, utterance.when))
        if utterance.correction is not None:
            lines.append(_Line(utterance.correction))
    return lines


def _may_go_on(lines: list[_Line], spoken: int, reply: str) -> bool:
    """Whether the agent's reply lets the user say their next line."""
    when = lines[spoken].when if spoken < len(lines) else ()
    return not when or any(re.search(rf"(?i)\b{re.escape(word)}\b", reply) for word in when)
