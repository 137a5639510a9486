"""Tools about people, and the way to a human."""

from typing import Any

from simia_async.builtin.exact.binding import State
from simia_async.builtin.exact.office.rights import found


def get_me(state: State) -> Any:
    """Who is signed in, and what day it is."""
    return state["me"]


def find_people(state: State, text: str) -> Any:
    """Colleagues whose name, title or team holds a text."""
    wanted = text.lower()
    return {
        "people": [
            {"email": email, **{key: person[key] for key in ("name", "title", "team")}}
            for email, person in state["people"].items()
            if any(wanted in person[key].lower() for key in ("name", "title", "team"))
        ]
    }


def get_person(state: State, email: str) -> Any:
    """All about one colleague."""
    return found(state, "people", email)


def hand_over_to_human(state: State, team: str, summary: str) -> Any:  # noqa: ARG001
    """The conversation goes to people of a team."""
    return {"handed_over_to": team}
