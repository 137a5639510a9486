"""What the policy endpoint answers, as JSON schemas, written by hand after the responses that vLLM
0.14 documents (https://docs.vllm.ai/en/v0.14.0/api/vllm/entrypoints/openai/protocol/) and
OpenAI's API reference. Nothing but what stands here may be in an answer.
"""

from typing import Any

import jsonschema

TEXT, INTEGER, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
COUNT = {"type": "integer", "minimum": 0}
LOGPROB = {"type": "number", "minimum": -9999.0, "maximum": 0}
IDS = {"type": "array", "items": COUNT}


def maybe(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def listed(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": schema, **more}


def fields(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


USAGE = fields(
    {
        "prompt_tokens": COUNT,
        "completion_tokens": COUNT,
        "total_tokens": COUNT,
        "prompt_tokens_details": fields({"cached_tokens": COUNT}),
    }
)
ENDED = {"stop_reason": maybe({"type": ["integer", "string"]})}


def reason(*reasons: str) -> dict[str, Any]:
    return {"finish_reason": {"enum": list(reasons)}}


def head(prefix: str, kind: str) -> dict[str, Any]:
    return {
        "id": {"type": "string", "pattern": f"^{prefix}-[0-9a-f]{{32}}$"},
        "object": {"const": kind},
        "created": {"type": "integer", "minimum": 1_700_000_000},
        "model": TEXT,
    }


COMPLETION_LOGPROBS = fields(
    {
        "tokens": listed(TEXT),
        "token_logprobs": listed(LOGPROB),
        "top_logprobs": listed({"type": "object", "additionalProperties": LOGPROB}),
        "text_offset": listed(COUNT),
    }
)
COMPLETION_CHOICE = {"index": COUNT, "text": TEXT, "logprobs": maybe(COMPLETION_LOGPROBS)}
IDS_BESIDE = {"token_ids": IDS, "prompt_token_ids": IDS}
COMPLETION = fields(
    {
        **head("cmpl", "text_completion"),
        "choices": listed(
            fields({**COMPLETION_CHOICE, **reason("stop", "length"), **ENDED}, IDS_BESIDE),
            minItems=1,
        ),
        "usage": USAGE,
    }
)
COMPLETION_CHUNK = fields(
    {
        **head("cmpl", "text_completion"),
        "choices": listed(
            fields(
                {**COMPLETION_CHOICE, "finish_reason": {"enum": ["stop", "length", None]}, **ENDED},
                IDS_BESIDE,
            ),
            maxItems=1,
        ),
        "usage": maybe(USAGE),
    }
)

TOKEN = {"token": TEXT, "logprob": LOGPROB, "bytes": maybe(listed(COUNT))}
CHAT_LOGPROBS = fields(
    {"content": listed(fields({**TOKEN, "top_logprobs": listed(fields(TOKEN))}))}
)
CALL = fields(
    {
        "id": {"type": "string", "minLength": 1},
        "type": {"const": "function"},
        "function": fields({"name": TEXT, "arguments": TEXT}),
    }
)
MESSAGE = fields(
    {"role": {"const": "assistant"}, "content": maybe(TEXT), "refusal": {"type": "null"}},
    {"tool_calls": listed(CALL, minItems=1)},
)
CHAT = fields(
    {
        **head("chatcmpl", "chat.completion"),
        "choices": listed(
            fields(
                {
                    "index": COUNT,
                    "message": MESSAGE,
                    "logprobs": maybe(CHAT_LOGPROBS),
                    **reason("stop", "length", "tool_calls"),
                    **ENDED,
                },
                {"token_ids": IDS},
            ),
            minItems=1,
        ),
        "usage": USAGE,
    },
    {"prompt_token_ids": IDS},
)
CALL_DELTA = fields(
    {"index": COUNT, "function": fields({"arguments": TEXT}, {"name": TEXT})},
    {"id": TEXT, "type": {"const": "function"}},
)
DELTA = fields(
    {}, {"role": {"const": "assistant"}, "content": TEXT, "tool_calls": listed(CALL_DELTA)}
)
CHAT_CHUNK = fields(
    {
        **head("chatcmpl", "chat.completion.chunk"),
        "choices": listed(
            fields(
                {
                    "index": COUNT,
                    "delta": DELTA,
                    "logprobs": maybe(CHAT_LOGPROBS),
                    "finish_reason": {"enum": ["stop", "length", "tool_calls", None]},
                    **ENDED,
                },
                {"token_ids": IDS},
            ),
            maxItems=1,
        ),
        "usage": maybe(USAGE),
    },
    {"prompt_token_ids": IDS},
)

MODELS = fields(
    {
        "object": {"const": "list"},
        "data": listed(
            fields(
                {
                    "id": TEXT,
                    "object": {"const": "model"},
                    "created": COUNT,
                    "owned_by": TEXT,
                    "root": maybe(TEXT),
                    "parent": maybe(TEXT),
                    "max_model_len": COUNT,
                }
            ),
            minItems=1,
        ),
    }
)
ERROR = fields(
    {
        "error": fields(
            {
                "message": {"type": "string", "minLength": 1},
                "type": {"enum": ["invalid_request_error", "server_error"]},
                "param": maybe(TEXT),
                "code": INTEGER,
            }
        )
    }
)

_WHOLE = {"/completions": COMPLETION, "/chat/completions": CHAT, "/models": MODELS}
_CHUNKS = {"/completions": COMPLETION_CHUNK, "/chat/completions": CHAT_CHUNK}


def check_answer(path: str, status: int, body: Any) -> None:
    """Raises `jsonschema.ValidationError` unless `body` is what the route at `path` may answer."""
    jsonschema.validate(body, _WHOLE[path] if status == 200 else ERROR)


def check_chunk(path: str, body: Any) -> None:
    """The same for an event of a stream."""
    jsonschema.validate(body, _CHUNKS[path])
