"""The policy endpoint as foreign clients meet it: the real `openai` client, and `simia policy`."""

import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import openai  # noqa: E402

from tests.policy_endpoints import (  # noqa: E402
    ANSWER,
    ARGUMENTS,
    CONVERSATION,
    MODEL,
    OPENING,
    RENDERER,
    TOOLS,
    engine,
    served,
)

SIMIA = [sys.executable, "-c", "from simia_async.cli.main import main; main()", "policy", "serve"]


@pytest.fixture
async def client() -> AsyncIterator[openai.AsyncOpenAI]:
    async with (
        served(engine(), key="secret") as base_url,
        openai.AsyncOpenAI(base_url=base_url, api_key="secret", max_retries=0) as foreign,
    ):
        yield foreign


async def test_an_episode_with_a_tool_call_through_the_openai_client(
    client: openai.AsyncOpenAI,
) -> None:
    settings = {"model": "policy@0", "tools": TOOLS, "temperature": 0, "max_tokens": 90}
    first = await client.chat.completions.create(messages=OPENING, logprobs=True, **settings)
    choice = first.choices[0]
    assert choice.finish_reason == "tool_calls"
    [call] = choice.message.tool_calls
    assert call.function.name == "get_order"
    assert json.loads(call.function.arguments) == json.loads(ARGUMENTS)
    assert len(choice.logprobs.content) == first.usage.completion_tokens
    assert all(entry.logprob <= 0 for entry in choice.logprobs.content)

    observed = {"role": "tool", "tool_call_id": call.id, "content": "shipped"}
    history = [*OPENING, choice.message.model_dump(exclude_none=True), observed]
    second = await client.chat.completions.create(messages=history, **settings)
    assert second.choices[0].finish_reason == "stop"
    assert second.choices[0].message.content == ANSWER
    assert second.usage.prompt_tokens_details.cached_tokens > first.usage.prompt_tokens


async def test_a_stream_says_what_the_whole_answer_says(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="policy@0",
        messages=OPENING,
        tools=TOOLS,
        temperature=0,
        max_tokens=90,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    calls = [call for choice in choices for call in choice.delta.tool_calls or ()]
    assert [call.function.name for call in calls if call.id] == ["get_order"]
    arguments = "".join(call.function.arguments for call in calls)
    assert json.loads(arguments) == json.loads(ARGUMENTS)
    assert [c.finish_reason for c in choices if c.finish_reason] == ["tool_calls"]
    assert chunks[-1].usage.completion_tokens > 0


async def test_stop_texts_end_a_turn_and_are_left_out(client: openai.AsyncOpenAI) -> None:
    prompt = RENDERER.prompt_ids(CONVERSATION[:-1], [])
    settings = {"model": "policy@0", "prompt": prompt, "max_tokens": 30, "temperature": 0}
    whole = (await client.completions.create(**settings)).choices[0].text
    stop = whole[6:][:3]
    cut = (await client.completions.create(stop=stop, **settings)).choices[0]
    assert cut.finish_reason == "stop"
    assert cut.text == whole[: whole.index(stop)]


async def test_seeds_repeat_and_differ(client: openai.AsyncOpenAI) -> None:
    async def said(seed: int) -> str:
        reply = await client.chat.completions.create(
            model="policy@0", messages=OPENING, max_completion_tokens=20, seed=seed, temperature=3
        )
        return reply.choices[0].message.content

    assert await said(1) == await said(1) != await said(2)


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"model": "policy@7"}, openai.NotFoundError),
        ({"presence_penalty": 1}, openai.BadRequestError),
        ({"temperature": -1}, openai.BadRequestError),
        ({"max_tokens": 5000}, openai.BadRequestError),
        ({"messages": []}, openai.BadRequestError),
        ({"top_logprobs": 3}, openai.BadRequestError),
    ],
)
async def test_what_cannot_be_served_is_refused_in_openais_way(
    client: openai.AsyncOpenAI, settings: dict, kind: type[openai.APIStatusError]
) -> None:
    with pytest.raises(kind) as refusal:
        await client.chat.completions.create(
            **{"model": "policy@0", "messages": OPENING, "max_tokens": 4, **settings}
        )
    assert refusal.value.body["type"] == "invalid_request_error"


async def test_who_lacks_the_key_is_sent_away(client: openai.AsyncOpenAI) -> None:
    stranger = client.with_options(api_key="guess")
    with pytest.raises(openai.AuthenticationError):
        await stranger.models.list()
    assert [card.id async for card in client.models.list()] == ["policy@0"]


@pytest.mark.soak
def test_bad_input_of_the_command_is_one_sentence(tmp_path: Path) -> None:
    without_template = tmp_path / "m"
    without_template.mkdir()
    for file in MODEL.iterdir():
        if file.name != "chat_template.jinja":
            (without_template / file.name).symlink_to(file)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for flags, complaint in (
            (["--model", str(tmp_path)], "no model at"),
            (["--model", str(without_template)], "no chat template"),
            (["--adapter", str(tmp_path)], "no adapter here"),
            (["--port", port], "cannot listen on"),
        ):
            done = subprocess.run([*SIMIA, *flags], capture_output=True, text=True, timeout=60)
            assert done.returncode == 2, done.stderr
            assert complaint in done.stderr
            assert len(done.stderr.strip().splitlines()) == 1
