"""Streams tell, token by token, what the whole answer says; and end with their client."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from simia_async.inference.engine import Engine  # noqa: E402
from simia_async.inference.requests import SampleRequest  # noqa: E402
from simia_async.messages import Message  # noqa: E402
from simia_async.rendering.renderer import Renderer  # noqa: E402
from tests.policy_endpoints import (  # noqa: E402
    ANSWER,
    ARGUMENTS,
    CALL,
    CONVERSATION,
    LLAMA3,
    MODEL,
    OBSERVED,
    OPENING,
    RENDERER,
    TOOLS,
    RawClient,
    engine,
    learn,
    raw_client,
)
from tests.rollout_servers import until  # noqa: E402

CHAT, TEXT = "/chat/completions", "/completions"


@pytest.fixture
async def client() -> AsyncIterator[RawClient]:
    async with raw_client(engine()) as client:
        yield client


def choices_of(chunks: list[Any], index: int = 0) -> list[Any]:
    return [c for chunk in chunks for c in chunk["choices"] if c["index"] == index]


def calls_of(chunks: list[Any]) -> list[dict[str, str]]:
    """Calls, put together from their deltas."""
    calls: list[dict[str, str]] = []
    for choice in choices_of(chunks):
        for delta in choice["delta"].get("tool_calls", ()):
            if delta["index"] == len(calls):
                calls.append({"id": delta["id"], "name": delta["function"]["name"], "said": ""})
            calls[delta["index"]]["said"] += delta["function"]["arguments"]
    return calls


async def test_a_chat_comes_token_by_token(client: RawClient) -> None:
    chunks = await client.stream(CHAT, messages=OBSERVED, stream_options={"include_usage": True})
    whole = await client.choice(CHAT, messages=OBSERVED)
    choices = choices_of(chunks)
    said = [choice["delta"].get("content", "") for choice in choices]
    assert choices[0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(said) == whole["message"]["content"] == ANSWER
    assert len([piece for piece in said if piece]) > 10
    assert not any("�" in piece for piece in said)
    assert [c["finish_reason"] for c in choices if c["finish_reason"]] == ["stop"]
    assert choices[-1]["delta"] == {}
    assert [bool(chunk["usage"]) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1]["usage"]["completion_tokens"] > 10
    assert len({chunk["id"] for chunk in chunks}) == 1


async def test_a_completion_comes_token_by_token(client: RawClient) -> None:
    prompt = RENDERER.prompt_ids(CONVERSATION[:-1], [])
    body = {"prompt": prompt, "max_tokens": 20, "logprobs": 1, "return_token_ids": True}
    chunks = await client.stream(TEXT, **body)
    whole = await client.choice(TEXT, **body)
    choices = choices_of(chunks)
    assert len(choices) > 5
    assert "".join(choice["text"] for choice in choices) == whole["text"]
    assert [i for choice in choices for i in choice["token_ids"]] == whole["token_ids"]
    assert choices[0]["prompt_token_ids"] == whole["prompt_token_ids"]
    told = {kind: [] for kind in whole["logprobs"]}
    for choice in choices:
        for kind, values in choice["logprobs"].items():
            told[kind] += values
    for kind in ("tokens", "text_offset"):
        assert told[kind] == whole["logprobs"][kind]
    assert told["token_logprobs"] == pytest.approx(whole["logprobs"]["token_logprobs"], abs=1e-4)
    assert all(chunk["usage"] is None for chunk in chunks)


async def test_text_is_told_at_once_and_a_call_at_the_end(client: RawClient) -> None:
    body = {"messages": OPENING, "tools": TOOLS, "logprobs": True}
    chunks = await client.stream(CHAT, **body)
    choices = choices_of(chunks)
    [call] = calls_of(chunks)
    assert (call["name"], json.loads(call["said"])) == ("get_order", json.loads(ARGUMENTS))
    said = "".join(choice["delta"].get("content", "") for choice in choices)
    assert said == "One moment."
    assert choices[-1]["finish_reason"] == "tool_calls"
    whole = await client.choice(CHAT, **body)
    told = [
        one for choice in choices if choice["logprobs"] for one in choice["logprobs"]["content"]
    ]
    expected = whole["logprobs"]["content"]
    assert [one["token"] for one in told] == [one["token"] for one in expected]
    for one, other in zip(told, expected, strict=True):
        assert one["logprob"] == pytest.approx(other["logprob"], abs=1e-4)


async def test_stop_texts_are_never_told(client: RawClient) -> None:
    chunks = await client.stream(CHAT, messages=OBSERVED, stop=" way — ê")
    said = "".join(choice["delta"].get("content", "") for choice in choices_of(chunks))
    assert said == ANSWER[: ANSWER.index(" way")]
    assert choices_of(chunks)[-1]["stop_reason"] == " way — ê"


async def test_several_choices_in_one_stream(client: RawClient) -> None:
    body = {"messages": OPENING, "n": 3, "temperature": 2.0, "seed": 4, "max_tokens": 12}
    usage = {"stream_options": {"include_usage": True}}
    chunks = await client.stream(CHAT, **body, **usage)
    _, whole = await client.ask(CHAT, **body)
    for choice in whole["choices"]:
        deltas = [c["delta"].get("content", "") for c in choices_of(chunks, choice["index"])]
        assert "".join(deltas) == choice["message"]["content"]
    used = chunks[-1]["usage"]
    assert used["completion_tokens"] == whole["usage"]["completion_tokens"]


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_turn_ends_with_its_client(streamed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    one_row = Engine(MODEL, RENDERER.eos_id, max_slots=1)
    sample, turns = one_row.sample, []
    monkeypatch.setattr(one_row, "sample", lambda asked: turns.append(sample(asked)) or turns[-1])
    endless = {"prompt": "Hello", "max_tokens": 900, "ignore_eos": True, "stream": streamed}
    async with raw_client(one_row) as client:
        body = {"model": "policy@0", **endless}
        asked = asyncio.ensure_future(client.session.post(client.base_url + TEXT, json=body))
        await until(lambda: bool(turns))
        if streamed:
            response = await asked
            await response.content.readline()
            response.close()
        else:
            asked.cancel()
        await until(turns[0].done)
        assert turns[0].cancelled()
        next_one = sample(SampleRequest([5], "policy@0", 1, 0.0, 0))
        assert await asyncio.wrap_future(next_one), "the row is free"


async def test_what_fails_on_the_way_is_told_in_the_stream(
    client: RawClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(*_: Any) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr("simia_async.inference.engine.draw", out_of_memory)
    body = {"model": "policy@0", "prompt": "Hi", "stream": True}
    async with client.session.post(client.base_url + TEXT, json=body) as response:
        event, done, _ = (await response.text()).split("\n\n")
    error = json.loads(event.removeprefix("data: "))["error"]
    assert (error["type"], error["code"]) == ("server_error", 500)
    assert "out of memory" in error["message"]
    assert done == "data: [DONE]"


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows how to call in Llama 3's way."""
    directory = tmp_path_factory.mktemp("llama")
    shutil.copytree(MODEL, directory, dirs_exist_ok=True)
    template = LLAMA3.read_text().replace("<|eot_id|>", RENDERER.eos)
    # The tiny base has one token for this mark, and many for those of Llama.
    template = template.replace("<|start_header_id|>", "<|im_start|>")
    template = template.replace("<|end_header_id|>", "").replace("indent=4", "")
    (directory / "chat_template.jinja").write_text(template)
    messages = [*(Message(**m) for m in OPENING), Message("assistant", "", tool_calls=[CALL])]
    learn(directory, messages, loss_below=0.05)
    return directory


async def test_calls_in_the_style_of_llama_3(llama: Path) -> None:
    renderer = Renderer(llama)
    async with raw_client(Engine(llama, renderer.eos_id), renderer) as client:
        choice = await client.choice(CHAT, messages=OPENING, tools=TOOLS)
        assert choice["finish_reason"] == "tool_calls"
        [call] = choice["message"]["tool_calls"]
        assert call["function"] == {"name": "get_order", "arguments": ARGUMENTS}
        assert choice["message"]["content"] is None
        [streamed] = calls_of(await client.stream(CHAT, messages=OPENING, tools=TOOLS))
        assert (streamed["name"], streamed["said"]) == ("get_order", ARGUMENTS)
