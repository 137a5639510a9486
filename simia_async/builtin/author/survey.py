"""What a seed names that may be called something else: learnt from the JSON in it."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from simia_async.builtin.author.documents import decode_document
from simia_async.builtin.author.names import ALSO_WORDS, WELL_KNOWN
from simia_async.messages import Message

_NAME_KEYS = {"first_name": "first", "last_name": "last"}
_LITERAL_KEYS = {
    "address1": "street",
    "address2": "unit",
    "street": "street",
    "zip": "zip",
    "zip_code": "zip",
    "last_four": "digits",
    "phone": "phone",
    "phone_number": "phone",
}
_PLACE_KEYS = {"city", "province", "state", "country"}
_CODE = re.compile(r"[A-Z]{5,8}")
_USER_ID = re.compile(r"\b([a-z]++)_([a-z]++)_\d")
_NAME = re.compile(r"[A-Z][a-z]+")
_YEAR = re.compile(r"(20\d\d)-\d\d-\d\d")


class Survey(msgspec.Struct):
    """What stands in a conversation."""

    text: str
    """All of it. No new id or name may stand in it."""
    names: dict[str, str] = {}
    """First and last names as they are written, and which of the two they are."""
    literals: dict[str, str] = {}
    """Streets, zip codes and the like, and which of them they are."""
    codes: set[str] = set()
    """Ids of letters only, which could be words."""
    year: int = 2024
    """Of a date that is told without one."""


def survey(messages: Sequence[Message]) -> Survey:
    """What of a conversation can be replaced wherever it stands."""
    texts = [text for message in messages for text in _texts_of(message)]
    found = Survey("\n".join(texts))
    places: set[str] = set()
    for text in texts:
        for key, value in _strings(decode_document(text), ""):
            if key in _PLACE_KEYS:
                places.update(value.split())
            _note(found, key, value)
    for first, last in _USER_ID.findall(found.text):
        if first in WELL_KNOWN or first.capitalize() in found.names:
            found.names.setdefault(first.capitalize(), "first")
            found.names.setdefault(last.capitalize(), "last")
    for name in [*found.names]:
        if name in places or name in ALSO_WORDS:
            del found.names[name]
    years = Counter(_YEAR.findall(found.text))
    if years:
        found.year = int(max(years, key=lambda year: (years[year], year)))
    return found


def _texts_of(message: Message) -> Iterator[str]:
    yield message.content or ""
    for call in message.tool_calls or ():
        yield call.function.arguments


def _strings(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Every string in a JSON value, with the key that it, or the list it is in, stands under."""
    match value:
        case str():
            yield key, value
        case list():
            for part in value:
                yield from _strings(part, key)
        case dict():
            for name, part in value.items():
                yield from _strings(part, name)


def _note(found: Survey, key: str, value: str) -> None:
    if kind := _NAME_KEYS.get(key):
        if _NAME.fullmatch(value):
            found.names.setdefault(value, kind)
    elif kind := _LITERAL_KEYS.get(key):
        if _is_worth_replacing(found, kind, value):
            found.literals[value] = kind
    elif (key.endswith(("_id", "_ids")) or key in ("id", "reservations", "orders")) and (
        _CODE.fullmatch(value)
    ):
        found.codes.add(value)


def _is_worth_replacing(found: Survey, kind: str, value: str) -> bool:
    """Four digits may also be an amount or a year; then they are left alone."""
    if kind != "digits":
        return any(map(str.isdigit, value))
    elsewhere = (f"${value}", f":{value}", f": {value}", f"{value}-")
    return value.isdigit() and not any(use in found.text for use in elsewhere)
