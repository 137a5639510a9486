"""What scripts are written with. A script yields what the agent does next and is sent what came
back: the observation of a call, or what the user said to a reply.
"""

import re
from collections.abc import Callable, Generator
from typing import Any

import msgspec


class Call(msgspec.Struct, frozen=True):
    """The agent calls a tool."""

    tool: str
    arguments: dict[str, str]
    think: str = ""


class Say(msgspec.Struct, frozen=True):
    """The agent says something to the user."""

    text: str
    think: str = ""


Step = Call | Say
Script = Generator[Step, Any, Say]
"""Serves one request; what it returns is the last reply to it."""
Serve = Callable[[str], Script]
"""The script for what a user asks for."""


class Withdrawn(Exception):
    """The user does not want it any more."""


def converse(serve: Serve, said: str) -> Generator[Step, Any, None]:
    """A whole conversation: one request after the other, the first of which is `said`."""
    while True:
        try:
            reply = yield from serve(said)
        except Withdrawn:
            reply = Say("Very well, I have changed nothing.")
        said = yield reply


def call(tool: str, **arguments: str) -> Generator[Step, Any, Any]:
    """Call a tool; returns what it answered."""
    return (yield Call(tool, arguments))


def learn(said: str, pattern: str, question: str) -> Generator[Step, Any, str]:
    """What `pattern` finds in the user's words, asking as long as it is not there.

    Raises `Withdrawn` if the user takes their request back.
    """
    while not (found := re.search(pattern, said)):
        if re.search(r"(?i)\bnever mind\b", said):
            raise Withdrawn
        said = yield Say(question)
    return found.group(found.lastindex or 0)


def confirm(question: str) -> Generator[Step, Any, None]:
    """Ask for a yes. Raises `Withdrawn` if it does not come."""
    said = yield Say(question)
    if not re.match(r"(?i)yes\b", said):
        raise Withdrawn
