"""A value that follows a JSON schema, the same for the same seed. It has a shape and no sense.

Covers type, enum, const, properties, required, additionalProperties, items, prefixItems, anyOf,
oneOf (read as anyOf), allOf, local $ref, the bounds of numbers, strings, arrays and objects,
multipleOf, uniqueItems and common formats. Keywords that restrict in other ways are refused, not
ignored.
"""

import math
import random
from typing import Any

import jsonpointer

Schema = dict[str, Any]

_NOT_COVERED = frozenset(
    "not if then else pattern patternProperties propertyNames dependentRequired dependentSchemas "
    "dependencies contains minContains unevaluatedProperties unevaluatedItems $dynamicRef".split()
)
_FORMATS = {
    "date": "2024-05-17",
    "date-time": "2024-05-17T09:30:00Z",
    "time": "09:30:00Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/a",
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
}
_WORDS = "amber birch cedar delta ember fjord grove haven inlet jetty".split()
_DEEP = 6
"""From this depth on only what must be there is there."""
_TOO_DEEP = 40
_MOST_ITEMS = 1000
_MOST_CHARACTERS = 100_000
_TRIES = 50


class CannotShape(Exception):
    """The schema contradicts itself, never ends, or uses a keyword that is not covered."""


def shaped(schema: Schema | bool, seed: int | str) -> Any:
    """A value that `schema` allows. Raises `CannotShape`."""
    return _Sampler(schema, random.Random(seed)).value(schema, 0)


class _Sampler:
    """One value in the making."""

    def __init__(self, root: Schema | bool, rng: random.Random) -> None:
        self._root = root
        self._rng = rng

    def value(self, schema: Schema | bool, depth: int) -> Any:
        if schema is False:
            raise CannotShape("the schema allows nothing (false)")
        schema = self._flatten({} if schema is True else schema, depth)
        if depth > _TOO_DEEP:
            raise CannotShape("the schema refers to itself without end")
        if refused := _NOT_COVERED & schema.keys():
            raise CannotShape(f"the schema uses {', '.join(sorted(refused))}, which is not covered")
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._rng.choice(_fitting(schema))
        match self._type(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "integer":
                return self._integer(schema)
            case "number":
                return self._number(schema)
            case "boolean":
                return self._rng.random() < 0.5
            case "null":
                return None
            case _:
                return self._string(schema)

    def _flatten(self, schema: Schema, depth: int) -> Schema:
        """Without $ref, allOf, anyOf and oneOf: references followed, one alternative chosen."""
        for _ in range(_TOO_DEEP):
            if "$ref" in schema:
                rest = {k: v for k, v in schema.items() if k != "$ref"}
                schema = _merge(rest, self._resolve(schema["$ref"]))
            elif "allOf" in schema:
                rest = {k: v for k, v in schema.items() if k != "allOf"}
                for part in schema["allOf"]:
                    rest = _merge(rest, part)
                schema = rest
            elif choice := next((k for k in ("anyOf", "oneOf") if k in schema), None):
                rest = {k: v for k, v in schema.items() if k != choice}
                schema = _merge(rest, self._choose(schema[choice], depth))
            else:
                return schema
        raise CannotShape("the schema refers to itself without end")

    def _choose(self, alternatives: list[Schema | bool], depth: int) -> Schema | bool:
        possible = [a for a in alternatives if a is not False]
        if not possible:
            raise CannotShape("none of the alternatives allows anything")
        return min(possible, key=_size) if depth >= _DEEP else self._rng.choice(possible)

    def _resolve(self, reference: str) -> Schema | bool:
        if not reference.startswith("#"):
            raise CannotShape(f"the schema refers to {reference!r}, which is not in it")
        try:
            found: Schema | bool = jsonpointer.resolve_pointer(self._root, reference[1:])
        except jsonpointer.JsonPointerException as error:
            raise CannotShape(f"the schema has no {reference!r}") from error
        return found

    def _type(self, schema: Schema) -> str:
        named = schema.get("type")
        if isinstance(named, list):
            return "null" if "null" in named and len(named) == 1 else self._rng.choice(named)
        if isinstance(named, str):
            return named
        for keywords, implied in _IMPLIED:
            if keywords & schema.keys():
                return implied
        return "string"

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties: dict[str, Schema | bool] = schema.get("properties", {})
        others: Schema | bool = schema.get("additionalProperties", True)
        required = schema.get("required", [])
        optional = [name for name in properties if name not in required]
        low, high = schema.get("minProperties", 0), schema.get("maxProperties", math.inf)
        names = list(required)
        for name in optional:
            wanted = depth < _DEEP and self._rng.random() < 0.5
            if len(names) < high and properties[name] is not False and (wanted or len(names) < low):
                names.append(name)
        if low > _MOST_ITEMS:
            raise CannotShape(f"an object of {low} properties is too large")
        extra = (f"extra_{n}" for n in range(_MOST_ITEMS * 2))
        while len(names) < low:
            names.append(next(name for name in extra if name not in properties))
        if len(names) > high or (others is False and not set(names) <= properties.keys()):
            raise CannotShape("an object cannot have the properties that it must have")
        return {name: self.value(properties.get(name, others), depth + 1) for name in names}

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        first: list[Schema | bool] = schema.get("prefixItems", [])
        others = schema.get("items", True)
        low = schema.get("minItems", 0)
        high = schema.get("maxItems", max(low, len(first)) + 2)
        if others is False:
            high = min(high, len(first))
        if low > high or low > _MOST_ITEMS:
            raise CannotShape(f"an array of {low} items is not possible, or too large")
        count = low if depth >= _DEEP else self._rng.randint(low, min(high, low + 2))
        if depth < _DEEP:
            count = max(count, min(high, len(first)))
        items: list[Any] = []
        for number in range(count):
            of = first[number] if number < len(first) else others
            tries = _TRIES if schema.get("uniqueItems") else 1
            for _ in range(tries):
                item = self.value(of, depth + 1)
                if tries == 1 or item not in items:
                    items.append(item)
                    break
            else:
                if len(items) < low:
                    raise CannotShape(f"no {low} different items were found")
                return items
        return items

    def _integer(self, schema: Schema) -> int:
        low, high = _bounds(schema)
        step = schema.get("multipleOf", 1)
        if not float(step).is_integer():
            if not (1 / step).is_integer():
                raise CannotShape(f"integers that are multiples of {step} are not covered")
            step = 1  # every integer is a multiple of 0.5
        return int(self._multiple(low, high, int(step)))

    def _number(self, schema: Schema) -> float:
        low, high = _bounds(schema)
        if step := schema.get("multipleOf"):
            return self._multiple(low, high, float(step))
        within = low + self._rng.random() * (high - low)
        short = round(within, 2)
        return short if low <= short <= high else min(max(within, low), high)

    def _multiple(self, low: float, high: float, step: float) -> float:
        first = math.ceil(low / step)
        count = math.floor(high / step) + 1 - first
        start = self._rng.randrange(max(1, count))
        for offset in range(min(count, _TRIES)):
            value = (first + (start + offset) % count) * step
            # A multiple of 0.1 may, divided by it, come out a little beside a whole number.
            if low <= value <= high and (value / step).is_integer():
                return value
        raise CannotShape("no number lies within the bounds")

    def _string(self, schema: Schema) -> str:
        low, high = schema.get("minLength", 0), schema.get("maxLength", math.inf)
        if low > min(high, _MOST_CHARACTERS):
            raise CannotShape(f"a string of {low} characters is not possible, or too large")
        if named := schema.get("format"):
            example = _FORMATS.get(named)
            if example is not None and low <= len(example) <= high:
                return example
            if example is not None:
                raise CannotShape(f"a {named} does not fit the length that is wanted")
        text: str = " ".join(self._rng.choices(_WORDS, k=2))
        text += "." * (low - len(text))
        return text[: int(min(high, len(text)))]


_IMPLIED: tuple[tuple[frozenset[str], str], ...] = (
    (
        frozenset(
            {"properties", "required", "additionalProperties", "minProperties", "maxProperties"}
        ),
        "object",
    ),
    (frozenset({"items", "prefixItems", "minItems", "maxItems", "uniqueItems"}), "array"),
    (
        frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
        "number",
    ),
)


_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}


