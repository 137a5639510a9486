"""What the simulator answers in each of its roles: the JSON its prompts ask for."""

from typing import Annotated, Any, Self

import msgspec

from simia_async.environments.task import Criterion
from simia_async.messages import Message


class UserReply(msgspec.Struct, frozen=True):
    """Role `user`: the next message, and whether the user has nothing more to ask."""

    message: str
    done: bool


class DeviceCall(msgspec.Struct, frozen=True):
    """One call of a user's tool; its arguments are an object, or the JSON text of one."""

    name: str
    arguments: dict[str, Any] | str = {}


class DeviceUserReply(msgspec.Struct, frozen=True):
    """Role `user`, where the user has tools: calls of these, or else what they say."""

    message: str = ""
    done: bool = False
    tool_calls: list[DeviceCall] = []
    """Where there are some, `message` is not heard by the agent."""


TERMINATE = "[TERMINATE]"
"""What a role that plays the user too says when the scenario is over."""


class JointUserReply(msgspec.Struct, frozen=True):
    """Role `joint`, when the user is to speak."""

    message: str

    def as_users(self) -> UserReply:
        """The same as the role `user` would have said it."""
        done = TERMINATE in self.message
        return UserReply(self.message.replace(TERMINATE, "").strip(), done)

    @classmethod
    def of(cls, reply: UserReply) -> Self:
        """The same the other way round."""
        return cls(f"{reply.message} {TERMINATE}" if reply.done else reply.message)


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
    slips: list[str] = []
    """What had to be read another way than it was asked for, a sentence each."""


class Review(msgspec.Struct, frozen=True):
    """Role `reviewer`: whether a seed may be used as an example, and why not."""

    complete: bool
    logical: bool
    well_formed: bool
    reason: str = ""
    messages: list[Message] | None = None
    """The conversation with what was missing filled in, where that could be told."""


class TaskDraft(msgspec.Struct, frozen=True):
    """Role `task_author`: the task behind a conversation."""

    instructions: Annotated[str, msgspec.Meta(min_length=1)]
    goal: Annotated[str, msgspec.Meta(min_length=1)]
    needs_action: bool
    initial_state: dict[str, Any] = {}
    rubric: tuple[Criterion, ...] = ()
