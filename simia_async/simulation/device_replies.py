"""What users who have tools answer: calls of these, however they are written, or words."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from simia_async.messages import Message
from simia_async.simulation.asking import read_json
from simia_async.simulation.device import MOST_ROUNDS, is_device_call
from simia_async.simulation.replies import DeviceCall, DeviceUserReply, JointUserReply
from simia_async.simulation.written_calls import read_call

ReadUser = Callable[[str], DeviceUserReply]
"""Raises `msgspec.ValidationError`, whose text is the complaint, for what cannot be used."""


class _Written(msgspec.Struct, frozen=True):
    """The answer as it may come: calls also in OpenAI's form, as the history shows them."""

    message: str | None = None
    done: bool | None = None
    tool_calls: list[Any] | None = None


def read_user(text: str) -> DeviceUserReply:
    """The answer of the role `user`. Raises `msgspec.ValidationError`."""
    written = read_json(_Written, text)
    return DeviceUserReply(written.message or "", bool(written.done), _calls(written))


def read_joint_user(text: str) -> DeviceUserReply:
    """The same of the role `joint`, when the user is to speak."""
    written = read_json(_Written, text)
    said = JointUserReply(written.message or "").as_users()
    return DeviceUserReply(said.message, said.done, _calls(written))


def must_speak(history: Sequence[Message], read: ReadUser) -> ReadUser:
    """`read`, which complains of more calls by a user who has made them for `MOST_ROUNDS`."""
    rounds = 0
    for message in reversed(history):
        if message.role == "assistant" or (message.role == "user" and not message.tool_calls):
            break
        rounds += is_device_call(message)
    if rounds < MOST_ROUNDS:
        return read

    def read_words(text: str) -> DeviceUserReply:
        reply = read(text)
        if reply.tool_calls:
            raise msgspec.ValidationError(
                f"the user has used the device {rounds} times and said nothing; now they speak"
            )
        return reply

    return read_words


def _calls(written: _Written) -> list[DeviceCall]:
    calls = []
    for each in written.tool_calls or ():
        read = read_call(_with_arguments(each), str, _unnoted).function
        calls.append(DeviceCall(read.name, read.arguments))
    return calls


def _with_arguments(call: Any) -> Any:
    """A call that says nothing of arguments has none."""
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(function, dict) or function.get("parameters") is not None:
        return call
    if function.get("arguments") is not None:
        return call
    function = {**function, "arguments": {}}
    return function if "function" not in call else {**call, "function": function}


def _unnoted(slip: str) -> None:
    """How a call was written is no matter of the user's."""
