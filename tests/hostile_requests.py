"""Requests that no client of good will sends."""

import random
import string
from collections.abc import Iterator
from typing import Any

import msgspec

_PATHS = (
    "/",
    "/v1/runs",
    "/v1/runs/{}",
    "/v1/runs/{}/stop",
    "/v1/runs/{}/commands",
    "/v1/runs/{}/events",
    "/v1/runs/{}/database",
    "/v1/runs/{}/log",
    "/v1/files/{}",
    "/v1/environments/{}",
    "/metrics",
    "/openapi.json",
    "/{}",
)
_NAMES = (
    "..",
    "../../token",
    "..%2f..%2ftoken",
    "%2e%2e%2fjob.json",
    "%00",
    "a%00.jsonl",
    "~root",
    ".hidden.jsonl",
    "x" * 3000,
    "%ff%fe",
    "CON.jsonl",
    "a/b/c.jsonl",
    "\N{RIGHT-TO-LEFT OVERRIDE}lnosj.x".encode().hex(),
)
_USUAL = {
    "/v1/runs": "POST",
    "/v1/runs/{}/stop": "POST",
    "/v1/runs/{}/commands": "POST",
    "/v1/files/{}": "PUT",
    "/v1/environments/{}": "PUT",
}
"""Methods of paths that take a body."""
_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
_VALUES: tuple[Any, ...] = (
    None,
    -1,
    1e400,
    "",
    "/etc/passwd",
    "../../../etc/passwd",
    "${SIMIA_CANARY}",
    "file:///etc/passwd",
    "http://169.254.169.254/",
    "SIMIA_CANARY",
    "$(id)",
    "x" * 10_000,
    [],
    {},
    [[[[[]]]]],
    {"base_url": "http://127.0.0.1:1/v1", "api_key_env": "SIMIA_CANARY"},
    {"api_key_env": "SIMIA_CANARY"},
    "\x00\x1b[31m",
    True,
)
_FIELDS = (
    "environment",
    "seeds",
    "tasks_file",
    "rubric",
    "model",
    "adapter",
    "adapters",
    "simulator",
    "policy",
    "n",
    "steps",
    "store",
    "budget",
    "nothing",
)
_KINDS = ("generate", "rollout", "sft", "rl", "eval", "tasks", "judge", "shell", 7)


def hostile(count: int, seed: int) -> Iterator[tuple[str, str, bytes | None, dict[str, str]]]:
    """Method, path, body and headers of requests."""
    rng = random.Random(seed)
    for _ in range(count):
        template = rng.choice((*_PATHS, *_USUAL, *_USUAL))
        usual = _USUAL.get(template, "GET")
        method = usual if rng.random() < 0.7 else rng.choice(_METHODS)
        path = template.replace("{}", rng.choice(_NAMES))
        if rng.random() < 0.2:
            path += "?after=" + rng.choice(("-1", "x", "9" * 40, "%00", "1e9"))
        headers = {}
        if rng.random() < 0.2:
            headers["Idempotency-Key"] = rng.choice(("", "k" * 500, "../x"))
        if rng.random() < 0.1:
            headers["Last-Event-ID"] = rng.choice(("-1", "x", "9" * 30))
        if rng.random() < 0.1:
            headers["Content-Type"] = rng.choice(("text/xml", "multipart/form-data", ""))
        yield method, path, _body(rng), headers


def _body(rng: random.Random) -> bytes | None:
    match rng.randrange(5):
        case 0:
            return None
        case 1:
            return "".join(rng.choices(string.printable, k=rng.randrange(200))).encode()
        case 2:
            return b"[" * rng.randrange(1, 20_000)
        case 3:
            files = {rng.choice(_NAMES): "x", "../../x.md": "y", "policy.md": "z"}
            return msgspec.json.encode({"files": files})
    settings = {rng.choice(_FIELDS): rng.choice(_VALUES) for _ in range(rng.randrange(1, 4))}
    return msgspec.json.encode({"kind": rng.choice(_KINDS), "settings": settings})
