"""A request's body to what is asked. What is not served is refused by name, not passed over."""

import re
from typing import Any, TypeVar

import msgspec

from simia_async.inference.protocol import ChatRequest, CompletionRequest
from simia_async.inference.refusals import Refused

IGNORED = frozenset(
    "user metadata store service_tier safety_identifier prompt_cache_key prompt_cache_retention "
    "request_id".split()
)
"""Fields that say nothing about the answer."""

_NEUTRAL: dict[str, list[Any]] = {
    "frequency_penalty": [0],
    "presence_penalty": [0],
    "repetition_penalty": [1],
    "length_penalty": [1],
    "logit_bias": [{}],
    "min_tokens": [0],
    "best_of": [1],
    "echo": [False],
    "suffix": [""],
    "use_beam_search": [False],
    "priority": [0],
    "response_format": [{"type": "text"}],
    "modalities": [["text"]],
    "parallel_tool_calls": [True],
    "include_stop_str_in_output": [False],
    "skip_special_tokens": [False],
    "add_special_tokens": [False],
    "add_generation_prompt": [True],
    "continue_final_message": [False],
    "chat_template_kwargs": [{}],
}
"""Fields that are served with these values alone: as if they were not there."""

_AT = re.compile(r"`\$\.?(?P<field>[^`]*)`$")

_Asked = TypeVar("_Asked", CompletionRequest, ChatRequest)
_T = TypeVar("_T")


def decode(body: bytes, kind: type[_T]) -> _T:
    """JSON of this kind; all that is wrong with it raises `msgspec.DecodeError`."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (UnicodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error


def read_request(body: bytes, kind: type[_Asked]) -> _Asked:
    """Raises `Refused`, or `msgspec.DecodeError` for what is no JSON object."""
    fields = decode(body, dict[str, Any])
    fields = {name: value for name, value in fields.items() if value is not None}
    for name, value in fields.items():
        if name not in kind.__struct_fields__:
            _check_dispensable(name, value)
    _check_choice(fields.get("tool_choice"))
    _check_stream(fields)
    if kind is ChatRequest:
        fields["messages"] = _plain(fields.get("messages"))
    try:
        asked = msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        at = _AT.search(str(error))
        raise Refused(str(error), at["field"] if at else _named(str(error))) from error
    if isinstance(asked, ChatRequest) and asked.top_logprobs and not asked.logprobs:
        raise Refused("top_logprobs is set, but logprobs is not; it must be true", "top_logprobs")
    return asked


def _check_dispensable(name: str, value: Any) -> None:
    if name in IGNORED:
        return
    neutral = _NEUTRAL.get(name)
    if neutral is None:
        raise Refused(f"unrecognized field {name!r}: this server does not support it", name)
    if value not in neutral:
        only = msgspec.json.encode(neutral[0]).decode()
        raise Refused(f"{name} is not supported by this server: leave it out, or {only}", name)


def _check_choice(choice: Any) -> None:
    if choice not in (None, "auto", "none"):
        raise Refused(
            "tool_choice is neither 'auto' nor 'none': calls are sampled freely, so this server "
            "cannot promise one",
            "tool_choice",
        )


def _check_stream(fields: dict[str, Any]) -> None:
    options = fields.get("stream_options")
    if options is None:
        return
    if not fields.get("stream"):
        raise Refused("stream_options are set, but stream is not true", "stream_options")
    if isinstance(options, dict) and options.get("continuous_usage_stats"):
        field = "stream_options.continuous_usage_stats"
        raise Refused(f"{field} is not supported by this server", field)


def _plain(messages: Any) -> Any:
    """Messages whose contents are texts, where they may be lists of texts; of OpenAI's two names of
    who speaks first, one.
    """
    if not isinstance(messages, list):
        return messages
    return [
        {**message, **_role(message), **_content(number, message)}
        if isinstance(message, dict)
        else message
        for number, message in enumerate(messages)
    ]


def _role(message: dict[str, Any]) -> dict[str, Any]:
    return {"role": "system"} if message.get("role") == "developer" else {}


def _content(number: int, message: dict[str, Any]) -> dict[str, Any]:
    parts = message.get("content")
    if not isinstance(parts, list):
        return {}
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    said = [text for text in texts if isinstance(text, str)]
    if len(said) < len(parts):
        field = f"messages[{number}].content"
        raise Refused(f"{field}: this server reads text alone", field)
    return {"content": "".join(said)}


def _named(complaint: str) -> str:
    """The field that a complaint about a missing one names."""
    found = re.search(r"field `(\w+)`", complaint)
    return found[1] if found else ""
