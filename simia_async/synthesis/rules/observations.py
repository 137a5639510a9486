"""The same look-up gives the same answer as long as nothing may have changed."""

import re
from typing import Any

import msgspec

from simia_async.synthesis.rules.json_walk import decoded, names_id
from simia_async.synthesis.rules.verdict import Case, Mended, Reject

_READS = re.compile(
    r"(?:get|find|list|search|lookup|look_up|check(?!_?(?:in|out)(?:_|\Z))|calculate|view|show|fetch"
    r"|query|read|retrieve|describe|count)(?![a-z])"
)
_MOVES_ON = re.compile(r"time|date|timestamp|now|elapsed|eta|nonce|random|token|request_id")


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
        asked = (name, _canonical(arguments))
        if asked in told and (key := _contradiction(told[asked], observed)):
            raise Reject(f"turn {at}: {name} gave another {key} before, for the same arguments")
        told[asked] = _together(told.get(asked), observed)
    return None


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _canonical(arguments: str) -> bytes:
    return msgspec.json.encode(decoded(arguments), order="deterministic")


def _is_error(text: str, observed: Any) -> bool:
    if isinstance(observed, dict):
        return bool(observed.get("error")) or observed.get("is_error") is True
    return text.lstrip()[:5].lower() == "error"


def _together(before: Any, after: Any) -> Any:
    """What two looks have told that do not contradict each other."""
    if isinstance(before, dict) and isinstance(after, dict):
        return {**before, **after}
    return after


def _contradiction(before: Any, after: Any, key: str = "result") -> str | None:
    """The first key under which the two hold different values; None if they agree."""
    if before == after:
        return None
    if isinstance(before, dict) and isinstance(after, dict):
        shared = [name for name in after if name in before and not _MOVES_ON.search(name.lower())]
        found = (_contradiction(before[name], after[name], name) for name in shared)
        return next((name for name in found if name), None)
    if isinstance(before, list) and isinstance(after, list):
        return _contradiction_of_lists(before, after, key)
    if before is None or after is None:
        return None
    return key


def _contradiction_of_lists(before: list[Any], after: list[Any], key: str) -> str | None:
    told, now = _by_identity(before), _by_identity(after)
    if told.keys() != now.keys() or len(before) != len(after):
        return key
    found = (_contradiction(told[identity], now[identity], key) for identity in told)
    return next((name for name in found if name), None)


def _by_identity(parts: list[Any]) -> dict[str, Any]:
    """Elements by what tells them from the others: an id, themselves, or else their place."""
    return {_identity(part) or str(at): part for at, part in enumerate(parts)}


def _identity(part: Any) -> str | None:
    if isinstance(part, dict):
        return next((repr(part[name]) for name in part if names_id(name)), None)
    return None if isinstance(part, list) else repr(part)
