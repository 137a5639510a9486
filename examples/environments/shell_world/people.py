"""Who is signed in to the machine, and what all scripts begin with."""

from typing import Any

from scripting import Say, Step, User, call

from shell_world.machine import JONAS, PRIYA

SESSION = call("get_session")

_STARTS: dict[str, dict[str, Any]] = {
    "maya": {},
    "jonas": {"session": JONAS},
    "priya": {"session": PRIYA},
}
_NAMES = {"maya": "Maya Lindgren", "jonas": "Jonas Weber", "priya": "Priya Nair"}


def signed_in(who: str, **more: Any) -> dict[str, Any]:
    """What differs when this person is signed in, and what else does."""
    return {**_STARTS[who], **more}


def told(who: str, wish: str, manner: str = "") -> str:
    """What the simulated user is told."""
    agree = "If you are asked to confirm exactly what you want, say yes."
    return " ".join(
        part
        for part in (f"You are {_NAMES[who]}, signed in as {who}.", wish, agree, manner)
        if part
    )


def agreed(proposal: str, answer: str = "Yes, please.") -> list[Step]:
    """The agent says what it would do, and the user wants it."""
    return [Say(proposal), User(answer)]
