"""The loss falls on what the policy produced, its end of turn too, and on nothing else."""

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simia_async.config import TINY
from simia_async.errors import RenderError
from simia_async.formats.reading import read_conversations
from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.models import model_directory
from simia_async.rendering.renderer import Renderer, Sample
from simia_async.rendering.tool_calls import parse_llama3, parse_reply

TEMPLATES = Path(__file__).with_name("templates")
ENDS = {"llama3_1": "<|eot_id|>"}
NAMES = [*sorted(path.stem for path in TEMPLATES.glob("*.jinja")), "tiny"]
WITH_CALLS = [name for name in NAMES if name != "chatml"]
NO_THOUGHT = "<think>\n\n</think>\n\n"
"""What Qwen 3 says before a reply that it did not think about."""


@cache
def renderer(name: str) -> Renderer:
    """A model of this chat template: the tiny base's tokenizer, with the template's own marks."""
    place = Path(renderer.directory.name) / name
    shutil.copytree(model_directory(TINY), place)
    if name != "tiny":
        shutil.copy(TEMPLATES / f"{name}.jinja", place / "chat_template.jinja")
    if name in ENDS:
        tokenizer = json.loads((place / "tokenizer.json").read_text())
        marks = ["<|start_header_id|>", "<|end_header_id|>", ENDS[name]]
        like = tokenizer["added_tokens"][0]
        tokenizer["added_tokens"] += [
            {**like, "id": 1100 + number, "content": mark} for number, mark in enumerate(marks)
        ]
        (place / "tokenizer.json").write_text(json.dumps(tokenizer))
        (place / "tokenizer_config.json").write_text(json.dumps({"eos_token": ENDS[name]}))
    return Renderer(place)


@pytest.fixture(scope="module", autouse=True)
def _directory(tmp_path_factory: pytest.TempPathFactory) -> None:
    renderer.directory = type("Place", (), {"name": str(tmp_path_factory.mktemp("models"))})


def masked(model: Renderer, sample: Sample) -> list[str]:
    """The stretches of a sample that have loss, as text; each must end with the end of turn."""
    stretches: list[list[int]] = []
    before = 0
    for token, spoken in zip(sample.ids, sample.loss_mask, strict=True):
        if spoken and not before:
            stretches.append([])
        if spoken:
            stretches[-1].append(token)
        before = spoken
    assert all(stretch[-1] == model.eos_id for stretch in stretches)
    assert all(stretch.count(model.eos_id) == 1 for stretch in stretches)
    return [model.decode(stretch) for stretch in stretches]


def made(calls: list[ToolCall]) -> list[tuple[str, Any]]:
    return [(c.function.name, msgspec.json.decode(c.function.arguments)) for c in calls]


def check(name: str, messages: list[Message], tools: list[dict[str, Any]]) -> None:
    """What has loss, read as a reply, is what the agent said and called, turn by turn."""
    model = renderer(name)
    pieces = model.samples(messages, tools)
    texts = [text for piece in pieces for text in masked(model, piece)]
    agent = [message for message in messages if message.role == "assistant"]
    assert len(texts) == len(agent)
    parse = parse_llama3 if name == "llama3_1" else parse_reply
    for text, message in zip(texts, agent, strict=True):
        if "<think>" not in (message.content or ""):
            text = text.removeprefix(NO_THOUGHT) if name == "qwen3" else text
        reply = parse(text, "c")
        assert reply.problem is None
        assert "".join(reply.content.split()) == "".join((message.content or "").split())
        assert made(reply.calls) == made(message.tool_calls or [])
    for piece in pieces:
        # Tokens of pieces that were put together are those of the whole text.
        whole = model.decode([*piece.ids, model.eos_id])
        assert model.encode(whole) == piece.ids


def check_recorded(name: str, path: Path, every: int) -> None:
    """Every so many of the real conversations."""
    tools = json.loads((path.parents[1] / "tau2/airline/tools.json").read_text())
    recorded = list(read_conversations(path))[::every]
    left_out = 0
    for read in recorded:
        if name == "llama3_1" and any(m.tool_calls and m.content for m in read.messages):
            # This template has no place for words beside a call, and is not to lose them.
            with pytest.raises(RenderError, match="leaves out a part of what the agent says"):
                renderer(name).samples(read.messages, tools)
            left_out += 1
            continue
        check(name, read.messages, tools)
    assert left_out < len(recorded)


