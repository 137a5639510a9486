"""The API described as OpenAPI 3.1, from the Structs that its bodies are read into."""

from functools import lru_cache
from importlib.metadata import version
from typing import Any

import msgspec

from simia_async.serving.problems import Problem
from simia_async.serving.requests import EnvironmentFiles, Order, Submission
from simia_async.serving.views import RunView

_BODIES = (Submission, Order, EnvironmentFiles, RunView, Problem)
_PROBLEM = {
    "description": "What went wrong.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
_KEY = {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 200}}
_CURSOR = {"name": "after", "in": "query", "schema": {"type": "integer", "minimum": 0}}
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
    parameters = [p for p in (_ID, _NAME) if f"{{{p['name']}}}" in path]
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
                200: _json(_OBJECT, "It did."),
                202: _json(_OBJECT, "It has not answered yet."),
            },
            body=_sent(Order),
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
