"""The real `openai` client, as a foreign one, against the scripted simulator's prompts."""

import asyncio
from typing import Any

import msgspec
import openai
import pytest

from simia_async.builtin.task_source import tasks_of
from simia_async.environments import load_environment
from simia_async.simulation.prompts import WORDS, compose


def user_prompt(environment: str) -> tuple[list[Any], str]:
    """The prompt of the user's first word, as `Simulator` writes it, and that word."""
    (task,) = tasks_of(load_environment("mini-retail"), 1, split="train", seed=0)
    sections = {
        "environment": {"name": environment, "role": "user"},
        "task": {"scenario": task.scenario},
        "history": [],
    }
    prompt = [
        {"role": "system", "content": WORDS["user"]},
        {"role": "user", "content": compose(sections)},  # type: ignore[arg-type]
    ]
    return prompt, task.scenario.utterances[0].text


async def test_the_real_openai_client_can_talk_to_the_scripted_simulator(
    scripted_simulator: str,
) -> None:
    prompt, first_word = user_prompt("mini-retail")
    async with openai.AsyncOpenAI(
        base_url=scripted_simulator, api_key="none", max_retries=0
    ) as client:
        (model,) = [model.id async for model in client.models.list()]
        completion = await client.chat.completions.create(model=model, messages=prompt)
    said = msgspec.json.decode(completion.choices[0].message.content or "")
    assert said == {"message": first_word, "done": False}
    assert completion.usage is not None
    assert completion.usage.total_tokens > completion.usage.prompt_tokens > 0


async def test_the_real_synchronous_openai_client_can_as_well(scripted_simulator: str) -> None:
    prompt, first_word = user_prompt("mini-retail")

    def in_a_thread() -> str:
        with openai.OpenAI(base_url=scripted_simulator, api_key="none", max_retries=0) as client:
            (model,) = client.models.list()
            completion = client.chat.completions.create(model=model.id, messages=prompt)
            return completion.choices[0].message.content or ""

    assert first_word in await asyncio.to_thread(in_a_thread)


async def test_a_world_without_rules_is_an_unprocessable_entity_to_openai(
    scripted_simulator: str,
) -> None:
    prompt, _ = user_prompt("airline")
    async with openai.AsyncOpenAI(
        base_url=scripted_simulator, api_key="none", max_retries=0
    ) as client:
        with pytest.raises(openai.UnprocessableEntityError, match=r"no rules for .*airline"):
            await client.chat.completions.create(model="any", messages=prompt)
