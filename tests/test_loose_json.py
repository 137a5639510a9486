"""JSON with something around it: what is read, what is refused, and how long that may take."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simia_async.simulation.drafts import read_draft
from simia_async.simulation.loose_json import some_json, whole_json


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('The seed {x} is fine: {"a": 1}', {"a": 1}),
        ('[Note] see [1] and {}: {"a": 1}', {"a": 1}),
        ('{"a" or so}: {"a": 1}', {"a": 1}),
        ('It says "well: {"a": "{"}', {"a": "{"}),
        ('[{"a": 1}, {"b": 2}] {"c": 3}', [{"a": 1}, {"b": 2}]),
        ('{"a": ["b", "c,]",],', {"a": ["b", "c,]"]}),
        ('{"a": {"b": 1}', {"a": {"b": 1}}),
        ("{}", {}),
    ],
)
def test_the_first_value_of_some_size_is_read(text: str, value: object) -> None:
    assert whole_json(text) == value


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [1, {"b": [{"c": 1}]}',
        '{a: [{"b": 1}]}',
        "{'a': [{\"b\": 1}]}",
        '{"a": [{"b": 1}}, {"c": 1}]',
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        '{"a": "\\ud83d"}',
        "{0} " * 30,
        '{"a"} ' * 30,
    ],
)
def test_no_part_is_taken_for_the_whole(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        whole_json(text)


@pytest.mark.parametrize(
    "text",
    ['{"a":[' * 101, '{"a":[' * 30_000, '{"a": "b" c" ' * 5_000, '{"a": 1e999}', '{"a": NaN}'],
)
def test_what_a_repairer_cannot_take_is_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        some_json(text)


def test_a_short_answer_is_repaired() -> None:
    assert some_json("{complete: true, 'reason': 'fine'") == {"complete": True, "reason": "fine"}


BEGINNINGS = ("", '{"messages": "', '{"messages": [', 'HUMAN: a\nFUNCTION_CALL: {"name": "')
PIECES = (
    *('\\"', "\\", '"', '"""', "{", "[", "{'", '{"', '["', "[1] ", "{} ", ", ", ",\n", " ", "\n"),
    *("# ", "<think>", "HUMAN: ", "x ", '{"a": "b" c" ', '"}', '"]', "{ ", "[\n", "{x"),
)


@pytest.mark.parametrize("read", [read_draft, some_json])
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_long_hostile_text_is_read_or_refused_in_no_time(
    read: Callable[[str], Any], beginning: str
) -> None:
    for piece in PIECES:
        text = beginning + piece * (200_000 // len(piece))
        began = time.perf_counter()
        with suppress(msgspec.ValidationError):
            read(text)
        assert time.perf_counter() - began < 2, piece


TEXT = st.text(max_size=8) | st.sampled_from(['"', "\\", '{"', "]}", ",}", "```"])
VALUES = st.recursive(
    st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None, database=None)
@given(
    st.dictionaries(TEXT, VALUES, min_size=1, max_size=3),
    st.sampled_from(["", "Sure {x}: ", "```\n"]),
)
def test_what_is_whole_comes_through_as_it_is(value: dict[str, Any], before: str) -> None:
    assert whole_json(before + json.dumps(value) + "\n```") == value


@settings(max_examples=100, deadline=None, database=None)
@given(st.lists(st.sampled_from([*'{}[]":,\\', '"a"', "NaN", "1e999", "\ud83d"])).map("".join))
def test_any_text_is_something_storable_or_refused(text: str) -> None:
    try:
        value = some_json(text)
    except msgspec.ValidationError:
        return
    assert msgspec.json.decode(msgspec.json.encode(value)) == value
