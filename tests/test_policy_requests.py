"""Each field of a request does what OpenAI or vLLM says of it, or is refused by name."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from simia_async.inference.reading import IGNORED  # noqa: E402
from tests.policy_endpoints import (  # noqa: E402
    ANSWER,
    ARGUMENTS,
    CONVERSATION,
    MODEL,
    OBSERVED,
    OPENING,
    RENDERER,
    TOOLS,
    RawClient,
    engine,
    raw_client,
)

CHAT, TEXT = "/chat/completions", "/completions"
LOAD, UNLOAD = "/load_lora_adapter", "/unload_lora_adapter"


def calling(arguments: str) -> list[dict[str, Any]]:
    """A conversation with a call of these arguments."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    return [OPENING[1], {"role": "assistant", "tool_calls": [call]}, OPENING[1]]


@pytest.fixture
async def client() -> AsyncIterator[RawClient]:
    async with raw_client(engine()) as client:
        yield client


async def test_a_completion_of_token_ids_and_what_it_tells(client: RawClient) -> None:
    prompt = RENDERER.prompt_ids(CONVERSATION[:-1], [])
    choice = await client.choice(
        TEXT, prompt=prompt, max_tokens=8, logprobs=3, return_token_ids=True
    )
    logprobs = choice["logprobs"]
    assert choice["prompt_token_ids"] == prompt
    assert len(choice["token_ids"]) == len(logprobs["token_logprobs"]) == 8
    assert "".join(logprobs["tokens"]) == choice["text"]
    assert [choice["text"][at:] for at in logprobs["text_offset"]] == [
        "".join(logprobs["tokens"][at:]) for at in range(8)
    ]
    for token, logprob, top in zip(
        logprobs["tokens"], logprobs["token_logprobs"], logprobs["top_logprobs"], strict=True
    ):
        assert top[token] == logprob >= max(top.values()) - 1e-6, "greedy"
    bare = await client.choice(TEXT, prompt=prompt, max_tokens=8)
    assert "token_ids" not in bare
    assert bare["logprobs"] is None
    assert bare["text"] == choice["text"]


async def test_several_prompts_and_several_choices(client: RawClient) -> None:
    prompts = ["Hello", "Who is there?"]
    settings = {"temperature": 2.0, "seed": 3, "max_tokens": 6}
    status, body = await client.ask(TEXT, prompt=prompts, n=3, **settings)
    assert status == 200
    texts = [choice["text"] for choice in body["choices"]]
    assert [choice["index"] for choice in body["choices"]] == list(range(6))
    assert len(set(texts)) == 6
    assert body["usage"]["prompt_tokens"] == sum(len(RENDERER.encode(text)) for text in prompts)
    for number in range(3):
        alone = await client.choice(TEXT, prompt=prompts[1], **{**settings, "seed": 3 + number})
        assert alone["text"] == texts[3 + number]


async def test_a_seed_repeats_and_none_is_another_each_time(client: RawClient) -> None:
    async def said(**seed: int) -> str:
        choice = await client.choice(CHAT, messages=OPENING, temperature=3, max_tokens=20, **seed)
        return choice["message"]["content"]

    assert await said(seed=1) == await said(seed=1) != await said(seed=2)
    assert await said() != await said()


