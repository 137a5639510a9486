"""What clients send."""

from typing import Any

import msgspec


class Submission(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client asks for."""

    kind: str
    settings: dict[str, Any] = {}
    """As keywords of the API: sections are objects."""
    data: list[str] = []
    """Ids of runs: those that an SFT run learns from, the one that is judged again, the one whose
    rollouts the meter of luck replays.
    """


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command for a run that goes on."""

    name: str
    arguments: dict[str, Any] = {}


class EnvironmentFiles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An environment as texts by relative path."""

    files: dict[str, str]
