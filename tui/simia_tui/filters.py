"""The language of filters of rollouts: `reward<0.5 stop:simulator_error env:retail "refund"`.

A term is a field, an operator and a value, or words that a message must hold.
Terms are joined by AND; a term with `-` before it must not hold.
"""

import re

import msgspec
from simia_store.browsing import NUMBER_COLUMNS, TEXT_COLUMNS, Match, Operator

NUMBERS = {*NUMBER_COLUMNS, "step"}
FIELDS = sorted({*TEXT_COLUMNS, *NUMBERS})

_TERM = re.compile(
    r"""(?P<no>-?)
    (?: (?P<field>[a-z_]+) (?P<operator><=|>=|!=|[:=<>]) (?P<value>"[^"]*"|\S*)
      | "(?P<quoted>[^"]*)" | (?P<word>\S+) ) (?=\s|$)""",
    re.VERBOSE,
)
_OPPOSITES: dict[str, Operator] = {
    "=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">",
    "contains": "contains not",
}  # fmt: skip


class FilterError(Exception):
    """A filter that means nothing; says which term, and what would be right."""


class Filter(msgspec.Struct, frozen=True):
    """What rollouts must be like."""

    matches: tuple[Match, ...] = ()
    words: tuple[str, ...] = ()
    """What their messages must say."""
    not_words: tuple[str, ...] = ()
    """What they must not."""

    @property
    def reads_messages(self) -> bool:
        """Whether messages have to be searched, which no index helps with."""
        return bool(self.words or self.not_words)


def parse_filter(text: str) -> Filter:
    """The filter that `text` means. Raises `FilterError`."""
    matches: list[Match] = []
    words: list[str] = []
    not_words: list[str] = []
    rest = text.strip()
    while rest:
        term = _TERM.match(rest)
        if term is None:
            raise FilterError(f"{rest!r}: a quote is open")
        rest = rest[term.end() :].lstrip()
        if term["field"]:
            matches.append(_match(term))
            continue
        word = term["quoted"] if term["quoted"] is not None else term["word"]
        if word.startswith('"'):
            raise FilterError(f"{word!r}: a quote is open")
        if word:
            (not_words if term["no"] else words).append(word)
    return Filter(tuple(matches), tuple(words), tuple(not_words))


def _match(term: re.Match[str]) -> Match:
    field, operator, value = term["field"], term["operator"], term["value"].strip('"')
    if field not in FIELDS:
        raise FilterError(f"{field!r}: is no field; there are: {', '.join(FIELDS)}")
    if not value:
        raise FilterError(f"{field}: a value is missing, as in {_example(field)}")
    meant = operator
    if operator == ":":
        meant = "=" if field in NUMBERS or value == "none" else "contains"
    elif field not in NUMBERS and operator not in ("=", "!="):
        raise FilterError(f"{field}{operator}: is text; write {field}:{value} or {field}={value}")
    if term["no"]:
        meant = _OPPOSITES[meant]
    return Match(field, meant, _value(field, value))  # type: ignore[arg-type]


def _value(field: str, value: str) -> str | float | None:
    if value == "none" and field != "step":
        return None
    if field not in NUMBERS:
        return value
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if number != number or abs(number) == float("inf"):
        raise FilterError(f"{field}: found {value!r}; expected a number, as in {_example(field)}")
    return number


def _example(field: str) -> str:
    return {"reward": "reward<0.5", "stop": "stop:user_done"}.get(
        field, f"{field}:{1 if field in NUMBERS else 'retail'}"
    )
