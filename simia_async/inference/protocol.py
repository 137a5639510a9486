"""Requests of the endpoint: OpenAI's completions and chat completions, as far as they are served,
with vLLM's additions, and vLLM's for adapters.

Names and meanings are those of vLLM 0.14
(https://docs.vllm.ai/en/v0.14.0/api/vllm/entrypoints/openai/protocol/).
"""

from typing import Annotated, Literal

import msgspec

from simia_async.messages import Message, ToolSchema

_Temperature = Annotated[float, msgspec.Meta(ge=0, le=100)]
_Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
_Positive = Annotated[int, msgspec.Meta(ge=1)]
_Likeliest = Annotated[int, msgspec.Meta(ge=0, le=20)]
_TokenId = Annotated[int, msgspec.Meta(ge=0)]
_Stop = Annotated[str, msgspec.Meta(min_length=1)]


class StreamOptions(msgspec.Struct):
    """What a stream tells beside the answer."""

    include_usage: bool | None = False


class Sampling(msgspec.Struct, kw_only=True):
    """What both kinds of completions have in common."""

    model: str
    temperature: _Temperature | None = 1.0
    top_p: _Share | None = 1.0
    top_k: Annotated[int, msgspec.Meta(ge=-1)] | None = 0
    """-1 and 0 are all."""
    min_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = 0.0
    seed: int | None = None
    """None is another one each time."""
    stop: _Stop | list[_Stop] | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool | None = False
    n: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = 1
    return_token_ids: bool | None = False
    stream: bool | None = False
    stream_options: StreamOptions | None = None

    @property
    def stops(self) -> list[str]:
        """Texts that end the turn."""
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or ())

    @property
    def choices(self) -> int:
        """How many answers to each prompt."""
        return self.n or 1

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with what was used."""
        return bool(self.stream_options and self.stream_options.include_usage)


class CompletionRequest(Sampling, kw_only=True):
    """`/v1/completions`: token ids or text, one prompt or several."""

    prompt: str | list[_TokenId | str | list[_TokenId]]
    max_tokens: _Positive | None = 16
    logprobs: _Likeliest | None = None

    @property
    def likeliest(self) -> int:
        """Of how many tokens log-probabilities are wanted beside the one that was drawn."""
        return self.logprobs or 0

    @property
    def limit(self) -> int | None:
        """Tokens of an answer at most; None is what room there is."""
        return self.max_tokens


class ChatRequest(Sampling, kw_only=True):
    """`/v1/chat/completions`."""

    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    tools: list[ToolSchema] | None = None
    tool_choice: Literal["auto", "none"] | None = "auto"
    max_tokens: _Positive | None = None
    max_completion_tokens: _Positive | None = None
    logprobs: bool | None = False
    top_logprobs: _Likeliest | None = None

    @property
    def offered_tools(self) -> list[ToolSchema]:
        """Tools that the model is told of."""
        return [] if self.tool_choice == "none" else self.tools or []

    @property
    def likeliest(self) -> int:
        """Of how many tokens log-probabilities are wanted beside the one that was drawn."""
        return self.top_logprobs or 0

    @property
    def limit(self) -> int | None:
        """Tokens of an answer at most; None is what room there is."""
        return self.max_completion_tokens or self.max_tokens


class LoadRequest(msgspec.Struct):
    """`/v1/load_lora_adapter`."""

    lora_name: Annotated[str, msgspec.Meta(min_length=1)]
    lora_path: str


class UnloadRequest(msgspec.Struct):
    """`/v1/unload_lora_adapter`."""

    lora_name: str
