"""The language of filters means what it says, in SQL as in words."""

import asyncio
import contextlib
import re

import hypothesis.strategies as st
import pytest
from hypothesis import given
from simia_store import Browser, Match
from simia_tui.filters import FIELDS, FilterError, parse_filter

from tests.tui_runs import write_run


def test_terms() -> None:
    found = parse_filter('reward<0.5 stop:simulator_error -env:retail "two words" word -"no"')
    assert found.matches == (
        Match("reward", "<", 0.5),
        Match("stop", "contains", "simulator_error"),
        Match("env", "contains not", "retail"),
    )
    assert found.words == ("two words", "word")
    assert found.not_words == ("no",)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("rewrad<1", "'rewrad': is no field; there are: at, env,"),
        ("reward<high", "reward: found 'high'; expected a number"),
        ("stop<3", "stop<: is text; write stop:3 or stop=3"),
        ("reward<", "reward: a value is missing"),
        ('"open', "a quote is open"),
        ("reward:nan", "expected a number"),
    ],
)
def test_what_means_nothing_is_told_in_one_sentence(text: str, complaint: str) -> None:
    with pytest.raises(FilterError, match=re.escape(complaint)) as error:
        parse_filter(text)
    assert "\n" not in str(error.value)


term = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-"]),
    st.sampled_from(FIELDS),
    st.sampled_from([":", "=", "<", ">=", "!="]),
    st.sampled_from(["1", "0.5", "none", "user", '"a b"', "x'; DROP TABLE runs", ""]),
)


@given(st.text(max_size=40) | st.lists(term, max_size=4).map(" ".join))
def test_any_text_is_a_filter_or_an_error(text: str) -> None:
    with contextlib.suppress(FilterError):
        parse_filter(text)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    path = tmp_path_factory.mktemp("run") / "rl.db"
    asyncio.run(write_run(path))
    return Browser(path)


def numbers(browser: Browser, text: str) -> list[int]:
    return [row.id for row in browser.matching(1000, parse_filter(text).matches).rows]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("reward<0.5 step:1", [2, 3, 6, 7]),
        ("reward:none step<=1", [4, 8]),
        ("stop:simulator group:2", [8]),
        ("-stop:simulator group:2", [5, 6, 7]),
        ("status=unscored id<10", [4, 8]),
        ("-reward:none group:1", [1, 2, 3]),
        ("at=simulator id>40", [40 + n for n in range(1, 9) if n == 4]),
        ("task:cancel/12", [45, 46, 47, 48]),
        ("rule:x", []),
        ("version!=1", []),
    ],
)
def test_a_filter_finds_what_it_says(browser: Browser, text: str, expected: list[int]) -> None:
    assert numbers(browser, text) == expected


def test_messages_are_searched_in_either_case_and_as_they_read(browser: Browser) -> None:
    assert browser.saying([1, 2, 5], "YOUR REFUND") == {1, 5}
    assert browser.saying([1, 2], '"id": "w1"') == {1, 2}
    assert browser.saying([], "x") == set()


def test_pages_of_a_filter_are_all_of_it_in_every_order(browser: Browser) -> None:
    wanted = parse_filter("reward<1").matches
    for order in ("id", "reward"):
        for descending in (False, True):
            found, after = [], None
            while True:
                page = browser.matching(3, wanted, after=after, order=order, descending=descending)
                found += [(row.reward if order == "reward" else 0, row.id) for row in page.rows]
                if not page.more:
                    break
                after = page.rows[-1]
                left = browser.count_after(100, wanted, after, order=order, descending=descending)
                assert left == 16 - len(found)
            assert found == sorted(found, reverse=descending)
            assert len(found) == 16
