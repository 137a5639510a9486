"""An id that is used in a call was told before: by the user, a tool, the policy or the schemas."""

import re

import msgspec

from simia_async.environments import Environment
from simia_async.synthesis.rules.derived import derived
from simia_async.synthesis.rules.json_walk import decoded, leaves, names_id
from simia_async.synthesis.rules.verdict import Case, Mended, Reject

_NAMES_QUANTITY = re.compile(
    r"amount|price|total|cost|sum|value|quantity|limit|budget|salary|income|weight|size|balance"
    r"|points|distance|expression|time|date|zone|period|range|version|format",
    re.I,
)
_WORD = re.compile(r"#?[A-Za-z0-9]+(?:[-_][A-Za-z0-9]+)*")
_SHAPED = re.compile(
    r"#\w+"
    r"|(?=[A-Z]*\d)(?=\d*[A-Z])[A-Z0-9]{5,}"  # SI5UKW, HAT069, W7342990
    r"|[A-Za-z]+(?:[-_][A-Za-z]+)*[-_]\d{3,}"  # sara_doe_496
    r"|\w*\d{6,}\w*"
)
_NUMBERED = re.compile(r"#?[A-Za-z]{0,3}(\d+)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:T[\d:]+Z?)?|(?:19|20)\d\d[01]\d[0-3]\d")
_NOT_SPELLING = bytes(set(range(128)) - set(b"abcdefghijklmnopqrstuvwxyz0123456789"))
_FEWEST_DIGITS = 4


def ids_were_seen(case: Case) -> Mended | None:
    """An id in the arguments of a call was told before the call.

    Ids are values with a digit under properties for ids and numbers, and elsewhere texts of the
    shape of an id; dates, quantities and whole numbers under four digits are none. Case, spaces and
    punctuation do not count. What the user said may be written as an id is (1234 as W1234, Mia Li
    3668 as mia_li_3668); parts of other ids may not. What the agent itself says tells nothing.
    """
    seen = bytearray(derived(case.environment, "rules.own_spelling", _own_spelling))
    said = bytearray()
    for at, message in enumerate(case.messages):
        for call in message.tool_calls or ():
            for name, value in leaves(decoded(call.function.arguments)):
                if _is_id(name, value) and not (
                    _spelling(str(value)) in seen or _is_made_of(str(value), said)
                ):
                    raise Reject(
                        f"turn {at}: {name} {value!r} of {call.function.name} was told by nobody "
                        "before"
                    )
        if message.role in ("user", "tool"):
            told = b"\n" + _spelling(message.content or "")
            seen += told
            said += told if message.role == "user" else b""
    return None


def _is_id(name: str, value: str | int) -> bool:
    if isinstance(value, int):
        return value >= 10 ** (_FEWEST_DIGITS - 1) and names_id(name) is not None
    if not _WORD.fullmatch(value) or _DATE.fullmatch(value):
        return False
    if names_id(name):
        digits = sum(map(str.isdigit, value))
        return digits > 0 and (digits >= _FEWEST_DIGITS or not value.isdigit())
    return bool(_SHAPED.fullmatch(value)) and not _NAMES_QUANTITY.search(name)


def _is_made_of(value: str, said: bytearray) -> bool:
    """Whether the user said the number of the id, or every part of it."""
    numbered = _NUMBERED.fullmatch(value)
    if numbered and len(numbered[1]) >= _FEWEST_DIGITS:
        return numbered[1].encode() in said
    parts = re.split(r"[-_]", value.lstrip("#"))
    return len(parts) > 1 and all(_spelling(part) in said for part in parts)


def _spelling(text: str) -> bytes:
    """Letters and digits alone, in lower case."""
    return text.lower().encode().translate(None, _NOT_SPELLING)


def _own_spelling(environment: Environment) -> bytes:
    tools = msgspec.json.encode(environment.tools).decode()
    return _spelling(f"{environment.policy}\n{tools}")
