"""A policy that is trained on token ids, and users with tools of their own: it is shown none of
what they do there, and nothing of it is trained on.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from simia_store import Reader, TrajectoryRecord, TrajectoryStatus, TurnRecord, open_store

from simia_async.clients import ChatClient
from simia_async.config import TINY, Endpoint
from simia_async.environments import Environment, Scenario, Task
from simia_async.judging import Judge, Rubric
from simia_async.messages import Message, messages_for_policy
from simia_async.models import model_directory
from simia_async.rendering.renderer import Renderer
from simia_async.rollouts.conversation import Seat, Setting, run_rollout
from simia_async.rollouts.gate import Gate
from simia_async.rollouts.groups import facts_of
from simia_async.rollouts.stop_reason import StopReason
from simia_async.rollouts.token_voice import TokenPolicy
from simia_async.rollouts.voices import Sampling
from simia_async.simulation import Simulator
from simia_async.simulation.prompts import read_sections
from tests.conftest import serve

RENDERER = Renderer(model_directory(TINY))
SECRET = "sunflower"
REPLIES = ["Look at your lamp.", "Then it is on.", "Bye."]
CALL = {"message": "", "done": False, "tool_calls": [{"name": "check_lamp", "arguments": {}}]}
USER = [
    {"message": "My lamp?", "done": False},
    CALL,
    CALL,
    {"message": "It shines.", "done": False},
    CALL,
    {"message": "Thanks.", "done": True},
]


def check_lamp(_: dict[str, Any]) -> dict[str, Any]:
    return {"label": SECRET, "on": True}


LAMP = Environment(
    "lamp",
    "Help with lamps.",
    [],
    initial_state={},
    user_tools=[{"type": "function", "function": {"name": "check_lamp"}}],
).with_functions({"check_lamp": check_lamp})
TASK = Task(
    id="lamp",
    environment="lamp",
    split="train",
    scenario=Scenario("Ask about your lamp."),
    initial_state={},
    needs_action=False,
)


async def speak(request: web.Request) -> web.Response:
    """The policy, by token ids."""
    prompt = json.loads(await request.read())["prompt"]
    turn = RENDERER.decode(prompt).count("<|im_start|>assistant\n") - 1
    ids = [*RENDERER.encode(REPLIES[turn]), RENDERER.eos_id]
    logprobs = {"token_logprobs": [-0.5] * len(ids)}
    choice = {"token_ids": ids, "logprobs": logprobs, "finish_reason": "stop"}
    return web.json_response({"choices": [choice]})


async def imagine(request: web.Request) -> web.Response:
    """User and judge."""
    prompt = json.loads(await request.read())["messages"][-1]["content"]
    sections = read_sections(prompt)
    answer: Any = {"reward": 1}
    if sections["environment"]["role"] == "user":
        answer = USER[sum(message["role"] == "user" for message in sections["history"])]
    message = {"role": "assistant", "content": json.dumps(answer)}
    return web.json_response({"choices": [{"message": message, "finish_reason": "stop"}]})


@asynccontextmanager
async def clients() -> AsyncIterator[tuple[ChatClient, ChatClient]]:
    """Of the policy, and of the world."""
    app = web.Application()
    app.router.add_post("/v1/completions", speak)
    app.router.add_post("/v1/chat/completions", imagine)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serve(app))
        endpoint = Endpoint(base_url=url, model="m", retry_budget_s=0.01, api_key_env="")
        policy = await stack.enter_async_context(ChatClient.connect(endpoint))
        yield policy, await stack.enter_async_context(ChatClient.connect(endpoint))


async def play(run: Path, before: Sequence[TurnRecord] = ()) -> list[TurnRecord]:
    """Play the conversation, or play it on after these turns."""
    async with clients() as (speaker, world), open_store(run) as store:
        pinned = TokenPolicy(speaker, RENDERER, Sampling(9, 1.0, 60, 1024))
        simulator, judge = Simulator(world, LAMP), Judge(world, LAMP, Rubric())
        setting = Setting(store, LAMP, pinned, simulator, judge, Gate())
        seat = Seat(store.new_trajectory_id(), TASK, facts_of(None, TASK, setting))
        if before:
            begun = TrajectoryRecord(
                seat.trajectory_id, "lamp", "lamp", TrajectoryStatus.RUNNING, "train"
            )
            await store.append(begun, *before)
            seat = msgspec.structs.replace(seat, begun=begun, turns=before)
        outcome = await run_rollout(setting, seat)
    assert (outcome.stop_reason, outcome.reward) == (StopReason.USER_DONE, 1.0)
    with Reader(run) as reader:
        [trajectory] = reader.trajectories()
        assert trajectory.detail["device_calls"] == 3
        return reader.turns(trajectory.id)


def ids_of(turns: Sequence[TurnRecord]) -> list[int]:
    """What the policy saw and said, as the trainer reads it back."""
    return [token for turn in turns for token in (*turn.prompt_ids, *turn.token_ids)]


async def test_the_ids_are_those_of_what_the_policy_saw(tmp_path: Path) -> None:
    turns = await play(tmp_path / "r.db")
    assert sum(turn.role == "user_tool" for turn in turns) == 3
    spoken = [number for number, turn in enumerate(turns) if turn.token_ids]
    assert spoken == [number for number, turn in enumerate(turns) if turn.role == "assistant"]
    assert not any(turn.prompt_ids for turn in turns if turn.is_users_own)
    seen = [Message("system", LAMP.policy), *messages_for_policy(turns[: spoken[-1] + 1])]
    text = RENDERER.decode(ids_of(turns))
    assert f"{text}{RENDERER.eos}\n" == RENDERER.render(seen)
    assert SECRET not in text
    assert any(SECRET in str(turn.message) for turn in turns)


async def test_a_conversation_that_goes_on_has_the_same_ids(tmp_path: Path) -> None:
    whole = await play(tmp_path / "whole.db")
    for count in range(2, len(whole), 3):
        assert await play(tmp_path / f"{count}.db", whole[:count]) == whole, count
