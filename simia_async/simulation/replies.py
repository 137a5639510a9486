"""What the simulator answers in each of its roles: the JSON its prompts ask for."""

from typing import Annotated, Any

import msgspec

from simia_async.messages import Message


class UserReply(msgspec.Struct, frozen=True):
    """Role `user`: the next message, and whether the user has nothing more to ask."""

    message: str
    done: bool


class ToolReply(msgspec.Struct, frozen=True):
    """Role `tool`: what the call returned, and the JSON Patch (RFC 6902) it makes to the state."""

    observation: Any
    is_error: bool = False
    ops: list[dict[str, Any]] = []


class Judgement(msgspec.Struct, frozen=True):
    """Role `judge`: the reward, and why."""

    reward: Annotated[float, msgspec.Meta(ge=0, le=1)]
    reasoning: str = ""
    criteria: dict[str, Any] = {}


class Draft(msgspec.Struct, frozen=True):
    """Role `author`: a whole conversation, written in one call."""

    messages: list[Message]
