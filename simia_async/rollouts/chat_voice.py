"""A policy that is asked for chat completions: for evaluation, for SFT data, for foreign agents."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from simia_store import CallRecord, TurnRecord

from simia_async.clients import ChatClient, History
from simia_async.clients.wire import ChatReply
from simia_async.environments import Environment
from simia_async.errors import EndpointRefused
from simia_async.messages import Message, ToolCall
from simia_async.rendering.call_styles import HERMES, CallStyle
from simia_async.rendering.tool_calls import ParsedReply
from simia_async.rollouts.voices import (
    NOT_A_CALL,
    ContextFull,
    Said,
    Sampling,
    last_spoken,
    seed_of_turn,
)
from simia_async.simulation.code_answers import arguments_of

_BYTES_PER_TOKEN = 4
_TOO_LONG = re.compile(
    r"context.{0,20}(?:length|window|limit|size)|too many (?:input )?tokens|"
    r"(?:prompt|input|conversation) is too long",
    re.IGNORECASE,
)


class ChatPolicy(msgspec.Struct, frozen=True):
    """A model at a chat endpoint. Without a `style`, calls go through the protocol."""

    client: ChatClient
    sampling: Sampling
    style: CallStyle | None = None
    version: int = 0

    def voice(self, environment: Environment, trajectory_id: int, seed: int) -> "ChatVoice":
        """Its voice in one conversation."""
        return ChatVoice(self, environment, trajectory_id, seed)

    def problem_of(self, text: str) -> str | None:
        """What is wrong with the tool calls in a reply's text."""
        return (self.style or HERMES).parse(text, "").problem


class ChatVoice:
    """One conversation, as chat messages."""

    def __init__(
        self, policy: ChatPolicy, environment: Environment, trajectory_id: int, seed: int
    ) -> None:
        self._policy = policy
        self._trajectory_id = trajectory_id
        self._seed = seed
        self._seen = 0
        self._tokens = 0
        """Of prompt and reply at the last turn, as the endpoint counts them."""
        self._tools_size = 0
        self._parameters: dict[str, Any] = {}
        system = environment.policy
        if policy.style is not None:
            system = policy.style.system_text(system, environment.tools)
        elif environment.tools:
            tools = msgspec.json.encode(environment.tools)
            self._parameters["tools"] = msgspec.Raw(tools)
            self._tools_size = len(tools)
        self._sent = History([Message("system", system)])
        sampling = policy.sampling
        if sampling.temperature is not None:
            self._parameters["temperature"] = sampling.temperature
        if sampling.max_tokens is not None:
            self._parameters["max_tokens"] = sampling.max_tokens

    def remember(self, turns: Sequence[TurnRecord], tokens: int) -> None:
        """Take up the messages as they were."""
        self._seen = last_spoken(turns)
        self._append(msgspec.convert(turn.message, Message) for turn in turns[: self._seen])
        if self._seen:
            self._tokens = tokens or self._estimate()

    async def speak(self, history: Sequence[Message], turn: int, ledger: list[CallRecord]) -> Said:
        """One chat completion. Raises as `Voice.speak` does."""
        size = self._sent.size
        self._append(history[self._seen :])
        self._seen = len(history)
        self._check_room(self._sent.size - size)
        try:
            reply = await self._policy.client.chat(
                self._sent,
                role="policy",
                ledger=ledger,
                trajectory_id=self._trajectory_id,
                seed=seed_of_turn(self._seed, turn),
                **self._parameters,
            )
        except EndpointRefused as error:
            if error.code == "context_length_exceeded" or _TOO_LONG.search(error.detail):
                raise ContextFull(str(error)) from error
            raise
        said = self._read(reply, turn)
        self._append([said.message])
        self._seen += 1
        self._tokens = reply.usage.tokens_in + reply.usage.tokens_out or self._estimate()
        return said

    def _read(self, reply: ChatReply, turn: int) -> Said:
        parsed = self._parsed(reply.message, f"call_{turn}")
        message = Message(
            "assistant",
            parsed.content,
            tool_calls=parsed.calls or None,
            reasoning_content=reply.message.reasoning_content,
        )
        return Said(message, problem=parsed.problem, is_cut=reply.finish_reason == "length")

    def _parsed(self, message: Message, id_prefix: str) -> ParsedReply:
        """Calls that came through the protocol, else those that stand in the text."""
        content = message.content or ""
        if message.tool_calls:
            if self._policy.style is not None and not _are_sound(message.tool_calls):
                # As text such a call could not be told to the policy again.
                return ParsedReply(content, [], NOT_A_CALL)
            return ParsedReply(content, _with_ids(message.tool_calls, id_prefix))
        # A server without a parser of calls leaves them in the text.
        return (self._policy.style or HERMES).parse(content, id_prefix)

    def _estimate(self) -> int:
        """Tokens so far, for an endpoint that does not tell."""
        return (self._sent.size + self._tools_size) // _BYTES_PER_TOKEN

    def _check_room(self, new_bytes: int) -> None:
        context = self._policy.sampling.context
        if context is not None and self._tokens + new_bytes / _BYTES_PER_TOKEN >= context:
            raise ContextFull(f"{context} tokens are not enough")

    def _append(self, messages: Iterable[Message]) -> None:
        style = self._policy.style
        if style is None:
            for message in messages:
                self._sent.append(_sendable(message))
            return
        for message in _joined(messages, style):
            self._sent.append(message)


def _sendable(message: Message) -> Message:
    """The message as the protocol allows it: what answers no call comes from the user."""
    if message.role == "tool" and message.tool_call_id is None:
        return Message("user", message.content)
    return message


def _joined(messages: Iterable[Message], style: CallStyle) -> list[Message]:
    """As text, observations of one turn in one message where a user speaks them."""
    texts: list[Message] = []
    observed = False
    for message in messages:
        text = style.as_text(message)
        if observed and message.role == "tool" and text.role == "user":
            content = f"{texts[-1].content}\n{text.content}"
            texts[-1] = msgspec.structs.replace(texts[-1], content=content)
        else:
            texts.append(text)
        observed = message.role == "tool"
    return texts


def _are_sound(calls: list[ToolCall]) -> bool:
    return all(arguments_of(call) is not None for call in calls)


def _with_ids(calls: list[ToolCall], id_prefix: str) -> list[ToolCall]:
    """The calls with ids of their own: some servers give none, or one twice."""
    if len({call.id for call in calls if call.id}) == len(calls):
        return calls
    return [
        msgspec.structs.replace(call, id=f"{id_prefix}_{number}")
        for number, call in enumerate(calls)
    ]
