"""Endpoints that play recorded conversations: a policy that says what the agent said, and a
simulator that answers as user, tools and judge answered.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from simia_async.builtin.server.completions import Reply, Said
from simia_async.builtin.server.protocol import ChatRequest
from simia_async.environments import Scenario, Task
from simia_async.environments.seeds import STOP_MARK
from simia_async.formats.reading import read_conversations
from simia_async.messages import Message, ToolCall
from simia_async.simulation.prompts import read_sections

Write = Callable[[Message], Reply]
"""How the policy's endpoint hands a message over."""


class Recorded(msgspec.Struct, frozen=True):
    """One conversation, without its system message."""

    messages: list[Message]
    reward: float

    def spoken(self) -> list[Message]:
        """What the agent said and called."""
        return [message for message in self.messages if message.role == "assistant"]

    def calls(self) -> list[tuple[str, Any]]:
        """What the agent called, with the arguments decoded."""
        return calls_in(self.messages)

    def stop_reason(self, max_turns: int) -> str:
        """How it ended."""
        last = self.messages[-1]
        if last.role == "user" and STOP_MARK in (last.content or ""):
            return "user_done"
        if last.role == "tool" and last.name == "transfer_to_human_agents":
            return "agent_done"
        assert len(self.spoken()) == max_turns
        return "max_turns"


def read_recorded(path: Path) -> list[Recorded]:
    """Every conversation of a file."""
    return [
        Recorded([m for m in read.messages if m.role != "system"], read.reward or 0.0)
        for read in read_conversations(path)
    ]


def tasks_of(recorded: list[Recorded]) -> list[Task]:
    """A task each. Its reference is the conversation itself, which the simulator is shown."""
    return [
        Task(
            id=f"recorded-{number}",
            environment="airline",
            split="train",
            scenario=Scenario(f"As recorded in conversation {number}."),
            initial_state={},
            needs_action=False,
            goal=f"{each.reward}",
            reference=tuple(each.messages),
        )
        for number, each in enumerate(recorded)
    ]


def calls_in(messages: list[Message]) -> list[tuple[str, Any]]:
    """Tools and decoded arguments."""
    return [
        (call.function.name, msgspec.json.decode(call.function.arguments))
        for message in messages
        for call in message.tool_calls or ()
    ]


def observed(content: str | None) -> Any:
    """An observation: JSON where it is some, else text."""
    try:
        return msgspec.json.decode(content or "")
    except msgspec.DecodeError:
        return content


class RecordedPolicy:
    """Says what the agent said. Which conversation it is in, the request's sampling seed tells: a
    policy is never told its task. Where it is, the history tells.
    """

    def __init__(self, recorded: list[Recorded], write: Write) -> None:
        self._recorded = recorded
        self._write = write
        self.shown: dict[int, list[Any]] = {}
        """By conversation: what the policy was shown last, without the system message."""

    def say(self, request: ChatRequest) -> Reply:
        assert request.seed is not None
        number, turn = divmod(request.seed, 1000)
        assert sum(message.role == "assistant" for message in request.messages) == turn
        self.shown[number - 1] = request.raw["messages"][1:]
        return self._write(self._recorded[number - 1].spoken()[turn])


def in_text(text_of: Callable[[Message], str]) -> Write:
    """Calls in the text, as one of the formats writes them."""
    return lambda message: Reply(text_of(message))


def as_native(message: Message) -> Reply:
    """Calls through the protocol."""
    calls = [
        Said(call.id, call.function.name, call.function.arguments)
        for call in message.tool_calls or ()
    ]
    return Reply(message.content, tool_calls=calls)


def play_user(request: ChatRequest) -> str:
    """What the user said at this place."""
    task, history = _task_and_history(request)
    message = task.reference[len(history)]
    assert message.role == "user"
    done = STOP_MARK in (message.content or "")
    return msgspec.json.encode({"message": message.content, "done": done}).decode()


def play_tool(request: ChatRequest) -> str:
    """What the call returned at this place."""
    task, history = _task_and_history(request)
    answer = task.reference[len(history)]
    assert answer.role == "tool"
    observation = observed(answer.content)
    [call] = history[-1].tool_calls or ()
    is_error = str(observation).startswith("Error")
    ops = [] if is_error else changes_of(call, observation)
    reply = {"observation": observation, "is_error": is_error, "ops": ops}
    return msgspec.json.encode(reply).decode()


def play_judge(request: ChatRequest) -> str:
    """The recorded reward, which the goal holds."""
    goal = read_sections(request.prompt)["task"]["goal"]
    return msgspec.json.encode({"reward": float(goal), "reasoning": "recorded"}).decode()


class _Played(msgspec.Struct):
    reference: list[Message]


def _task_and_history(request: ChatRequest) -> tuple[_Played, list[Message]]:
    sections = read_sections(request.prompt)
    history = msgspec.convert(sections["history"], list[Message])
    return msgspec.convert(sections["task"], _Played), history


def changes_of(call: ToolCall, observation: Any) -> list[dict[str, Any]]:
    """What a call that writes does to the state, as far as its observation tells."""
    arguments = msgspec.json.decode(call.function.arguments)
    match call.function.name:
        case "send_certificate":
            path = f"/users/{arguments['user_id']}/payment_methods/{call.id}"
            value = {"source": "certificate", "amount": arguments["amount"]}
        case "update_reservation_passengers":
            path = f"/reservations/{observation['reservation_id']}/passengers"
            value = observation["passengers"]
        case name if name.endswith("_reservation") or name.startswith("update_"):
            path, value = f"/reservations/{observation['reservation_id']}", observation
        case _:
            return []
    return [{"op": "add", "path": path, "value": value}]
