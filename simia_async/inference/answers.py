"""Bodies of completions, whole and in a stream."""

import time
import uuid
from collections.abc import Iterator
from typing import Any

from simia_async.inference.protocol import ChatRequest, CompletionRequest
from simia_async.inference.requests import Sampled
from simia_async.rendering.renderer import Renderer
from simia_async.rendering.tool_calls import parse_reply


def completion(
    asked: CompletionRequest, prompt_tokens: int, sampled: Sampled, text: str, renderer: Renderer
) -> dict[str, Any]:
    """A text completion; token ids and log-probabilities in vLLM's form."""
    choice: dict[str, Any] = {
        "index": 0,
        "text": text,
        "logprobs": None,
        "finish_reason": sampled.finish_reason,
        "token_ids": sampled.token_ids,
    }
    if asked.wants_logprobs:
        choice["logprobs"] = {
            "tokens": [_text(renderer, token) for token in sampled.token_ids],
            "token_logprobs": sampled.logprobs,
        }
    usage = _usage(prompt_tokens, sampled)
    return {**_head("cmpl", "text_completion", asked.model), "choices": [choice], "usage": usage}


def chat(
    asked: ChatRequest, prompt_tokens: int, sampled: Sampled, text: str, renderer: Renderer
) -> dict[str, Any]:
    """A chat completion. Calls that are not sound stay in the content, as text."""
    head = _head("chatcmpl", "chat.completion", asked.model)
    reply = parse_reply(text, f"call_{head['id'].removeprefix('chatcmpl-')[:12]}")
    message: dict[str, Any] = {"role": "assistant", "content": reply.content, "refusal": None}
    reason = sampled.finish_reason
    if reply.calls and asked.offered_tools:
        message["content"] = reply.content or None
        message["tool_calls"] = reply.calls
        reason = "tool_calls" if reason == "stop" else reason
    elif reply.calls:
        message["content"] = text
    choice: dict[str, Any] = {
        "index": 0, "message": message, "logprobs": None, "finish_reason": reason
    }  # fmt: skip
    if asked.logprobs:
        choice["logprobs"] = {"content": _token_logprobs(sampled, renderer)}
    return {**head, "choices": [choice], "usage": _usage(prompt_tokens, sampled)}


def chat_chunks(whole: dict[str, Any], *, with_usage: bool) -> Iterator[dict[str, Any]]:
    """The same answer as a stream has it: role, content, calls and the end."""
    choice = whole["choices"][0]
    message = choice["message"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if message["content"]:
        deltas.append({"content": message["content"]})
    for index, call in enumerate(message.get("tool_calls", ())):
        function = {"name": call.function.name, "arguments": call.function.arguments}
        entry = {"index": index, "id": call.id, "type": "function", "function": function}
        deltas.append({"tool_calls": [entry]})
    deltas.append({})
    for number, delta in enumerate(deltas):
        last = number == len(deltas) - 1
        piece = {
            "index": 0,
            "delta": delta,
            "logprobs": choice["logprobs"] if number == 1 else None,
            "finish_reason": choice["finish_reason"] if last else None,
        }
        yield {**whole, "object": "chat.completion.chunk", "choices": [piece], "usage": None}
    if with_usage:
        yield {**whole, "object": "chat.completion.chunk", "choices": []}


def completion_chunks(whole: dict[str, Any], *, with_usage: bool) -> Iterator[dict[str, Any]]:
    """A text completion as a stream has it."""
    yield {**whole, "usage": None}
    if with_usage:
        yield {**whole, "choices": []}


def _head(prefix: str, kind: str, model: str) -> dict[str, Any]:
    name = f"{prefix}-{uuid.uuid4().hex}"
    return {"id": name, "object": kind, "created": int(time.time()), "model": model}


def _usage(prompt_tokens: int, sampled: Sampled) -> dict[str, Any]:
    said = len(sampled.token_ids)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": said,
        "total_tokens": prompt_tokens + said,
        "prompt_tokens_details": {"cached_tokens": sampled.cached_tokens},
    }


def _token_logprobs(sampled: Sampled, renderer: Renderer) -> list[dict[str, Any]]:
    entries = []
    for token, logprob in zip(sampled.token_ids, sampled.logprobs, strict=True):
        text = _text(renderer, token)
        entries.append(
            {"token": text, "logprob": logprob, "bytes": list(text.encode()), "top_logprobs": []}
        )
    return entries


def _text(renderer: Renderer, token: int) -> str:
    return renderer.eos if token == renderer.eos_id else renderer.decode([token])
