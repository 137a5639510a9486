"""What answers of both kinds have in common: their head, usage, and log-probabilities."""

import time
import uuid
from collections.abc import Sequence
from typing import Any

from simia_async.inference.choices import Spoken
from simia_async.inference.requests import Drawn
from simia_async.inference.speech import text_of
from simia_async.rendering.renderer import Renderer

_LOWEST = -9999.0
"""What stands for the logarithm of 0, as in vLLM, for JSON has no infinity."""


def head(prefix: str, model: str) -> dict[str, Any]:
    """Identity of an answer, the same in all chunks of a stream."""
    return {"id": f"{prefix}-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}


def usage(prompts: Sequence[list[int]], spoken: Sequence[Spoken]) -> dict[str, Any]:
    """Tokens used. A prompt with several answers counts once."""
    prompt_tokens = sum(map(len, prompts))
    said = sum(len(choice.sampled.drawn) for choice in spoken)
    firsts = spoken[:: len(spoken) // len(prompts)]
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": said,
        "total_tokens": prompt_tokens + said,
        "prompt_tokens_details": {"cached_tokens": sum(s.sampled.cached_tokens for s in firsts)},
    }


def completion_logprobs(
    renderer: Renderer, drawn: Sequence[Drawn], offset: int = 0
) -> dict[str, Any]:
    """Log-probabilities as completions have them. `offset`: where in the text they begin."""
    tokens = [_text(renderer, one.token) for one in drawn]
    offsets = [offset]
    for token in tokens:
        offsets.append(offsets[-1] + len(token))
    return {
        "tokens": tokens,
        "token_logprobs": [_finite(one.logprob) for one in drawn],
        "top_logprobs": [
            {_text(renderer, t): _finite(p) for t, p in [*one.likeliest, (one.token, one.logprob)]}
            for one in drawn
        ],
        "text_offset": offsets[:-1],
    }


def chat_logprobs(renderer: Renderer, drawn: Sequence[Drawn]) -> dict[str, Any]:
    """Log-probabilities as chat completions have them."""
    return {
        "content": [
            {
                **_entry(renderer, one.token, one.logprob),
                "top_logprobs": [_entry(renderer, *likely) for likely in one.likeliest],
            }
            for one in drawn
        ]
    }


def _entry(renderer: Renderer, token: int, logprob: float) -> dict[str, Any]:
    """Bytes of a token that is a part of a character are not known."""
    text = _text(renderer, token)
    whole = "�" not in text
    return {
        "token": text,
        "logprob": _finite(logprob),
        "bytes": list(text.encode()) if whole else None,
    }


def _text(renderer: Renderer, token: int) -> str:
    return text_of(renderer, [token])


def _finite(logprob: float) -> float:
    return max(logprob, _LOWEST)
