"""Ids and names are real ones: no `<order_id>`, no 123456, no TBD."""

import re
from collections.abc import Iterator

import msgspec

from simia_async.environments import Environment
from simia_async.synthesis.rules.derived import derived
from simia_async.synthesis.rules.json_walk import decoded, leaves, names_id
from simia_async.synthesis.rules.verdict import Case, Mended, Reject, texts_of

_NOUN = r"(?:ids?|name|number|code|e-?mail|date|address|amount|phone|reference)"
_IN_BRACKETS = (
    (
        "<",
        re.compile(
            rf"<((?:[A-Za-z]{{1,30}}[-_ ]){{1,4}}{_NOUN}|(?:your|insert)[-_ ][\w ]{{2,30}})>", re.I
        ),
    ),
    ("[", re.compile(r"\[[A-Z][A-Z0-9]*(?:_[A-Z0-9]+){1,4}\]")),
    ("[", re.compile(rf"\[(?:(?:your|insert|enter) [\w ]{{2,30}}|(?:\w+ )?{_NOUN})\](?!\()", re.I)),
    ("{", re.compile(rf"\{{(?:\w{{1,30}}_)?{_NOUN}\}}", re.I)),
    ("{{", re.compile(r"\{\{ ?[A-Za-z_][\w.]{0,40} ?\}\}")),
)
_WORDS = (
    ("_here", re.compile(r"\b(?:\w{1,40}_)?(?:id|number|code|name)_here\b")),
    ("your_", re.compile(r"\byour_(?:\w{1,40}_)?(?:id|number|code|name|email)\b")),
    ("example_", re.compile(r"\bexample_(?:\w{1,40}_)?(?:id|number|code)\b")),
    ("sample_", re.compile(r"\bsample_(?:\w{1,40}_)?(?:id|number|code)\b")),
    ("dummy_", re.compile(r"\bdummy_(?:\w{1,40}_)?(?:id|number|code)\b")),
    ("xxxx", re.compile(r"(?<![\w*-])x{4,40}(?![\w*-])")),
)
"""Each with what it cannot do without; words are looked for in lower case."""

_UNTOLD = {"tbd", "todo", "n/a", "na", "unknown", "undefined", "none", "null", "string"}
_UNTOLD |= {"placeholder", "example", "test", "id", "xxx"}
_FILLED_UP = re.compile(r"(?:[A-Za-z]{0,12}[-_#]?)?[xX]{3,}\d{0,4}|(?:abc|xyz)[-_]?\d{3,9}", re.I)
_NUMBERED = re.compile(r"[#A-Za-z_-]{0,24}(\d{6,12})")
_COUNTED, _COUNTED_DOWN = "01234567890123", "98765432109876"
_DOUBLED = {"112233", "11223344", "1122334455", "123123", "123123123", "123321"}
_FEWEST_DIGITS = 6
_DIGITS_ALONE = bytes(byte if chr(byte).isdigit() else 32 for byte in range(128)) + b" " * 128


def no_placeholders(case: Case) -> Mended | None:
    """Nothing stands for a value that nobody gave.

    In all texts: names in brackets, `ORDER_ID_HERE`, `your_user_id`, XXXX. Under properties for
    ids and numbers, in arguments and observations: counted-up and repeated digits of six and more
    (a zip code 12345 is none), ABC123; in arguments also TBD and the like. What the environment's
    own policy or tools hold is let be.
    """
    for at, text, found in _in_texts(case):
        if not _is_element(found, text) and found.lower() not in _own_words(case.environment):
            raise Reject(f"turn {at}: holds the placeholder {found!r}")
    for at, name, value in _made_up_ids(case):
        if not _is_own(str(value).lower(), case.environment):
            raise Reject(f"turn {at}: {name} is the placeholder {value!r}")
    return None


def _in_texts(case: Case) -> Iterator[tuple[int, str, str]]:
    """Turn, text and what was found in it."""
    patterns = [pattern for sign, pattern in _IN_BRACKETS if sign in case.text]
    patterns = [pattern for pattern in patterns if pattern.search(case.text)]
    words = [pattern for sign, pattern in _WORDS if sign in case.lower_text]
    words = [pattern for pattern in words if pattern.search(case.lower_text)]
    if patterns or words:
        for at, message in enumerate(case.messages):
            for text in texts_of(message):
                for pattern in patterns:
                    yield from ((at, text, found[0]) for found in pattern.finditer(text))
                for pattern in words:
                    yield from ((at, text, found[0]) for found in pattern.finditer(text.lower()))


def _is_element(found: str, text: str) -> bool:
    """Whether it is a tag of XML or HTML rather than a placeholder in angle brackets."""
    return found.startswith("<") and f"</{found[1:]}" in text


def _made_up_ids(case: Case) -> Iterator[tuple[int, str, str | int]]:
    """Turn, property and value."""
    observed = _may_hold_made_up(case)
    for at, message in enumerate(case.messages):
        for call in message.tool_calls or ():
            for name, value in leaves(decoded(call.function.arguments)):
                if names_id(name) and (_is_made_up(value) or str(value).lower() in _UNTOLD):
                    yield at, name, value
        if observed and message.role == "tool":
            for name, value in leaves(decoded(message.content)):
                if names_id(name) and _is_made_up(value):
                    yield at, name, value


def _may_hold_made_up(case: Case) -> bool:
    """A quick look: observations are long and seldom hold any."""
    if any(fill in case.lower_text for fill in ("xxx", "abc", "xyz")):
        return True
    runs = set(case.text.encode().translate(_DIGITS_ALONE).split())
    return any(len(run) >= _FEWEST_DIGITS and _is_made_up_number(run.decode()) for run in runs)


def _is_made_up(value: str | int) -> bool:
    text = str(value)
    numbered = _NUMBERED.fullmatch(text)
    return _FILLED_UP.fullmatch(text) is not None or (
        numbered is not None and _is_made_up_number(numbered[1])
    )


def _is_made_up_number(digits: str) -> bool:
    return (
        digits in _COUNTED or digits in _COUNTED_DOWN or digits in _DOUBLED or len(set(digits)) == 1
    )


def _is_own(value: str, environment: Environment) -> bool:
    """Whether the environment knows it: short words only as a value of their own."""
    return (f'"{value}"' if value in _UNTOLD else value) in _own_words(environment)


def _own_words(environment: Environment) -> str:
    return derived(environment, "rules.own_words", _all_words)


def _all_words(environment: Environment) -> str:
    tools = msgspec.json.encode(environment.tools).decode()
    return f"{environment.policy}\n{tools}".lower()
