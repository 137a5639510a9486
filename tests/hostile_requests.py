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
    "/v1/runs/{}/changes",
    "/v1/runs/{}/export",
    "/v1/runs/{}/card",
    "/v1/runs/{}/tasks",
    "/v1/runs/{}/adapters/{}",
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
    "${CANARY_KEY}",
    "file:///etc/passwd",
    "http://169.254.169.254/",
    "CANARY_KEY",
    "$(id)",
    "x" * 10_000,
    [],
    {},
    [[[[[]]]]],
    {"base_url": "http://127.0.0.1:1/v1", "api_key_env": "CANARY_KEY"},
    {"api_key_env": "CANARY_KEY"},
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
    "audit_rubric",
    "baseline",
    "check_against",
    "recorded",
    "source",
    "simulator",
    "policy",
    "audit_endpoint",
    "n",
    "steps",
    "store",
    "budget",
    "nothing",
)
_KINDS = ("generate", "rollout", "sft", "rl", "eval", "tasks", "judge", "luck", "tau2", "shell", 7)
_COMMANDS = ("pause", "resume", "concurrency", "cancel", "stop", "\x00")


def hostile(
    count: int, seed: int, run: str
) -> Iterator[tuple[str, str, bytes | None, dict[str, str]]]:
    """Method, path, body and headers of requests; some are about the run `run`."""
    rng = random.Random(seed)
    for _ in range(count):
        template = rng.choice((*_PATHS, *_USUAL, *_USUAL))
        usual = _USUAL.get(template, "GET")
        method = usual if rng.random() < 0.7 else rng.choice(_METHODS)
        path = template.replace("{}", run if rng.random() < 0.3 else rng.choice(_NAMES), 1)
        path = path.replace("{}", rng.choice(_NAMES))
        if path == f"/v1/runs/{run}" or path.endswith(f"{run}/events"):
            method = "GET"
        if rng.random() < 0.2:
            path += rng.choice(("?after=", "?format=", "?eval=", "?meter="))
            path += rng.choice(("-1", "x", "9" * 40, "%00", "1e9", "hermes", "..%2f..%2ftoken"))
        headers = {}
        if rng.random() < 0.2:
            headers["Idempotency-Key"] = rng.choice(("", "k" * 500, "../x", "\xff\udcff"))
        if rng.random() < 0.1:
            headers["Range"] = rng.choice(("bytes=5-", "bytes=-5", "bytes=9-1", "bytes=x", "x=0-"))
        if rng.random() < 0.1:
            headers["Last-Event-ID"] = rng.choice(("-1", "x", "9" * 30))
        if rng.random() < 0.1:
            headers["Content-Type"] = rng.choice(("text/xml", "multipart/form-data", ""))
        yield method, path, _body(rng), headers


def _body(rng: random.Random) -> bytes | None:
    match rng.randrange(6):
        case 0:
            return None
        case 1:
            return "".join(rng.choices(string.printable, k=rng.randrange(200))).encode()
        case 2:
            return b"[" * rng.randrange(1, 20_000)
        case 3:
            files = {rng.choice(_NAMES): "x", "../../x.md": "y", "policy.md": "z"}
            return msgspec.json.encode({"files": files})
        case 4:
            arguments = {rng.choice(("name", "path", "value", "n")): rng.choice(_VALUES)}
            order = {"name": rng.choice(_COMMANDS), "arguments": arguments}
            return msgspec.json.encode(order)
    settings = {rng.choice(_FIELDS): rng.choice(_VALUES) for _ in range(rng.randrange(1, 4))}
    return msgspec.json.encode({"kind": rng.choice(_KINDS), "settings": settings})
