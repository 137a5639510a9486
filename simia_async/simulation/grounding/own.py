"""What a rollout has for itself once it has changed the world: its state, and what it knows."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from simia_store import FactRecord

from simia_async.environments import Environment
from simia_async.environments.tool_effects import ANY, Parts, ToolEffect
from simia_async.simulation.grounding.entities import collections_of
from simia_async.simulation.grounding.observation import Op, State
from simia_async.simulation.grounding.validation import changed_paths, op_path


class OwnWorld:
    """A rollout's branch of the world."""

    def __init__(
        self, environment: Environment, state: State, known: dict[str, FactRecord], facts: int
    ) -> None:
        self.state = state
        self.learnt: list[FactRecord] = []
        """Its own facts, in order."""
        self.known = known
        """Answers that still hold, by call."""
        self.facts = facts
        """How many facts of the group were in the state when the branch began."""
        self.whole: set[Parts] = set()
        """Parts of the state that were told or made as a whole, beyond those of the snapshot."""
        self.gone: set[Parts] = set()
        """What changes removed."""
        self._environment = environment

    def learn(self, fact: FactRecord, state: State) -> None:
        """Keep the answer to a look-up, and the state with what it told."""
        self.known[fact.call] = fact
        self.learnt.append(fact)
        self.state = state

    def change(self, ops: list[Op], state: State) -> None:
        """Take over the changed state, and forget the answers that speak of what was changed."""
        before, self.state = self.state, state
        paths = [parts for op in ops for parts in changed_paths(op)]
        words = {word for parts in paths for word in _words(parts, before, state)}
        for fact in list(self.known.values()):
            place = self._place_of(fact)
            if (
                _overlaps(place, paths)
                or any(_overlaps(other, paths) for other in self._bases_of(fact))
                or any(_mentions(fact, word) for word in words)
            ):
                del self.known[fact.call]
                if place is not None and not fact.is_error:
                    self.whole.add(place)
        for op in ops:
            self._note(op)

    def _note(self, op: Op) -> None:
        if op["op"] in ("remove", "move"):
            self.gone.add(op_path(op, "from" if op["op"] == "move" else "path"))
        if op["op"] not in ("remove", "test"):
            made = op_path(op)
            self.gone = {parts for parts in self.gone if parts[: len(made)] != made}
            self.whole.add(made)

    def _place_of(self, fact: FactRecord) -> Parts | None:
        effect, arguments = self._asked(fact)
        return effect.returned(arguments) if effect else None

    def _bases_of(self, fact: FactRecord) -> list[Parts]:
        effect, arguments = self._asked(fact)
        return effect.follows_from(arguments) if effect else []

    def _asked(self, fact: FactRecord) -> tuple[ToolEffect | None, dict[str, Any]]:
        name, _, arguments = fact.call.partition(" ")
        return self._environment.effects.get(name), msgspec.json.decode(arguments)


def _words(parts: Parts, before: State, after: State) -> Iterator[str]:
    """What names a changed part: the id of its entity; outside of all entities, its whole path."""
    collections = collections_of(before) | collections_of(after)
    ids = [parts[len(p)] for p in collections if parts[: len(p)] == p and len(parts) > len(p)]
    yield from ids or parts


def _overlaps(place: Parts | None, paths: Iterable[Parts]) -> bool:
    """Whether one of the paths is the place, above it or below it; `*` there is any segment."""
    if place is None:
        return False
    return any(all(a in (ANY, b) for a, b in zip(place, path, strict=False)) for path in paths)


def _mentions(fact: FactRecord, word: str) -> bool:
    """Whether the word is a text, a key or a number in the fact's call or its observation."""
    quoted = msgspec.json.encode(word).decode()
    if quoted in fact.call or quoted in fact.observation:
        return True
    number = rf"(?<![\w.\"]){word}(?![\w.\"])" if word.isdecimal() else None
    return number is not None and bool(re.search(number, f"{fact.call}\n{fact.observation}"))