def _bounds(schema: Schema) -> tuple[float, float]:
    """The inclusive range of a number; 100 wide where one end is open.

    For integers exclusive bounds are one further in; for other numbers the next float is.
    """
    whole = schema.get("type") == "integer" or "integer" in schema.get("type", ())
    low, high = schema.get("minimum"), schema.get("maximum")
    if (over := schema.get("exclusiveMinimum")) is not None:
        next_up = math.floor(over) + 1 if whole else math.nextafter(over, math.inf)
        low = next_up if low is None else max(low, next_up)
    if (under := schema.get("exclusiveMaximum")) is not None:
        next_down = math.ceil(under) - 1 if whole else math.nextafter(under, -math.inf)
        high = next_down if high is None else min(high, next_down)
    wide = max(100, schema.get("multipleOf", 0) * 2)
    if low is None:
        low = 0 if high is None or high >= 0 else high - wide
    if high is None:
        high = low + wide
    if low > high:
        raise CannotShape("no number lies within the bounds")
    return low, high


def _fitting(schema: Schema) -> list[Any]:
    """The values of an enum that are of the type that is named beside it."""
    named = schema.get("type")
    names = [named] if isinstance(named, str) else named
    values = [v for v in schema["enum"] if names is None or any(_is(v, n) for n in names)]
    if not values:
        raise CannotShape("no value of the enum has the type that is wanted")
    return values


def _is(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, _PYTHON_TYPES.get(name, ()))


def _merge(left: Schema, right: Schema | bool) -> Schema:
    """What both schemas allow, as far as they do not contradict each other."""
    if right is False:
        raise CannotShape("the schema allows nothing (false)")
    if right is True:
        return left
    merged = {**left, **right}
    for key in left.keys() & right.keys():
        merged[key] = _merge_keyword(key, left[key], right[key])
    return merged


def _merge_keyword(key: str, left: Any, right: Any) -> Any:
    if left == right:
        return left
    if key == "properties":
        names = [*left, *(name for name in right if name not in left)]
        both = left.keys() & right.keys()
        return {
            n: {"allOf": [left[n], right[n]]} if n in both else left.get(n, right.get(n))
            for n in names
        }
    if key == "required":
        return list(dict.fromkeys([*left, *right]))
    if key in ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"):
        return max(left, right)
    if key in ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"):
        return min(left, right)
    if key == "enum":
        return [value for value in left if value in right]
    if key == "allOf":
        return [*left, *right]
    if key in ("title", "description", "default", "examples", "$defs", "definitions"):
        return right
    raise CannotShape(f"two schemas that both hold say different things about {key}")


def _size(schema: Schema | bool) -> int:
    """A rank of alternatives by how little they need."""
    if (
        isinstance(schema, bool)
        or "const" in schema
        or "enum" in schema
        or schema.get("type") == "null"
    ):
        return 0
    if "$ref" in schema or "anyOf" in schema or "oneOf" in schema or "allOf" in schema:
        return 4
    return {"array": 2, "object": 3}.get(str(schema.get("type")), 1)
