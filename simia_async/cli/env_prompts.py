"""Whether an environment's own prompts ask for what is read from the answers."""

import re

from simia_async.environments import Environment
from simia_async.simulation.prompts import TAGS

KEYS = {
    "user": ("message", "done"),
    "tool": ("observation", "ops"),
    "joint": ("message", "observation"),
    "judge": ("reward",),
    "author": ("messages",),
    "reviewer": ("complete", "logical", "well_formed"),
    "task_author": ("instructions", "goal", "needs_action"),
}
"""What each role's JSON answer must hold."""

_TAG = re.compile(r"<([a-z_]+)>")
_NO_SECTIONS = {"think"}
"""Tags that a prompt may speak of without meaning a section."""


def prompt_warnings(environment: Environment) -> list[str]:
    """What the prompts of an environment seem to lack, a sentence each."""
    return [
        f"{environment.directory}/prompts/{role}.md: {lack}"
        for role, words in environment.prompts.items()
        for lack in lacks(role, words, has_device=bool(environment.user_tools))
    ]


def lacks(role: str, words: str, *, has_device: bool = False) -> list[str]:
    """What `words` lack as the prompt of a role. `has_device`: whether the user has tools; what is
    to be said of these is added to any words.
    """
    missing = [key for key in KEYS[role] if not re.search(rf"\b{key}\b", words)]
    found = [f"does not ask for {_quoted(missing)} in the JSON answer"] if missing else []
    sections = {str(name): tags for name, tags in TAGS.items()}[role]
    strange = [tag for tag in dict.fromkeys(_TAG.findall(words)) if tag not in sections]
    also = {"device"} if has_device else set()
    strange = [f"<{tag}>" for tag in strange if tag not in _NO_SECTIONS | also]
    if strange:
        given = ", ".join(f"<{tag}>" for tag in sections)
        found.append(f"speaks of {', '.join(strange)}, which the role does not get ({given})")
    return found


def _quoted(keys: list[str]) -> str:
    return ", ".join(f"`{key}`" for key in keys)
