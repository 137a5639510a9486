"""Requests of the endpoint: OpenAI's completions and chat completions, as far as they are served,
and vLLM's for adapters. Fields that are not here are ignored, as vLLM ignores them.
"""

from typing import Annotated, Any, Literal

import msgspec

from simia_async.messages import Message, ToolSchema

_Temperature = Annotated[float, msgspec.Meta(ge=0, le=100)]
_Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
_Positive = Annotated[int, msgspec.Meta(ge=1)]


class StreamOptions(msgspec.Struct):
    """What a stream tells beside the answer."""

    include_usage: bool = False


class Sampling(msgspec.Struct, kw_only=True):
    """What both kinds of completions have in common."""

    model: str
    temperature: _Temperature | None = 1.0
    top_p: _Share | None = 1.0
    top_k: Annotated[int, msgspec.Meta(ge=-1)] = 0
    """-1 and 0 are all."""
    seed: int | None = 0
    stop: str | list[str] | None = None
    n: Literal[1] | None = 1
    stream: bool | None = False
    stream_options: StreamOptions | None = None

    @property
    def stops(self) -> list[str]:
        """Texts that end the turn."""
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or ())


class CompletionRequest(Sampling, kw_only=True):
    """`/v1/completions`: token ids or text."""

    prompt: str | list[int]
    max_tokens: _Positive | None = 16
    logprobs: int | None = None

    @property
    def wants_logprobs(self) -> bool:
        """Token ids are asked for together with them."""
        return self.logprobs is not None or isinstance(self.prompt, list)


class ChatRequest(Sampling, kw_only=True):
    """`/v1/chat/completions`."""

    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    tools: list[ToolSchema] | None = None
    tool_choice: Literal["auto", "none"] | None = "auto"
    max_tokens: _Positive | None = None
    max_completion_tokens: _Positive | None = None
    logprobs: bool | None = False
    top_logprobs: Literal[0] | None = None

    @property
    def offered_tools(self) -> list[ToolSchema]:
        """Tools that the model is told of."""
        return [] if self.tool_choice == "none" else self.tools or []


class LoadRequest(msgspec.Struct):
    """`/v1/load_lora_adapter`."""

    lora_name: str
    lora_path: str


class UnloadRequest(msgspec.Struct):
    """`/v1/unload_lora_adapter`."""

    lora_name: str


def event(body: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + msgspec.json.encode(body) + b"\n\n"
