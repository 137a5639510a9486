"""Arguments of the wrong type that can be nothing but the right value in another spelling."""

import re
from typing import Any

import jsonpointer
import msgspec

_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,14})", re.ASCII)
_DECIMAL = re.compile(r"-?(?:0|[1-9]\d{0,9})\.\d{1,6}", re.ASCII)
_BOOLEANS = {"true": True, "True": True, "false": False, "False": False}


def coerced(value: Any, schema: Any, root: Any) -> Any:
    """`value` in the types that `schema` asks for, as far as that needs no guess; `root` is the
    schema that references lead into.

    Exact numbers and booleans written as text, integers for text, JSON text for objects and lists;
    a null for what may be left out is left out. A single value is not made a list of one.
    """
    schema = _resolved(schema, root)
    if not isinstance(schema, dict):
        return value
    value = _retyped(value, _types(schema))
    if isinstance(value, dict):
        return _coerced_object(value, schema, root)
    if isinstance(value, list) and "items" in schema:
        return [coerced(part, schema["items"], root) for part in value]
    return value


def _coerced_object(value: dict[str, Any], schema: dict[str, Any], root: Any) -> dict[str, Any]:
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    kept = {
        name: part
        for name, part in value.items()
        if part is not None or name in required or not _forbids_null(properties.get(name), root)
    }
    return {
        name: coerced(part, properties[name], root) if name in properties else part
        for name, part in kept.items()
    }


def _forbids_null(schema: Any, root: Any) -> bool:
    schema = _resolved(schema, root)
    types = _types(schema) if isinstance(schema, dict) else []
    return bool(types) and "null" not in types


def _resolved(schema: Any, root: Any) -> Any:
    """What a reference leads to; references to references end somewhere or are left alone."""
    for _ in range(10):
        if not isinstance(schema, dict) or not isinstance(schema.get("$ref"), str):
            break
        try:
            schema = jsonpointer.resolve_pointer(root, schema["$ref"].removeprefix("#"))
        except jsonpointer.JsonPointerException:
            break
    return schema


def _types(schema: dict[str, Any]) -> list[str]:
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else types


def _retyped(value: Any, types: list[str]) -> Any:
    wanted = [kind for kind in types if kind != "null"]
    if len(wanted) != 1 or value is None:
        return value
    if isinstance(value, str):
        return _read(value, wanted[0])
    if wanted[0] == "string" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def _read(text: str, kind: str) -> Any:
    match kind:
        case "integer" if _INTEGER.fullmatch(text):
            return int(text)
        case "number" if _INTEGER.fullmatch(text):
            return int(text)
        case "number" if _DECIMAL.fullmatch(text):
            return float(text)
        case "boolean":
            return _BOOLEANS.get(text, text)
        case "object" | "array":
            return _read_json(text, dict if kind == "object" else list)
    return text


def _read_json(text: str, kind: type) -> Any:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return text
    return value if isinstance(value, kind) else text
