"""Answers of OpenAI-compatible endpoints, as far as we read them.

https://platform.openai.com/docs/api-reference/chat/object
"""

from typing import Annotated, Any

import msgspec

from simia_async.messages import FunctionCall, Message, ToolCall

_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: _Count | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: _Count | None = None


class UsageBody(msgspec.Struct, gc=False):
    """Tokens of one answer."""

    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one answer. 0 where the endpoint did not say."""

    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    """Part of `tokens_in`."""
    tokens_reasoning: int = 0
    """Part of `tokens_out`."""


NO_USAGE = Usage()


def usage_of(body: UsageBody | None) -> Usage:
    """The usage that a body tells."""
    if body is None:
        return NO_USAGE
    into, out = body.prompt_tokens_details, body.completion_tokens_details
    return Usage(
        body.prompt_tokens or 0,
        body.completion_tokens or 0,
        (into.cached_tokens or 0) if into else 0,
        (out.reasoning_tokens or 0) if out else 0,
    )


class FunctionBody(msgspec.Struct, gc=False):
    """What is called, and with what."""

    name: str
    arguments: str | dict[str, Any] | None = None


class CallBody(msgspec.Struct, gc=False):
    """A tool call. Some servers give it no id, or arguments that are no text."""

    function: FunctionBody
    id: str | None = None

    def as_call(self) -> ToolCall:
        """The call in OpenAI's form."""
        arguments = self.function.arguments
        if not isinstance(arguments, str):
            arguments = msgspec.json.encode(arguments or {}).decode()
        return ToolCall(self.id or "", FunctionCall(self.function.name, arguments))


class MessageBody(msgspec.Struct, gc=False):
    """What the model said. Thoughts come under either name, or within the content."""

    content: str | None = None
    tool_calls: list[CallBody] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class ChatChoice(msgspec.Struct, gc=False):
    """One answer of a chat completion."""

    message: MessageBody
    finish_reason: str | None = None


class ChatBody(msgspec.Struct, gc=False):
    """A chat completion."""

    choices: list[ChatChoice]
    usage: UsageBody | None = None


class _Logprobs(msgspec.Struct, gc=False):
    token_logprobs: list[float]


class CompletionChoice(msgspec.Struct, gc=False):
    """One answer of a completion over token ids."""

    token_ids: list[int]
    logprobs: _Logprobs
    finish_reason: str | None = None


class CompletionBody(msgspec.Struct, gc=False):
    """A completion with the ids and log-probabilities that vLLM adds to OpenAI's form."""

    choices: list[CompletionChoice]
    usage: UsageBody | None = None


class _FunctionDelta(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class ToolCallDelta(msgspec.Struct, gc=False):
    """A piece of one tool call."""

    index: int | None = None
    id: str | None = None
    function: _FunctionDelta | None = None


class MessageDelta(msgspec.Struct, gc=False):
    """A piece of a message."""

    content: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCallDelta] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _ChunkChoice(msgspec.Struct, gc=False):
    delta: MessageDelta | None = None
    finish_reason: str | None = None


class Chunk(msgspec.Struct, gc=False):
    """One event of a streamed chat completion."""

    choices: list[_ChunkChoice] = []
    usage: UsageBody | None = None
    error: Any = None
    """What failed after the answer had begun."""


class ChatReply(msgspec.Struct, frozen=True, gc=False):
    """A chat completion."""

    message: Message
    """Its thoughts, if the endpoint tells them, are in `reasoning_content`."""
    finish_reason: str
    usage: Usage = NO_USAGE


class ModelCard(msgspec.Struct, gc=False):
    """One model of `/models`."""

    id: str


class ModelList(msgspec.Struct, gc=False):
    """`/models`."""

    data: list[ModelCard]


def read_message(body: MessageBody) -> Message:
    """The message with its thoughts kept apart from its content."""
    content, reasoning = body.content, body.reasoning_content or body.reasoning
    if content is None:
        content = body.refusal
    elif "</think>" in content:
        before, _, after = content.partition("</think>")
        # Some servers leave out the opening tag: their chat template has put it into the prompt.
        # Tags further in are quoted, not thought: a simulated conversation has them.
        if before.lstrip().startswith("<think>") or "<think>" not in before:
            thought = before.replace("<think>", "", 1).strip()
            reasoning = "\n".join(filter(None, (reasoning, thought)))
            content = after.lstrip()
    calls = [call.as_call() for call in body.tool_calls or ()]
    return Message("assistant", content, calls or None, reasoning_content=reasoning)
