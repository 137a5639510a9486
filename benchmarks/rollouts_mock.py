"""Policy and world of the rollouts' benchmarks: `python rollouts_mock.py LATENCY [REFUSED]`.

One plain server for both, so that it costs less than those who are measured. What it answers, and
how long that takes, follows from the conversation's name (`C-<number>-<turns>`), the role and how
often the policy has spoken. The policy calls a tool and speaks by turns; when it has spoken often
enough, the user is done.

A share REFUSED of requests gets HTTP 429 with `Retry-After: 1`. Whether a call is refused, and how
often before it is served, follows from its place too, so all who are measured meet the same.
Conversation 99999 is a warm-up, answered at once. Whoever names no conversation tries the endpoint
out, and is told "Hello.". Neither is counted but as `trials`.

Prints its base URL. For every line on standard input it prints, as JSON, of what there was since
the last time: how many `requests` were served, and how many of them again (`repeated`), how many
were `refused`, how many `trials` there were, how many `megabytes` were asked with, and `ideal_s`:
how long the longest conversation is that waits for nothing but drawn latencies and the seconds that
refusals ask for. It ends with standard input.
"""

import json
import random
import re
import sys
import zlib
from collections import Counter
from typing import Any, NamedTuple

import msgspec
from plain_server import Refused, serve

from simia_async.speed import run_fast
from simia_async.testing import Latency

_NAME = re.compile(rb"C-(\d{5})-(\d+)")
_ROLE = re.compile(rb'\\"role\\":\\"(user|tool|judge)\\"')
_SPOKEN = (b'"role":"assistant"', b'"role": "assistant"', b'\\"role\\":\\"assistant\\"')
_DRAWS = 4096
_RETRY_AFTER_S = 1
_WARM_UP = "C-99999-"
_TEXT = "The reservation is in order and leaves as booked; nothing has to be paid for it. " * 3
_FLIGHTS = [{"flight": f"HAT{n:03}", "origin": "SFO", "destination": "JFK"} for n in range(4)]


class Place(NamedTuple):
    """Where in which conversation somebody asks."""

    name: str
    turns: int
    """How often the policy speaks there."""
    role: str
    spoken: int
    """How often it has."""

    def draw(self) -> int:
        """Which latency it has."""
        return zlib.crc32(f"{self.name} {self.role} {self.spoken}".encode()) % _DRAWS


def place_of(request: bytes) -> Place | None:
    """Told from a request's body. None if it names no conversation."""
    name = _NAME.search(request)
    if name is None:
        return None
    spoken = sum(map(request.count, _SPOKEN))
    return Place(name[0].decode(), int(name[2]), role_of(request), spoken)


class World:
    """What it says, and what it was asked."""

    def __init__(self, latency: str, refused_share: float = 0.0) -> None:
        distribution = Latency.parse(latency)
        self._draws = [distribution.quantile((n + 0.5) / _DRAWS) for n in range(_DRAWS)]
        self._refused_share = refused_share
        self._forget()

    def _forget(self) -> None:
        self._sums: Counter[str] = Counter()
        self._attempts: Counter[Place] = Counter()
        self._served: Counter[Place] = Counter()
        self._refused = self._trials = self._bytes = 0

    def answer(self, request: bytes) -> tuple[bytes, float]:
        """The body of an answer, and the seconds until it is there. May raise `Refused`."""
        place = place_of(request)
        if place is None or place.name.startswith(_WARM_UP):
            self._trials += 1
            message = _message(place) if place else {"role": "assistant", "content": "Hello."}
            return _completion(message, len(request)), 0.0
        self._bytes += len(request)
        self._refuse_some(place)
        latency_s = self._draws[place.draw()]
        if not self._served[place]:
            self._sums[place.name] += latency_s
        self._served[place] += 1
        return _completion(_message(place), len(request)), latency_s

    def _refuse_some(self, place: Place) -> None:
        if place in self._served or not self._refused_share:
            return
        self._attempts[place] += 1
        chance = random.Random(f"{place} {self._attempts[place]}")
        if chance.random() < self._refused_share:
            self._refused += 1
            self._sums[place.name] += _RETRY_AFTER_S
            raise Refused(_RETRY_AFTER_S)

    def summary(self) -> dict[str, float]:
        """Of the requests since the last time."""
        requests = self._served.total()
        summary = {
            "ideal_s": max(self._sums.values(), default=0.0),
            "requests": requests,
            "repeated": requests - len(self._served),
            "refused": self._refused,
            "trials": self._trials,
            "megabytes": self._bytes / 1e6,
        }
        self._forget()
        return summary


def role_of(request: bytes) -> str:
    """Who is asked."""
    if b"<environment>" not in request:
        return "policy"
    role = _ROLE.search(request)
    assert role is not None, "prompts of the world name their role first"
    return role[1].decode()


def _message(place: Place) -> dict[str, Any]:
    name, turns, role, spoken = place
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
    run_fast(serve, World(sys.argv[1], *map(float, sys.argv[2:])))
