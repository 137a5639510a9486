"""The API described as OpenAPI 3.1, from the Structs that its bodies are read into."""

from functools import lru_cache
from importlib.metadata import version
from typing import Any

import msgspec

from simia_async.serving.problems import Problem
from simia_async.serving.requests import EnvironmentFiles, Order, Submission
from simia_async.serving.views import CommandView, RunView
from simia_async.synthesis.export_format import ExportFormat

_BODIES = (Submission, Order, EnvironmentFiles, RunView, CommandView, Problem)
_PROBLEM = {
    "description": "What went wrong.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
_NUMBER = {"name": "number", "in": "path", "required": True, "schema": {"type": "integer"}}
_KEY = {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 200}}
_CURSOR = {"name": "after", "in": "query", "schema": {"type": "integer", "minimum": 0}}
_VERSION = {"name": "version", "in": "path", "required": True, "schema": {"type": "string"}}
_FORMAT = {
    "name": "format",
    "in": "query",
    "schema": {"type": "string", "enum": list(ExportFormat), "default": "openai"},
}
_RUNS_BESIDE = tuple(
    {"name": name, "in": "query", "schema": {"type": "array", "items": {"type": "string"}}}
    for name in ("eval", "meter")
)
_AFTER = {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}}


@lru_cache
def document() -> dict[str, Any]:
    """The description."""
    _, components = msgspec.json.schema_components(
        _BODIES, ref_template="#/components/schemas/{name}"
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": "simia-async", "version": version("simia-async")},
        "security": [{"token": []}],
        "paths": {path: _operations(path, each) for path, each in _PATHS.items()},
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operations(path: str, operations: dict[str, dict[str, Any]]) -> dict[str, Any]:
    parameters = [p for p in (_ID, _NAME, _VERSION, _NUMBER) if f"{{{p['name']}}}" in path]
    return {"parameters": parameters, **operations} if parameters else operations


def _operation(
    summary: str,
    responses: dict[int, Any],
    *,
    body: Any = None,
    parameters: tuple[Any, ...] = (),
    is_open: bool = False,
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "summary": summary,
        "responses": {
            **{str(status): content for status, content in responses.items()},
            "default": _PROBLEM,
        },
    }
    if body is not None:
        told["requestBody"] = {"required": True, "content": body}
    if parameters:
        told["parameters"] = list(parameters)
    if is_open:
        told["security"] = []
    return told


def _json(schema: Any, description: str = "The answer.") -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _is(kind: type[Any]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _sent(kind: type[Any]) -> dict[str, Any]:
    return {"application/json": {"schema": _is(kind)}}


def _as(media: str) -> dict[str, Any]:
    return {"description": "The content.", "content": {media: {}}}


def _file(media: str) -> dict[int, Any]:
    """What answers a request for a file: all of it, or the part that was asked for."""
    whole = _as(media)
    return {
        200: whole,
        206: {**whole, "description": "The `Range` that was asked for."},
        304: {"description": "It is what `If-None-Match` or `If-Modified-Since` tells of."},
        412: {"description": "It is not what `If-Match` or `If-Unmodified-Since` tells of."},
        416: {"description": "It has no such `Range`."},
    }


_OBJECT = {"type": "object"}
_RUNS = {
    "type": "object",
    "properties": {"runs": {"type": "array", "items": _is(RunView)}},
    "required": ["runs"],
}
_PATHS: dict[str, dict[str, dict[str, Any]]] = {
    "/healthz": {"get": _operation("Whether it is there", {200: _json(_OBJECT)}, is_open=True)},
    "/readyz": {"get": _operation("Whether it takes runs", {200: _json(_OBJECT)}, is_open=True)},
    "/metrics": {"get": _operation("Metrics for Prometheus", {200: _as("text/plain")})},
    "/openapi.json": {"get": _operation("This description", {200: _json(_OBJECT)})},
    "/v1/runs": {
        "get": _operation("All runs, the newest first", {200: _json(_RUNS)}),
        "post": _operation(
            "Submit a run",
            {
                200: _json(_is(RunView), "It was submitted with this key before."),
                201: _json(_is(RunView), "It waits for its turn."),
            },
            body=_sent(Submission),
            parameters=(_KEY,),
        ),
    },
    "/v1/runs/{id}": {
        "get": _operation("One run", {200: _json(_is(RunView))}),
        "delete": _operation("Remove a run that is over", {204: {"description": "It is gone."}}),
    },
    "/v1/runs/{id}/stop": {
        "post": _operation("End a run; what it committed stays", {202: _json(_is(RunView))})
    },
    "/v1/runs/{id}/commands": {
        "post": _operation(
            "Steer a run that goes on",
            {
                200: _json(_is(CommandView), "It did."),
                202: _json(_is(CommandView), "It is doing so, or has not answered yet."),
            },
            body=_sent(Order),
        )
    },
    "/v1/runs/{id}/commands/{number}": {
        "get": _operation(
            "What became of a command",
            {
                200: _json(_is(CommandView), "It is done or refused."),
                202: _json(_is(CommandView), "It waits, or is being done."),
            },
        )
    },
    "/v1/runs/{id}/events": {
        "get": _operation(
            "What is written to a run, as it is written",
            {200: _as("text/event-stream")},
            parameters=(_AFTER,),
        )
    },
    "/v1/runs/{id}/changes": {
        "get": _operation(
            "Rows that were written after a cursor",
            {200: _as("application/vnd.msgpack")},
            parameters=(_CURSOR,),
        )
    },
    "/v1/runs/{id}/database": {
        "get": _operation(
            "The record of a run, a SQLite database", {200: _as("application/vnd.sqlite3")}
        )
    },
    "/v1/runs/{id}/log": {
        "get": _operation("The last that its process said", {200: _as("text/plain")})
    },
    "/v1/runs/{id}/export": {
        "get": _operation(
            "The data set of what a run kept", _file("application/x-tar"), parameters=(_FORMAT,)
        )
    },
    "/v1/runs/{id}/card": {
        "get": _operation(
            "One page on a run, with evaluations and meters of the server beside it",
            _file("text/markdown"),
            parameters=_RUNS_BESIDE,
        )
    },
    "/v1/runs/{id}/tasks": {
        "get": _operation("The tasks that a run made", _file("application/jsonl"))
    },
    "/v1/runs/{id}/adapters/{version}": {
        "get": _operation("An adapter that a run published", _file("application/x-tar"))
    },
    "/v1/files/{name}": {
        "put": _operation(
            "Send seeds, tasks or a rubric",
            {201: _json(_OBJECT)},
            body={"application/octet-stream": {}},
        )
    },
    "/v1/environments/{name}": {
        "put": _operation(
            "Send an environment", {201: _json(_OBJECT)}, body=_sent(EnvironmentFiles)
        )
    },
}
