"""What was told before in a conversation, and whether an observation denies it.

A value is known of a *subject*: what one call with its arguments returned, or an object that is
told from others by the ids in it (`id`, `…_id`, `…_number`, `…Id`). What was known may have changed
since, by the agent or by the world. So only that counts which the recorded observation says once
more: a value that was seen before and is still true. A simulator that says otherwise of the same
subject contradicts what was seen; one that leaves it out does not.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from simia_async.meters.values import canonical

Subject = str
Claims = dict[tuple[Subject, str], str]
"""Values as JSON, by subject and field."""

_ID = re.compile(r"(^|_)(id|number)$|[a-z](Id|Number)$")


def claims(observation: Any, request: str) -> Claims:
    """What an observation says, of the call `request` and of every object with ids. Where it says
    two things of one, it may mean two: that is left out.
    """
    said: dict[tuple[Subject, str], set[str]] = defaultdict(set)
    for subject, field, value in _said(observation, request, ""):
        said[subject, field].add(value)
    return {key: values.pop() for key, values in said.items() if len(values) == 1}


class Consistency:
    """What an observation may contradict, and does."""

    def __init__(self, known: Claims, recorded: Claims, simulated: Claims) -> None:
        still_true = [key for key, value in known.items() if recorded.get(key) == value]
        self.compared = [key for key in still_true if key in simulated]
        """Known and still true values of which the simulation says something."""
        self.contradicted = [key for key in self.compared if simulated[key] != known[key]]


def _said(value: Any, subject: Subject, place: str) -> Iterator[tuple[Subject, str, str]]:
    if isinstance(value, dict):
        ids = {k: v for k, v in value.items() if _ID.search(k) and isinstance(v, str | int)}
        own = " ".join(f"{key}={each}" for key, each in sorted(ids.items()))
        for key, each in value.items():
            yield from _said(each, subject, f"{place}/{key}")
            if own and key not in ids:
                yield from _said_flat(each, own, f"/{key}")
    elif isinstance(value, list):
        # Items have no names of their own, so those without ids are only told as a whole.
        if not any(isinstance(each, dict | list) for each in value):
            yield subject, place, canonical(sorted(value, key=canonical))
        for each in value:
            if isinstance(each, dict | list):
                yield from (claim for claim in _said(each, "", place) if claim[0])
    elif subject:
        yield subject, place, canonical(value)


def _said_flat(value: Any, subject: Subject, place: str) -> Iterator[tuple[Subject, str, str]]:
    """What an object says of itself: its inner objects with ids speak for themselves."""
    if isinstance(value, dict):
        if not any(_ID.search(key) for key in value):
            for key, each in value.items():
                yield from _said_flat(each, subject, f"{place}/{key}")
    elif not isinstance(value, list):
        yield subject, place, canonical(value)