@pytest.mark.parametrize("name", WITH_CALLS)
def test_of_real_conversations(name: str, airline_seeds: Path) -> None:
    # Qwen 3's makes a sample of each question.
    check_recorded(name, airline_seeds, every=50 if name == "qwen3" else 5)


WORDS = st.text(
    st.characters(codec="ascii", exclude_characters="<>|{}\0", min_codepoint=32),
    min_size=1,
    max_size=30,
).filter(str.strip)
ARGUMENTS = st.dictionaries(st.sampled_from("abc"), st.integers() | WORDS, max_size=2)


@st.composite
def conversations(draw: st.DrawFn, *, calls: bool, beside: bool) -> list[Message]:
    """A system message, then questions, each with replies, some after calls and thoughts."""
    messages = [Message("system", draw(WORDS))]
    for number in range(draw(st.integers(1, 3))):
        messages.append(Message("user", draw(WORDS)))
        for step in range(draw(st.integers(0, 2)) if calls else 0):
            call = ToolCall(
                f"call_{number}_{step}",
                FunctionCall(draw(st.sampled_from(["f", "g"])), json.dumps(draw(ARGUMENTS))),
            )
            # What begins with a space joins the line break before it where all is read at once.
            said = draw(st.none() | WORDS.map(str.strip)) if beside else None
            messages.append(Message("assistant", said, tool_calls=[call]))
            messages.append(Message("tool", draw(WORDS), tool_call_id=call.id))
        thought = f"<think>\n{draw(WORDS).strip()}\n</think>\n\n" if draw(st.booleans()) else ""
        messages.append(Message("assistant", thought + draw(WORDS).strip()))
    return messages


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None, database=None)
@given(data=st.data())
def test_of_any_conversation(name: str, data: st.DataObject) -> None:
    calls, beside = name in WITH_CALLS, name != "llama3_1"
    check(name, data.draw(conversations(calls=calls, beside=beside)), [])


def test_a_template_that_drops_thoughts_gives_a_sample_a_question() -> None:
    model = renderer("qwen3")
    talk = [
        Message("user", "one"),
        Message("assistant", "<think>\nhm\n</think>\n\nfirst"),
        Message("user", "two"),
        Message("assistant", "<think>\nho\n</think>\n\nsecond"),
    ]
    one, two = model.samples(talk, [])
    assert masked(model, one) == ["<think>\nhm\n</think>\n\nfirst"]
    assert masked(model, two) == ["<think>\nho\n</think>\n\nsecond"]
    shown = model.decode(two.ids)
    assert "hm" not in shown
    assert "first" in shown
    with pytest.raises(RenderError, match="rewrites earlier turns"):
        model.sample(talk, [])


def test_a_template_that_has_no_place_for_calls_is_refused() -> None:
    call = ToolCall("c", FunctionCall("look_up", "{}"))
    talk = [Message("user", "q"), Message("assistant", "well", tool_calls=[call])]
    with pytest.raises(RenderError, match=r"leaves out .* calls in message 1"):
        renderer("chatml").samples(talk, [])


def test_a_template_without_a_generation_prompt_is_refused(tmp_path: Path) -> None:
    model = Path(shutil.copytree(model_directory(TINY), tmp_path / "m"))
    template = (TEMPLATES / "chatml.jinja").read_text()
    (model / "chat_template.jinja").write_text(template.rsplit("{{-", 1)[0])
    talk = [Message("user", "q"), Message("assistant", "a")]
    with pytest.raises(RenderError, match=r"add_generation_prompt.*<|im_start|>assistant"):
        Renderer(model).samples(talk, [])
    # Where nothing stands between the question and the reply, nothing is missing.
    (model / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ '[INST] ' + m.content + ' [/INST]' if m.role == 'user' "
        "else m.content + '<|im_end|>' }}{% endfor %}"
    )
    bare = Renderer(model)
    assert masked(bare, bare.sample(talk, [])) == ["a"]
