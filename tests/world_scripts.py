"""What holds for the scripts that the environments of the library were made with."""

from collections.abc import Collection
from typing import Any


def check_that_agents_ask_first(world: Any, scripting: Any, writes: Collection[str]) -> None:
    """Before the first of the calls that change something, the user has answered a question."""
    for script in world.scripts:
        asked = False
        for before, step in zip([None, *script.steps], script.steps, strict=False):
            asked |= isinstance(step, scripting.User) and isinstance(before, scripting.Say)
            if isinstance(step, scripting.Call) and step.tool in writes:
                assert asked, (script.id, step)
