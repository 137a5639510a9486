"""Texts of turns while their tokens come: pieces are whole characters, together the whole text, and
hold nothing of a stop text or of a call.
"""

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simia_async.config import TINY
from simia_async.inference.replies import Reply, style_of
from simia_async.inference.speech import Speech, overlap, text_of
from simia_async.models import model_directory
from simia_async.rendering.call_styles import HERMES, LLAMA3, CallStyle
from simia_async.rendering.renderer import Renderer

MODEL = model_directory(TINY)
RENDERER = Renderer(MODEL)
TEMPLATES = Path(__file__).parent / "templates"
token_ids = st.lists(st.integers(0, 1031), max_size=30)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@settings(deadline=None)
@given(st.one_of(token_ids, texts.map(RENDERER.encode)))
def test_pieces_are_together_the_text(ids: list[int]) -> None:
    speech = Speech(RENDERER)
    pieces = [speech.hear(token) for token in ids]
    assert "".join(pieces) + speech.finish() == text_of(RENDERER, ids) == speech.text


@settings(deadline=None)
@given(texts)
def test_characters_are_not_split(text: str) -> None:
    speech = Speech(RENDERER)
    told = [speech.hear(token) for token in RENDERER.encode(text)]
    if "�" not in text:
        assert "�" not in "".join(told)
    for end in range(len(told)):
        assert text.startswith("".join(told[:end]))


few = st.text(st.sampled_from("ab\n🙂"), max_size=20)
stops = st.lists(st.text(st.sampled_from("ab\n🙂"), min_size=1, max_size=4), max_size=3)


@settings(deadline=None)
@given(few, stops)
def test_stop_texts_end_a_turn_and_nothing_of_them_is_told(text: str, stops: list[str]) -> None:
    speech = Speech(RENDERER, stops)
    told = ""
    for token in RENDERER.encode(text):
        told += speech.hear(token)
        if speech.stop is not None:
            break
    told += speech.finish()
    heard = speech.text + (speech.stop or "")
    assert told == speech.text
    assert text.startswith(heard)
    assert not any(stop in told for stop in stops)
    if speech.stop is None:
        assert told == text


def test_what_may_become_a_stop_text_is_held_back() -> None:
    assert overlap("say <to", "<tool>") == 3
    assert overlap("say", "<tool>") == 0
    assert overlap("<tool>", "<tool>") == 0, "all of it is no beginning"


marks = st.sampled_from(
    [
        "<think>", "</think>", "<tool_call>", "</tool_call>", "<tool", "{", "}", "\n", " ", "x",
        '{"name": "f", "arguments": {}}', '{"name": "f", "parameters": {}}', '; {"name": ', "{\"na",
        "<|python_tag|>", "<|py", ";",
    ]
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.lists(marks, max_size=9), st.sampled_from([HERMES, LLAMA3]))
def test_a_reply_in_pieces_is_the_whole_reply(pieces: list[str], style: CallStyle) -> None:
    by_characters, at_once = Reply(style, "call"), Reply(style, "call")
    told = "".join(by_characters.hear(character) for character in "".join(pieces))
    rest, calls = by_characters.finish()
    whole = at_once.hear("".join(pieces)) + at_once.finish()[0]
    parsed = style.parse("".join(pieces), "call")
    assert told + rest == whole == parsed.content.strip()
    assert calls == parsed.calls


@pytest.mark.parametrize(
    ("template", "style"),
    [("qwen2_5", HERMES), ("llama3_1", LLAMA3), ("chatml", HERMES), (None, HERMES)],
)
def test_how_a_template_writes_calls(
    tmp_path: Path, template: str | None, style: CallStyle
) -> None:
    shutil.copytree(MODEL, tmp_path, dirs_exist_ok=True)
    if template:
        shutil.copy(TEMPLATES / f"{template}.jinja", tmp_path / "chat_template.jinja")
    assert style_of(Renderer(tmp_path)) is style
