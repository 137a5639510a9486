"""Policy and world of the rollouts' benchmarks: `python rollouts_mock.py LATENCY`.

One plain server for both, so that it costs less than those who are measured. What it answers, and
how long that takes, follows from the conversation's name (`C-<number>-<turns>`), the role and how
often the policy has spoken. The policy calls a tool and speaks by turns; when it has spoken often
enough, the user is done.

Prints its base URL. For every line on standard input it prints, as JSON, the greatest sum of drawn
latencies of a conversation and how many requests there were since the last time; it ends with
standard input.
"""

import json
import re
import sys
import zlib
from collections import Counter
from typing import Any

import msgspec
from plain_server import serve

from simia_async.speed import run_fast
from simia_async.testing import Latency

_NAME = re.compile(rb"C-(\d{5})-(\d+)")
_ROLE = re.compile(rb'\\"role\\":\\"(user|tool|judge)\\"')
_SPOKEN = (b'"role":"assistant"', b'"role": "assistant"', b'\\"role\\":\\"assistant\\"')
_DRAWS = 4096
_TEXT = "The reservation is in order and leaves as booked; nothing has to be paid for it. " * 3
_FLIGHTS = [{"flight": f"HAT{n:03}", "origin": "SFO", "destination": "JFK"} for n in range(4)]


class World:
    """What it says, and what it was asked."""

    def __init__(self, latency: str) -> None:
        distribution = Latency.parse(latency)
        self._draws = [distribution.quantile((n + 0.5) / _DRAWS) for n in range(_DRAWS)]
        self._sums: Counter[bytes] = Counter()
        self._requests = 0

    def answer(self, request: bytes) -> tuple[bytes, float]:
        """The body of an answer, and the seconds until it is there."""
        name = _NAME.search(request)
        assert name is not None, "every request names its conversation"
        role = role_of(request)
        spoken = sum(map(request.count, _SPOKEN))
        draw = zlib.crc32(b"%s %s %d" % (name[0], role.encode(), spoken)) % _DRAWS
        self._sums[name[0]] += self._draws[draw]
        self._requests += 1
        message = _message(role, name[0].decode(), spoken, int(name[2]))
        return _completion(message, len(request)), self._draws[draw]

    def summary(self) -> dict[str, float]:
        """Of the requests since the last time."""
        summary = {"ideal_s": max(self._sums.values(), default=0.0), "requests": self._requests}
        self._sums.clear()
        self._requests = 0
        return summary


def role_of(request: bytes) -> str:
    """Who is asked."""
    if b"<environment>" not in request:
        return "policy"
    role = _ROLE.search(request)
    assert role is not None, "prompts of the world name their role first"
    return role[1].decode()


def _message(role: str, name: str, spoken: int, turns: int) -> dict[str, Any]:
    if role == "policy":
        return _spoken(name, spoken)
    if role == "user":
        said = {"message": f"I am customer {name}. What of my next trip?", "done": spoken >= turns}
    elif role == "tool":
        status = {"id": f"{name}/{spoken}", "cabin": "economy", "flights": _FLIGHTS}
        said = {"observation": status, "is_error": False, "ops": []}
    else:
        said = {"criteria": {}, "reasoning": "All were looked up.", "reward": 1.0}
    return {"role": "assistant", "content": msgspec.json.encode(said).decode()}


def _spoken(name: str, spoken: int) -> dict[str, Any]:
    if spoken % 2:
        return {"role": "assistant", "content": _TEXT}
    arguments = json.dumps({"reservation_id": f"{name}/{spoken + 1}"})
    function = {"name": "get_reservation_details", "arguments": arguments}
    call = {"id": f"call_{spoken}", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def _completion(message: dict[str, Any], size: int) -> bytes:
    reason = "tool_calls" if "tool_calls" in message else "stop"
    tokens_in, tokens_out = size // 4, 60
    return msgspec.json.encode(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 0,
            "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": reason}],
            "usage": {
                "prompt_tokens": tokens_in,
                "completion_tokens": tokens_out,
                "total_tokens": tokens_in + tokens_out,
            },
        }
    )


if __name__ == "__main__":
    run_fast(serve, World(sys.argv[1]))
