"""What a state is about: its collections of entities, found by their shape.

A collection is an object whose values are objects, at the first or the second level of the state:
`/orders` of `{"orders": {"W1": {"status": "pending"}}}`. Its keys are the ids of its entities.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from jsonpointer import JsonPointer

from simia_async.environments.tool_effects import Parts, ToolEffect, argument_of
from simia_async.simulation.grounding.observation import Op, State

MISSING = object()
"""What lies where nothing is; null is something."""

Collections = dict[Parts, dict[str, Any]]


def at(state: Any, parts: Parts) -> Any:
    """What lies at a path; `MISSING` where nothing does."""
    for part in parts:
        if isinstance(state, dict) and part in state:
            state = state[part]
        elif isinstance(state, list) and part.isdecimal() and len(part) < 10:
            if int(part) >= len(state):
                return MISSING
            state = state[int(part)]
        else:
            return MISSING
    return state


def is_told(state: Any, op: Op) -> bool:
    """Whether there is something already where an operation would put its value."""
    return at(state, tuple(JsonPointer(op["path"]).parts)) is not MISSING


def pointer(parts: Parts) -> str:
    """A path as a JSON pointer."""
    path: str = JsonPointer.from_parts(parts).path
    return path


def collections_of(state: State) -> Collections:
    """The collections by path, in the order of the state."""
    found: Collections = {}
    for name, value in state.items():
        if _holds_entities(value):
            found[(name,)] = value
        elif isinstance(value, dict):
            found |= {(name, key): each for key, each in value.items() if _holds_entities(each)}
    return found


def _holds_entities(value: Any) -> bool:
    """Whether a value is an object of objects, and not of collections."""
    if not isinstance(value, dict) or not value:
        return False
    entities = value.values()
    return all(isinstance(each, dict) for each in entities) and not all(
        each and all(isinstance(field, dict) for field in each.values()) for each in entities
    )


IdNames = dict[str, list[Parts]]


def id_names(collections: Collections, effects: Mapping[str, ToolEffect]) -> IdNames:
    """Which collections a field of this name holds an id of: `order_id` one of `/orders`.

    Told by entities that hold their own id, and by what tools are declared to return.
    """
    names: IdNames = {}
    for path, entities in collections.items():
        key, entity = next(iter(entities.items()))
        for name, value in entity.items():
            if value == key:
                names.setdefault(name, []).append(path)
    for path, name in _declared_names(effects):
        if path not in names.setdefault(name, []):
            names[name].append(path)
    return names


def _declared_names(effects: Mapping[str, ToolEffect]) -> Iterator[tuple[Parts, str]]:
    for effect in effects.values():
        parts = JsonPointer(effect.returns or "").parts
        name = argument_of(parts[-1]) if parts else None
        if name is not None and not any(map(argument_of, parts[:-1])):
            yield tuple(parts[:-1]), name


def texts_in(value: Any) -> Iterator[str]:
    """Every text in a JSON value, numbers as text too, since either may be an id."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from texts_in(each)
    elif isinstance(value, str | int) and not isinstance(value, bool):
        yield str(value)
