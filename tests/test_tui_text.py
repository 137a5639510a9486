"""Text from models on the screen is data: it stays in its cell, whatever it is."""

import json
import unicodedata
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from rich.cells import cell_len
from simia_store import TurnRecord, open_store
from simia_tui.app import Dashboard
from simia_tui.conversation import Conversation, state_changes
from simia_tui.palette import _DARK, Palette
from simia_tui.script import View, write_script
from simia_tui.text import clean, clean_line, fit, wrap

from tests.tui_pilot import screen, settled, shown_with
from tests.tui_runs import rollout, run_record

NASTY = (
    "[bold red]markup[/] [@click=app.quit]x[/] \x1b[31mred\x1b]52;c;AAAA\x07 \u202egnp.exe\u2066 "
    "nul\x00 bell\x07 \x9b31m e\u0301\u0301\u0301\u0301\u0301 \u200d\ufeff \U000e0041 "
    "漢字 👩‍👩‍👧 \r\n\u2028"
)
ACTING = {"Cc", "Cf", "Cs", "Zl", "Zp"}

texts = st.text(max_size=300) | st.lists(
    st.sampled_from([*NASTY.split(" "), " ", "\n", "\t", "漢", "a"]), max_size=40
).map("".join)


@given(texts)
def test_nothing_that_acts_is_left(text: str) -> None:
    shown = clean(text).replace("\n", "")
    assert not {unicodedata.category(character) for character in shown} & ACTING
    assert "\n" not in clean_line(text)


@given(texts, st.integers(0, 60), st.booleans())
def test_a_cell_is_exactly_as_wide_as_it_should_be(text: str, width: int, right: bool) -> None:
    assert cell_len(fit(text, width, right=right)) == width


@given(texts, st.integers(2, 60))
def test_lines_are_never_too_wide_and_lose_nothing_but_spaces(text: str, width: int) -> None:
    cleaned = clean(text)
    lines = wrap(cleaned, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(cleaned.split())


def test_a_megabyte_on_one_line_is_shown_in_part_and_counted() -> None:
    assert clean("x" * 1_000_000).endswith(" … 980,000 more characters")
    assert len(wrap(clean("x" * 1_000_000), 80)) < 300


def conversation(message: dict[str, object], role: str = "assistant") -> Conversation:
    turn = TurnRecord(1, 0, role, message, token_ids=[1], logprobs=[-1.0])
    return Conversation(rollout(1, 1, 0.5, reason=NASTY), [turn], [[NASTY]], [], {}, None)


wild = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60)
@given(
    st.dictionaries(st.sampled_from(["content", "tool_calls", "reasoning_content"]), wild),
    st.sampled_from(["assistant", "tool", "user"]),
    st.sampled_from(["talk", "tokens", "raw"]),
    st.integers(1, 100),
)
def test_a_message_of_any_form_is_written(
    message: dict[str, object], role: str, view: View, width: int
) -> None:
    if any("\ud800" <= c <= "\udfff" for c in json.dumps(message, ensure_ascii=False)):
        return  # the store cannot hold it
    script = write_script(conversation(message, role), view, width, Palette(_DARK))
    assert all(line.cell_length <= width for line in script.lines)
    assert len(script.starts) == 2


@given(
    st.lists(st.dictionaries(st.sampled_from(["op", "path", "from", "value"]), wild), max_size=4)
)
def test_operations_that_fit_nowhere_are_told_all_the_same(ops: list[dict[str, object]]) -> None:
    turns = [TurnRecord(1, 0, "tool", {}, ops=ops)]
    (changes,) = state_changes(turns, [], {"a": {"b": [1]}})
    assert len(changes) == len([op for op in ops if op.get("op") != "test"])


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_hostile_text_styles_nothing_outside_its_cell(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    path = tmp_path / "rl.db"
    text = NASTY + "y" * 200_000
    async with open_store(path) as store:
        await store.append(
            run_record(),
            rollout(1, 1, 0.5, reason=text),
            rollout(2, 1, None, reason=text, boundary=NASTY, stop_reason=NASTY),
            TurnRecord(1, 0, "user", {"role": "user", "content": text}),
            TurnRecord(1, 1, "assistant", {"role": "assistant", "tool_calls": [{"function": {
                "name": NASTY, "arguments": '{"a": "' + "z" * 100_000}}]}),
        )  # fmt: skip
    async with Dashboard(path).run_test(size=size) as pilot:
        await shown_with(pilot, "✓ rl run")
        for key in "12345678":
            await pilot.press(key)
            await settled(pilot)
            strips = pilot.app.screen._compositor.render_strips()
            assert all(strip.cell_length == size[0] for strip in strips)
            assert not {unicodedata.category(c) for c in screen(pilot) if c != "\n"} & ACTING
        await pilot.press("3")
        assert "[bold red]markup[/]" in await settled(pilot)
