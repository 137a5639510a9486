"""The part of a state that a call touches: what its prompt carries, never a whole database."""

from collections.abc import Iterable, Iterator
from typing import Any

from simia_async.environments.tool_effects import Parts
from simia_async.simulation.grounding.entities import Collections, collections_of, texts_in
from simia_async.simulation.grounding.observation import State

LIMIT_BYTES = 6000
"""Of JSON; default of what a prompt carries."""

Entity = tuple[Parts, str]
"""The path of a collection, and an id in it."""


def state_slice(state: State, arguments: dict[str, Any], limit_bytes: int = LIMIT_BYTES) -> State:
    """What `arguments` touch of `state`, about `limit_bytes` of JSON.

    A state that fits is given whole. Else: the entities whose ids are among the arguments, and
    those that these refer to; if there are none, those that hold most of the arguments' values; if
    there are none either, all without their inner objects. Where it is too much, later ones are
    left out. `_omitted` says how many of each collection are not shown whole.
    """
    if fits(state, limit_bytes):
        return state
    collections = collections_of(state)
    part = _Slice(collections, limit_bytes)
    part.put_all_but_collections(state)
    wanted = dict.fromkeys(texts_in(arguments))
    touched = _with_ids(collections, wanted) or _holding(collections, wanted)
    for path, key in touched:
        part.put(path, key, collections[path][key], first=not part.entities)
    for path, key in _referred(collections, touched):
        part.put(path, key, collections[path][key])
    if not touched:
        part.put_outline()
    return part.finished()


class _Slice:
    def __init__(self, collections: Collections, room: int) -> None:
        self._collections = collections
        self._room = room
        self._shown: State = {}
        self._omitted: dict[str, int] = {}
        self.entities: set[Entity] = set()
        """Those that are shown whole."""

    def put(self, path: Parts, key: str, entity: Any, *, first: bool = False) -> None:
        """Show an entity if there is room for it; the `first` one is shown anyway."""
        if (path, key) not in self.entities and self._put((*path, key), entity, first=first):
            self.entities.add((path, key))

    def put_all_but_collections(self, state: State) -> None:
        for name, value in state.items():
            if (name,) in self._collections:
                continue
            inner = [path for path in self._collections if path[0] == name]
            parts: list[tuple[Parts, Any]] = [((name,), value)]
            if inner:
                parts = [((name, key), each) for key, each in value.items()]
            for path, each in parts:
                if path not in self._collections and not self._put(path, each):
                    size = len(each) if isinstance(each, dict | list) else 1
                    self._omitted["/".join(path)] = size

    def put_outline(self) -> None:
        """Show what there is, the smallest collections first, each as a whole or not at all."""
        for path, entities in sorted(self._collections.items(), key=lambda each: len(each[1])):
            self._put(path, {key: _flat(entity) for key, entity in entities.items()})

    def finished(self) -> State:
        for path, entities in self._collections.items():
            shown = sum(each == path for each, _ in self.entities)
            if shown < len(entities):
                self._omitted["/".join(path)] = len(entities) - shown
        return {**self._shown, "_omitted": self._omitted}

    def _put(self, path: Parts, value: Any, *, first: bool = False) -> bool:
        room = _room_after(value, self._room - sum(map(len, path)))
        if room < 0 and not first:
            return False
        self._room = room
        place = self._shown
        for part in path[:-1]:
            place = place.setdefault(part, {})
        place[path[-1]] = value
        return True


def _with_ids(collections: Collections, wanted: Iterable[str]) -> list[Entity]:
    return [(path, key) for key in wanted for path in collections if key in collections[path]]


def _holding(collections: Collections, wanted: Iterable[str]) -> list[Entity]:
    """The entities that hold a wanted value in a field or in a field's field, those that hold most
    of them first.
    """
    values = set(wanted)
    scores: dict[Entity, int] = {}
    for path, entities in collections.items() if values else ():
        for key, entity in entities.items():
            if score := len(values.intersection(_shallow_texts(entity))):
                scores[path, key] = score
    best = max(scores.values(), default=0)
    return [entity for entity, score in scores.items() if score == best]


def _shallow_texts(entity: dict[str, Any]) -> Iterator[str]:
    for value in entity.values():
        for each in value.values() if isinstance(value, dict) else (value,):
            if isinstance(each, str | int):
                yield str(each)


def _referred(collections: Collections, touched: list[Entity]) -> list[Entity]:
    texts = dict.fromkeys(
        text for path, key in touched for text in texts_in(collections[path][key])
    )
    return _with_ids(collections, texts)


def _flat(entity: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in entity.items() if not isinstance(each, dict | list)}


def fits(value: Any, limit_bytes: int = LIMIT_BYTES) -> bool:
    """Whether a prompt may hold a value: it is about so many bytes of JSON at most."""
    return _room_after(value, limit_bytes) >= 0


def _room_after(value: Any, room: int) -> int:
    """What is left of `room` bytes after the value as JSON, about; below 0 once it is full."""
    if isinstance(value, dict):
        for key, each in value.items():
            room = _room_after(each, room - len(key) - 4)
            if room < 0:
                return room
    elif isinstance(value, list):
        for each in value:
            room = _room_after(each, room - 1)
            if room < 0:
                return room
    elif isinstance(value, str):
        return room - len(value) - 2
    else:
        return room - 5
    return room - 2
