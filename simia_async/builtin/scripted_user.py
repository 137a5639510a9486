"""The scripted user: makes the requests of a scenario one by one, each wrong id followed by
its correction, and then says goodbye.
"""

from collections.abc import Iterable

from simia_async.environments.task import Scenario
from simia_async.messages import Message
from simia_async.simulation.replies import UserReply

FAREWELL = "Thank you, that is all."


def next_message(scenario: Scenario, history: Iterable[Message]) -> UserReply:
    """What the user says after `history`: their next line, whatever the agent said."""
    lines = [
        text
        for utterance in scenario.utterances
        for text in (utterance.text, utterance.correction)
        if text is not None
    ]
    spoken = _times_spoken(history)
    if spoken < len(lines):
        return UserReply(lines[spoken], done=False)
    return UserReply(FAREWELL, done=True)


def has_finished(history: Iterable[Message]) -> bool:
    """Whether the user has said goodbye, and so got to the end of the scenario."""
    return any(message.role == "user" and message.content == FAREWELL for message in history)


def _times_spoken(history: Iterable[Message]) -> int:
    return sum(message.role == "user" for message in history)
