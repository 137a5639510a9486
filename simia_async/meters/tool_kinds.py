"""Whether a tool changes the world: as its environment declares, else as its name sounds."""

import re
from typing import Literal

from simia_async.environments import Environment

ToolKind = Literal["changes", "looks up", "unknown"]

_LOOK_UPS = frozenset(
    "calculate check count describe fetch find get inspect list look lookup preview query read "
    "retrieve search show summarize think validate verify view".split()
)
_CHANGES = frozenset(
    "accept activate add apply assign book buy cancel change charge close create deactivate "
    "decline delete disable edit enable exchange file insert install issue make mark modify move "
    "open order pay place post purchase put refund register remove rename replace reschedule "
    "reserve reset resume return revoke schedule send set start stop submit suspend swap toggle "
    "transfer uninstall unlock update upgrade write".split()
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def kind_of_tool(environment: Environment, name: str) -> ToolKind:
    """What is declared of tool `name`; where nothing is, what the first word of its name means."""
    effect = environment.effects.get(name)
    if effect is not None:
        return "changes" if effect.effect == "write" else "looks up"
    words = _WORD.findall(name)
    first = words[0].lower() if words else ""
    if first in _LOOK_UPS:
        return "looks up"
    return "changes" if first in _CHANGES else "unknown"


def is_declared(environment: Environment, name: str) -> bool:
    """Whether the environment itself says so."""
    return name in environment.effects
