"""The scripted reviewer of seeds, and the scripted author of tasks. Rule-based, not an LLM.

The reviewer sees what is missing and what is out of order; it cannot tell whether a conversation
makes sense, and fills nothing in. A task is made of the very words of its seed.
"""

import itertools
from typing import Any

import msgspec

from simia_async.builtin.shaped import shaped
from simia_async.environments.task import Criterion
from simia_async.messages import Message, visible_text
from simia_async.simulation.replies import Review, TaskDraft


class SeedToReview(msgspec.Struct):
    """The reviewer's `<seed>`."""

    messages: list[Message]
    not_told: str | None = None
    """What its file does not tell."""


class KnownState(msgspec.Struct):
    """The task author's `<state>`."""

    schema: dict[str, Any] | None = None
    initial: dict[str, Any] | None = None


def review(seed: SeedToReview) -> Review:
    """A verdict by form alone."""
    missing = seed.not_told or _missing(seed.messages)
    disorder = _disorder(seed.messages)
    reason = missing or disorder or "nothing is missing and the turns are in order"
    return Review(not missing, logical=True, well_formed=not disorder, reason=reason)


def _missing(messages: list[Message]) -> str | None:
    unanswered: set[str] = set()
    for at, message in enumerate(messages):
        calls = message.tool_calls or []
        if message.role == "assistant" and not calls and not visible_text(message.content or ""):
            return f"turn {at}: the agent neither says nor calls anything"
        unanswered |= {call.id for call in calls}
        unanswered.discard(message.tool_call_id or "")
    return f"{len(unanswered)} calls without their observation" if unanswered else None


def _disorder(messages: list[Message]) -> str | None:
    if not messages or messages[0].role != "user":
        return "the user does not open"
    for at, (one, following) in enumerate(itertools.pairwise(messages)):
        if one.role == following.role == "user":
            return f"turn {at + 1}: the user speaks twice in a row"
        if following.role == "tool" and one.role != "tool" and not one.tool_calls:
            return f"turn {at + 1}: an observation that nobody called for"
    return None


def draft_task(seed: list[Message], state: KnownState) -> TaskDraft:
    """The task behind a conversation: the user's words are the instructions, the agent's calls the
    goal. What the world was like stays as the environment says.
    """
    wishes = [message.content for message in seed if message.role == "user" and message.content]
    called = [call.function.name for message in seed for call in message.tool_calls or ()]
    names = ", ".join(dict.fromkeys(called))
    goal = f"What the user asked for is done with {names}." if called else "The user is answered."
    return TaskDraft(
        instructions="You say, one after the other: " + " / ".join(wishes),
        goal=goal,
        needs_action=bool(called),
        initial_state=_initial_state(seed, state),
        rubric=(
            Criterion("done", goal),
            Criterion("policy", "The agent followed the policy throughout."),
        ),
    )


_READS = ("get_", "find_", "list_", "search_")


def _initial_state(seed: list[Message], state: KnownState) -> dict[str, Any]:
    """Nothing beside an initial state that is known, a value of the schema's shape where there is
    one, else what the first look-ups returned.
    """
    if state.initial is not None:
        return {}
    if state.schema is not None:
        value = shaped(state.schema, 0)
        return value if isinstance(value, dict) else {}
    return {"observed": _first_observations(seed)}


def _first_observations(seed: list[Message]) -> list[dict[str, Any]]:
    returned = {m.tool_call_id: m.content for m in seed if m.role == "tool"}
    observed: list[dict[str, Any]] = []
    for message in seed:
        for call in message.tool_calls or ():
            if not call.function.name.startswith(_READS):
                return observed
            told = {"arguments": call.function.arguments, "returned": returned.get(call.id)}
            observed.append({"tool": call.function.name, **told})
    return observed
