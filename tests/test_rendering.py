"""Token ids and loss masks: the same as the model's own template, and never re-tokenised."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simia_async.builtin.mini_retail import MINI_RETAIL
from simia_async.builtin.play import oracle_dialogue
from simia_async.builtin.templates import TEMPLATES, draw_task
from simia_async.config import TINY
from simia_async.errors import RenderError, UsageError
from simia_async.messages import Message, visible_text
from simia_async.models import model_directory
from simia_async.rendering.renderer import Renderer

RENDERER = Renderer(model_directory(TINY))
TOOLS = MINI_RETAIL.tools()


def dialogue(template: int, seed: int = 0) -> list[Message]:
    task = draw_task(MINI_RETAIL, TEMPLATES[template], seed, "train")
    return oracle_dialogue(MINI_RETAIL, task)


@pytest.mark.parametrize("template", range(len(TEMPLATES)))
def test_ids_are_those_of_transformers(template: int) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_directory(TINY))
    messages = dialogue(template)
    wire = [message.as_wire() for message in messages]
    for message in wire:
        message.setdefault("content", "")
        for call in message.get("tool_calls", ()):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    text = tokenizer.apply_chat_template(wire, tools=TOOLS, tokenize=False)
    assert RENDERER.render(messages, TOOLS) == text
    assert RENDERER.encode(text) == tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("template", range(len(TEMPLATES)))
def test_appending_gives_the_ids_of_the_whole(template: int) -> None:
    messages = dialogue(template)
    ids: list[int] = []
    unread: list[Message] = []
    seen: list[Message] = []
    for message in messages[1:]:
        if message.role != "assistant":
            unread.append(message)
            continue
        if ids:
            ids += RENDERER.continuation_ids(seen, unread)
        else:
            ids = RENDERER.prompt_ids([messages[0], *unread], TOOLS)
        prompt = RENDERER.render([*messages[: messages.index(message)]], TOOLS, generate=True)
        spoken = RENDERER.render(messages[: messages.index(message) + 1], TOOLS)[len(prompt) :]
        ids += RENDERER.encode(spoken[: spoken.rindex(RENDERER.eos) + len(RENDERER.eos)])
        seen, unread = [*seen, *unread, message], []
    assert RENDERER.sample(messages, TOOLS).ids == ids


words = st.text(st.characters(codec="ascii", exclude_characters="<>|"), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(words, words), min_size=1, max_size=5))
def test_loss_falls_on_what_the_agent_said_and_nothing_else(turns: list[tuple[str, str]]) -> None:
    messages = [Message("system", "s")]
    for asked, answered in turns:
        messages += [Message("user", asked), Message("assistant", answered)]
    sample = RENDERER.sample(messages, TOOLS)
    trained = [i for i, m in zip(sample.ids, sample.loss_mask, strict=True) if m]
    said = "".join(answered + RENDERER.eos for _, answered in turns)
    assert trained == [i for _, a in turns for i in RENDERER.encode(a + RENDERER.eos)]
    assert RENDERER.decode([*trained, RENDERER.eos_id]) == said


def copy_of_tiny(to: Path) -> Path:
    return Path(shutil.copytree(model_directory(TINY), to))


def test_a_template_that_rewrites_history_is_refused(tmp_path: Path) -> None:
    model = copy_of_tiny(tmp_path / "model")
    template = model / "chat_template.jinja"
    forgetful = "{{ message.content.split('</think>')[-1] if not loop.last else message.content }}"
    template.write_text(
        "{% for message in messages %}<|im_start|>{{ message.role }}\n"
        + forgetful
        + "<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    renderer = Renderer(model)
    history = [Message("user", "hi"), Message("assistant", "<think>a</think>b")]
    new = [Message("user", "more")]
    with pytest.raises(RenderError, match="rewrites earlier turns"):
        renderer.continuation_ids(history, new)
    with pytest.raises(RenderError, match="rewrites earlier turns"):
        renderer.sample([*history, *new, Message("assistant", "c")], [])


@pytest.mark.parametrize("missing", ["tokenizer.json", "tokenizer_config.json"])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    model = copy_of_tiny(tmp_path / "model")
    (model / missing).unlink()
    with pytest.raises(UsageError, match=missing):
        Renderer(model)


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("tokenizer.json", b"nonsense", "tokenizer.json: cannot be read: expected"),
        ("tokenizer.json", b"\xff", "tokenizer.json: cannot be read: it is not UTF-8"),
        (
            "tokenizer_config.json",
            b"[]",
            "tokenizer_config.json: cannot be read: Expected `object`",
        ),
        ("tokenizer_config.json", b'{"a":' + b"[" * 9999, "tokenizer_config.json: cannot be read"),
        ("chat_template.jinja", b"\n{% if %}", "the chat template is not one, in line 2: Expected"),
        ("chat_template.jinja", b"\xff", "chat_template.jinja: cannot be read: it is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, file: str, content: bytes, sentence: str
) -> None:
    model = copy_of_tiny(tmp_path / "model")
    (model / file).write_bytes(content)
    with pytest.raises(UsageError, match=sentence):
        Renderer(model)


@pytest.mark.parametrize("template", ["{{ messages[0].no.such }}", "{{ messages + 1 }}"])
def test_a_template_that_fails_is_named(tmp_path: Path, template: str) -> None:
    model = copy_of_tiny(tmp_path / "model")
    (model / "chat_template.jinja").write_text(template)
    with pytest.raises(RenderError, match="model: the chat template fails on the conversation: "):
        Renderer(model).render([Message("user", "hi")])


def test_a_model_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    model = copy_of_tiny(tmp_path / "model")
    (model / "chat_template.jinja").unlink()
    with pytest.raises(UsageError, match="no chat template"):
        Renderer(model)


def test_thoughts_are_not_visible() -> None:
    assert visible_text("<think>a</think>b <think>c</think>d") == "b d"
    assert visible_text("b<think>never closed") == "b"
