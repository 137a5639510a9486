"""JSON Schemas that users bring: whether they are any, and what does not fit them."""

from collections.abc import Iterator
from typing import Any

import jsonpointer
import jsonschema


def schema_problem(schema: Any) -> str | None:
    """Why `schema` is no JSON Schema whose references lead somewhere in it; None if it is one."""
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        return error.message
    for reference in _references(schema):
        try:
            jsonpointer.resolve_pointer(schema, reference.removeprefix("#"))
        except jsonpointer.JsonPointerException:
            return f"`$ref` {reference!r} leads to nothing within it"
    for reference in _references(schema, "$dynamicRef"):
        if not reference.startswith("#"):
            return f"`$dynamicRef` {reference!r} leads out of it"
    return None


def misfits(value: Any, schema: dict[str, Any]) -> Iterator[str]:
    """Every place of `value` that does not fit, as a JSON pointer, and why."""
    for error in jsonschema.Draft202012Validator(schema).iter_errors(value):
        pointer = jsonpointer.JsonPointer.from_parts(error.absolute_path).path or "/"
        yield f"{pointer}: {_shortened(error.message)}"


def _shortened(message: str) -> str:
    """The message without the middle of the value it quotes: the reason stands at its end."""
    return message if len(message) <= 200 else f"{message[:80]} … {message[-110:]}"


def _references(schema: Any, keyword: str = "$ref") -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(reference := schema.get(keyword), str):
            yield reference
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from _references(part, keyword)