@pytest.mark.parametrize(
    "narrow", [{"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1.0}, {"temperature": 1e-30}]
)
async def test_the_narrowest_sampling_is_greedy(client: RawClient, narrow: dict) -> None:
    greedy = await client.choice(TEXT, prompt="Hello", max_tokens=12)
    hot = {"temperature": 2.0, "logprobs": 2, **narrow}
    choice = await client.choice(TEXT, prompt="Hello", max_tokens=12, **hot)
    assert choice["text"] == greedy["text"]


async def test_stop_tokens_and_the_end_of_a_turn(client: RawClient) -> None:
    whole = await client.choice(CHAT, messages=OBSERVED, return_token_ids=True)
    ids = whole["token_ids"]
    assert (whole["finish_reason"], whole["stop_reason"]) == ("stop", None)
    assert ids[-1] == RENDERER.eos_id
    stopped = await client.choice(
        CHAT, messages=OBSERVED, return_token_ids=True, stop_token_ids=[ids[5]]
    )
    assert stopped["stop_reason"] == ids[5]
    assert stopped["token_ids"] == ids[: ids.index(ids[5]) + 1]
    assert stopped["message"]["content"] == RENDERER.decode(ids[: ids.index(ids[5])])
    on = await client.choice(
        CHAT, messages=OBSERVED, return_token_ids=True, ignore_eos=True, max_tokens=len(ids) + 5
    )
    assert on["finish_reason"] == "length"
    assert on["token_ids"][: len(ids)] == ids
    assert on["message"]["content"].startswith(ANSWER + RENDERER.eos)


async def test_a_stop_text_is_named(client: RawClient) -> None:
    choice = await client.choice(CHAT, messages=OBSERVED, stop=["nowhere", "way"])
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", "way")
    assert choice["message"]["content"] == ANSWER[: ANSWER.index("way")]


async def test_log_probabilities_of_a_chat(client: RawClient) -> None:
    choice = await client.choice(CHAT, messages=OBSERVED, logprobs=True, top_logprobs=2)
    said = choice["logprobs"]["content"]
    assert all(len(entry["top_logprobs"]) == 2 for entry in said)
    assert all(entry["top_logprobs"][0]["token"] == entry["token"] for entry in said), "greedy"
    text = "".join(entry["token"] for entry in said)
    assert text.endswith(RENDERER.eos)
    assert "�" in text, "a token may be a part of a character"
    assert all((entry["bytes"] is None) == ("�" in entry["token"]) for entry in said)


async def test_tools_are_called_only_where_they_are_offered(client: RawClient) -> None:
    offered = await client.choice(CHAT, messages=OPENING, tools=TOOLS)
    assert offered["finish_reason"] == "tool_calls"
    [call] = offered["message"]["tool_calls"]
    assert call["function"] == {"name": "get_order", "arguments": ARGUMENTS}
    assert offered["message"]["content"] == "One moment."
    for withheld in ({}, {"tools": TOOLS, "tool_choice": "none"}):
        choice = await client.choice(CHAT, messages=OPENING, **withheld)
        assert "tool_calls" not in choice["message"]


async def test_texts_may_come_in_parts_and_from_a_developer(client: RawClient) -> None:
    parts = [{"type": "text", "text": "Where is my "}, {"type": "text", "text": "order W1234?"}]
    messages = [{**OPENING[0], "role": "developer"}, {"role": "user", "content": parts}]
    same = await client.choice(CHAT, messages=OPENING, tools=TOOLS)
    said = await client.choice(CHAT, messages=messages, tools=TOOLS)
    assert said["message"]["content"] == same["message"]["content"]


async def test_limits_of_length(client: RawClient) -> None:
    for limit in ({"max_tokens": 3}, {"max_completion_tokens": 3}):
        body = {"max_tokens": None, **limit}
        choice = await client.choice(CHAT, messages=OBSERVED, return_token_ids=True, **body)
        assert (choice["finish_reason"], len(choice["token_ids"])) == ("length", 3)
    unlimited = await client.choice(CHAT, messages=OBSERVED, max_tokens=None)
    assert unlimited["message"]["content"] == ANSWER


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (TEXT, {"prompt": "Hi", "frequency_penalty": 0.5}, "frequency_penalty"),
        (TEXT, {"prompt": "Hi", "echo": True}, "echo"),
        (TEXT, {"prompt": "Hi", "logprobs": 21}, "logprobs"),
        (TEXT, {"prompt": "Hi", "prompt_logprobs": 1}, "prompt_logprobs"),
        (TEXT, {"prompt": "Hi", "n": 0}, "n"),
        (TEXT, {"prompt": "Hi", "stop": ""}, "stop"),
        (TEXT, {"prompt": ["Hi", 5]}, "prompt"),
        (TEXT, {"prompt": []}, None),
        (TEXT, {"prompt": [99999]}, None),
        (TEXT, {"prompt": "Hi", "max_tokens": 5000}, None),
        (TEXT, {"prompt": "Hi", "max_tokens": 10**30}, None),
        (TEXT, {"prompt": "Hi", "max_tokens": -1}, "max_tokens"),
        (TEXT, {"prompt": ["Hi"] * 33, "n": 128}, "prompt"),
        (TEXT, {"prompt": "word " * 200_000}, None),
        (TEXT, {}, "prompt"),
        (TEXT, {"prompt": "Hi", "messages": OPENING}, "messages"),
        (TEXT, {"prompt": "Hi", "model": None}, "model"),
        (CHAT, {"messages": OPENING, "tempreature": 1}, "tempreature"),
        (CHAT, {"messages": OPENING, "temperature": "warm"}, "temperature"),
        (CHAT, {"messages": OPENING, "top_logprobs": 2}, "top_logprobs"),
        (CHAT, {"messages": OPENING, "tools": TOOLS, "tool_choice": "required"}, "tool_choice"),
        (CHAT, {"messages": OPENING, "tools": TOOLS, "tool_choice": TOOLS[0]}, "tool_choice"),
        (
            CHAT,
            {"messages": OPENING, "response_format": {"type": "json_object"}},
            "response_format",
        ),
        (CHAT, {"messages": OPENING, "parallel_tool_calls": False}, "parallel_tool_calls"),
        (CHAT, {"messages": OPENING, "stream_options": {"include_usage": True}}, "stream_options"),
        (CHAT, {"messages": []}, "messages"),
        (CHAT, {"messages": "Hi"}, "messages"),
        (CHAT, {"messages": [{"role": "robot", "content": "Hi"}]}, "messages[0].role"),
        (CHAT, {"messages": calling("nonsense")}, "messages"),
        (CHAT, {"messages": calling("[" * 100_000)}, "messages"),
        (
            CHAT,
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content",
        ),
    ],
)
async def test_what_is_not_served_is_refused_by_name(
    client: RawClient, path: str, body: dict, field: str | None
) -> None:
    assert await client.refused(path, **body) == field


