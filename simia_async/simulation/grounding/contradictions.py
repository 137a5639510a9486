"""What an observation says that the state denies."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from simia_async.environments.tool_effects import Parts, ToolEffect
from simia_async.simulation.grounding.entities import (
    MISSING,
    Collections,
    IdNames,
    at,
    collections_of,
    id_names,
    pointer,
)
from simia_async.simulation.grounding.observation import State

Said = tuple[str, Any, Any]
"""Where, what was said, and what is true."""


def contradictions(
    observation: Any,
    state: State,
    effects: Mapping[str, ToolEffect],
    about: Parts | None = None,
) -> list[str]:
    """What `observation` says of entities of `state` that is not so, a sentence each.

    `about` is the part of the state that the observation as a whole is about, where that is known.
    Else its outermost objects that hold the id of an entity are about that entity. Fields that the
    state does not have are new and contradict nothing; nor does another way of saying, such as text
    for an object.
    """
    if about is not None and at(state, about) is not MISSING:
        said = _differences(pointer(about), observation, at(state, about))
    else:
        collections = collections_of(state)
        said = _said(observation, collections, id_names(collections, effects))
    return [
        f"the observation says {_short(claimed)} at {place} of the state, where {_short(true)} is"
        for place, claimed, true in said
    ]


def _said(value: Any, collections: Collections, names: IdNames) -> Iterator[Said]:
    if isinstance(value, dict):
        held = {name: str(value[name]) for name in names if isinstance(value.get(name), str | int)}
        if held:
            # Its inner objects are its own affair: a line of an order keeps the price of its day.
            for path in _subjects(held, collections, names):
                yield from _differences(pointer(path), value, at(collections[path[:-1]], path[-1:]))
            return
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _said(each, collections, names)


def _subjects(held: dict[str, str], collections: Collections, names: IdNames) -> list[Parts]:
    """The entity that an object with these ids is about; none where it may be about several.

    An object may name others than its own: an order names its user, and is not about the user. The
    one that it is about has the other ids as its fields.
    """
    found = [
        (*path, key)
        for name, key in held.items()
        for path in names[name]
        if key in (entities := collections.get(path, {}))
        and all(
            other_key == key if path in names[other] else other in entities[key]
            for other, other_key in held.items()
        )
    ]
    subjects = list(dict.fromkeys(found))
    return subjects if len(subjects) == 1 else []


def _differences(place: str, claimed: Any, true: Any) -> Iterator[Said]:
    if isinstance(claimed, dict) and isinstance(true, dict):
        for key, value in claimed.items():
            if key in true:
                yield from _differences(f"{place}/{key}", value, true[key])
    elif isinstance(claimed, list) and isinstance(true, list):
        yield from _list_differences(place, claimed, true)
    elif claimed != true and not _nested([claimed, true]):
        yield place, claimed, true


def _list_differences(place: str, claimed: list[Any], true: list[Any]) -> Iterator[Said]:
    """Lists of ids and the like are the same in any order, and may be told at length: an object
    for each. Others are compared one by one.
    """
    if not _nested(true):
        if not _nested(claimed) and sorted(claimed, key=str) != sorted(true, key=str):
            yield place, claimed, true
    elif len(claimed) != len(true):
        yield place, claimed, true
    else:
        for index, (one, other) in enumerate(zip(claimed, true, strict=True)):
            yield from _differences(f"{place}/{index}", one, other)


def _nested(values: list[Any]) -> bool:
    return any(isinstance(each, dict | list) for each in values)


def _short(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 80 else f"{text[:60]} … {text[-15:]}"
