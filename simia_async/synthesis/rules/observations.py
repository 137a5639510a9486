"""The same look-up gives the same answer as long as nothing may have changed."""

import re
from typing import Any

import msgspec

from simia_async.synthesis.rules.json_walk import decoded
from simia_async.synthesis.rules.verdict import Case, Mended, Reject

_READS = re.compile(
    r"(?:get|find|list|search|lookup|look_up|check(?!_?(?:in|out)(?:_|\Z))|calculate|view|show|fetch"
    r"|query|read|retrieve|describe|count)(?![a-z])"
)
_MOVES_ON = re.compile(r"time|date|timestamp|now|elapsed|eta|nonce|random|token|request_id")
_NAMES_ID = re.compile(r"(?:\A|_)(?:id|number)\Z")
_ABSENT = object()


def observations_agree(case: Case) -> Mended | None:
    """A look-up that is repeated does not contradict what it gave before.

    A tool is taken for a look-up by its name (`get_…`, `find_…`). Any other call may change the
    world, unless it came back with an error, and then nothing said before it counts. To contradict
    is to hold another value under the same key; a key more or less, an error, another order of a
    list, or another time of day is none.
    """
    told: dict[tuple[str, bytes], Any] = {}
    names: dict[str, tuple[str, str]] = {}
    for at, message in enumerate(case.messages):
        for call in message.tool_calls or ():
            names[call.id] = (call.function.name, call.function.arguments)
        if message.role != "tool":
            continue
        name, arguments = names[message.tool_call_id or ""]
        observed = decoded(message.content)
        if _is_error(message.content or "", observed):
            continue
        if not _READS.match(_snake(name)):
            told.clear()
            continue
        before = told.setdefault((name, _canonical(arguments)), observed)
        if before is not observed and (key := _contradiction(before, observed)):
            raise Reject(f"turn {at}: {name} gave another {key} before, for the same arguments")
    return None


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _canonical(arguments: str) -> bytes:
    return msgspec.json.encode(decoded(arguments), order="deterministic")


def _is_error(text: str, observed: Any) -> bool:
    if isinstance(observed, dict):
        return bool(observed.get("error")) or observed.get("is_error") is True
    return text.lstrip()[:5].lower() == "error"


def _contradiction(before: Any, after: Any, key: str = "result") -> str | None:
    """The first key under which the two hold different values; None if they agree."""
    if before == after:
        return None
    if isinstance(before, dict) and isinstance(after, dict):
        shared = [name for name in before if name in after and not _MOVES_ON.search(name.lower())]
        found = (_contradiction(before[name], after[name], name) for name in shared)
        return next((name for name in found if name), None)
    if isinstance(before, list) and isinstance(after, list):
        return _contradiction_of_lists(before, after, key)
    if before is None or after is None:
        return None
    return key


def _contradiction_of_lists(before: list[Any], after: list[Any], key: str) -> str | None:
    if any(isinstance(part, list) for part in before + after):
        pairs = zip(before, after, strict=False) if len(before) == len(after) else []
    elif any(isinstance(part, dict) for part in before + after):
        told = {_identity(part): part for part in before}
        pairs = [(told.get(_identity(part)), part) for part in after if _identity(part)]
    else:
        return key if sorted(map(repr, before)) != sorted(map(repr, after)) else None
    found = (_contradiction(one, other, key) for one, other in pairs)
    return next((name for name in found if name), None)


def _identity(part: Any) -> str | None:
    """What tells one element of a list from the others: its first id."""
    if not isinstance(part, dict):
        return None
    return next((repr(part[name]) for name in part if _NAMES_ID.search(name)), None)