async def test_what_changes_nothing_is_let_pass(client: RawClient) -> None:
    harmless: dict[str, Any] = dict.fromkeys(IGNORED, "x")
    neutral = {"frequency_penalty": 0.0, "response_format": {"type": "text"}, "logit_bias": None}
    plain = await client.choice(CHAT, messages=OPENING)
    choice = await client.choice(CHAT, messages=OPENING, **harmless, **neutral)
    assert choice["message"] == plain["message"]


async def test_models_are_listed_and_others_are_unknown(client: RawClient) -> None:
    async with client.session.get(client.base_url + "/models") as response:
        listed = await response.json()
    assert [card["id"] for card in listed["data"]] == ["policy@0"]
    status, body = await client.ask(TEXT, prompt="Hi", model="policy@7")
    assert (status, body["error"]["param"]) == (404, "model")


@pytest.mark.parametrize("path", [CHAT, TEXT, LOAD, UNLOAD])
async def test_bodies_that_are_no_requests(client: RawClient, path: str) -> None:
    for body in (
        b"",
        b"[]",
        b"nonsense",
        b"\xff",
        b'{"lora_name": "\xff"}',
        b'{"x":' + b"[" * 9999,
    ):
        async with client.session.post(client.base_url + path, data=body) as response:
            assert response.status == 400
            assert (await response.json())["error"]["message"]


@pytest.mark.parametrize("path", ["/no/such", "a\0b", "a" * 5000, str(MODEL)])
async def test_paths_that_hold_no_adapter(client: RawClient, path: str) -> None:
    body = {"lora_name": "policy@1", "lora_path": path}
    async with client.session.post(client.base_url + LOAD, json=body) as response:
        assert response.status == 400
        assert "no adapter here" in (await response.json())["error"]["message"]


async def test_an_adapter_has_a_name(client: RawClient) -> None:
    body = {"lora_name": "", "lora_path": str(MODEL)}
    async with client.session.post(client.base_url + LOAD, json=body) as response:
        assert response.status == 400
        assert "lora_name" in (await response.json())["error"]["message"]


async def test_numbers_of_any_size_draw(client: RawClient) -> None:
    huge = {"top_k": 10**30, "seed": -(10**40), "stop_token_ids": [10**30, -1], "temperature": 1}
    assert (await client.choice(TEXT, prompt="a\0b", max_tokens=3, **huge))["text"]


async def test_what_goes_wrong_unforeseen_is_told_in_openais_shape(
    client: RawClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("odd")

    monkeypatch.setattr("simia_async.inference.engine.draw", fail)
    status, body = await client.ask(TEXT, prompt="Hi")
    assert (status, body["error"]["type"]) == (500, "server_error")
    monkeypatch.undo()
    assert await client.choice(TEXT, prompt="Hi")


async def test_one_bad_prompt_does_not_disturb_others(client: RawClient) -> None:
    good = [client.choice(TEXT, prompt="Hello", max_tokens=12) for _ in range(3)]
    bad = [client.ask(TEXT, prompt=[[5], [99999]]) for _ in range(3)]
    *answered, refused, _, _ = await asyncio.gather(*good, *bad)
    assert len({choice["text"] for choice in answered}) == 1
    assert refused[0] == 400
