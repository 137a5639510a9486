"""A rollout played again: policy and user say what they said, and the world is asked anew."""

from collections.abc import Mapping, Sequence

import msgspec
from simia_store import CallRecord, TurnRecord

from simia_async.clients import ChatClient
from simia_async.environments import Environment, Task
from simia_async.errors import BadReply
from simia_async.messages import Message
from simia_async.rollouts.stop_reason import StopReason
from simia_async.rollouts.voices import NOT_A_CALL, Said, Sampling
from simia_async.runs.luck_recordings import Recording
from simia_async.simulation import Simulator
from simia_async.simulation.replies import DeviceCall, DeviceUserReply, UserReply

_OF_USER = ("user", "user_call")
"""Roles of turns in which the user speaks or acts; either is a message of theirs."""


class RecordedPolicy:
    """The policy of one recording. It speaks as often as it did, whatever it is told; then the
    conversation is over, and is judged as it stands.
    """

    version = 0

    def __init__(self, turns: Sequence[TurnRecord]) -> None:
        self._said = [_said(turns, n) for n, each in enumerate(turns) if each.role == "assistant"]
        self.sampling = Sampling(max_turns=len(self._said))

    def voice(self, environment: Environment, trajectory_id: int, seed: int) -> "RecordedVoice":  # noqa: ARG002
        """The same in every conversation."""
        return RecordedVoice(self._said)

    def problem_of(self, text: str) -> str | None:
        """What was wrong with the tool calls in a reply that was recorded."""
        wrong = (said.problem for said in self._said if (said.message.content or "") == text)
        return next(wrong, None)


class RecordedVoice:
    """Says its turns in their order."""

    def __init__(self, said: Sequence[Said]) -> None:
        self._said = said

    async def speak(
        self,
        history: Sequence[Message],  # noqa: ARG002
        turn: int,
        ledger: list[CallRecord],  # noqa: ARG002
    ) -> Said:
        """The turn of that number."""
        return self._said[turn]

    def remember(self, turns: Sequence[TurnRecord], tokens: int) -> None:
        """Nothing: what it says is known."""


class PlaybackSimulator(Simulator):
    """A simulator whose users say what they said; its tools are asked."""

    def __init__(
        self,
        client: ChatClient,
        environment: Environment,
        recordings: Mapping[int, Recording],
        *,
        tool: ChatClient,
        joint: bool,
    ) -> None:
        """`recordings` are those of the replays, by the trajectory of the replay."""
        super().__init__(client, environment, tool=tool, joint=joint)
        self._recordings = recordings

    async def user(
        self,
        task: Task,  # noqa: ARG002
        history: list[Message],
        ledger: list[CallRecord],  # noqa: ARG002
        trajectory_id: int,
    ) -> UserReply | DeviceUserReply:
        """What they said at this point, or did on a device of their own."""
        turns = [t for t in self._recordings[trajectory_id].turns if t.role in _OF_USER]
        said = sum(message.role == "user" for message in history)
        if said == len(turns):
            raise BadReply("the user said no more than this when it was recorded")
        message = msgspec.convert(turns[said].message, Message)
        if turns[said].role == "user":
            return UserReply(message.content or "", turns[said].ends == StopReason.USER_DONE)
        calls = [
            DeviceCall(call.function.name, call.function.arguments)
            for call in message.tool_calls or ()
        ]
        return DeviceUserReply(message.content or "", tool_calls=calls)


def _said(turns: Sequence[TurnRecord], number: int) -> Said:
    turn = turns[number]
    problem = _problem(turns, number) if turn.is_error else None
    is_cut = turn.ends == StopReason.CONTEXT_FULL
    return Said(msgspec.convert(turn.message, Message), problem, is_cut=is_cut)


def _problem(turns: Sequence[TurnRecord], number: int) -> str:
    """What was wrong with a turn's calls: code said so in the observation after it."""
    if number + 1 < len(turns) and turns[number + 1].role == "tool":
        told = msgspec.convert(turns[number + 1].message, Message).content or ""
        try:
            return msgspec.json.decode(told, type=dict[str, str]).get("error", NOT_A_CALL)
        except msgspec.DecodeError:
            return NOT_A_CALL
    return NOT_A_CALL
