"""Conversations with the scripted world: every way to end, and everything stored.

The policy here is a mock: a server that answers with the token ids of replies given beforehand.
"""

import gc
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from simia_store import Reader, TrajectoryRecord, TrajectoryStatus, TurnRecord, open_store

from simia_async.builtin.answers import answer
from simia_async.builtin.mini_retail import MINI_RETAIL
from simia_async.builtin.play import oracle_dialogue
from simia_async.builtin.server import completion
from simia_async.builtin.templates import TEMPLATES, draw_task
from simia_async.clients import ChatClient
from simia_async.config import TINY, Endpoint
from simia_async.environments import Environment, Task, load_environment
from simia_async.judging import Judge, Rubric
from simia_async.messages import Message
from simia_async.models import model_directory
from simia_async.rendering.renderer import Renderer
from simia_async.rollouts import conversation
from simia_async.rollouts.conversation import Conversation, Outcome, Seat, Setting, run_rollout
from simia_async.rollouts.gate import Gate
from simia_async.rollouts.groups import facts_of
from simia_async.rollouts.stop_reason import StopReason
from simia_async.rollouts.token_voice import TokenPolicy
from simia_async.rollouts.voices import Sampling
from simia_async.simulation import Simulator
from simia_async.simulation.prompts import read_sections

RENDERER = Renderer(model_directory(TINY))
MARK = "<|im_start|>assistant\n"
STATUS, CANCEL = TEMPLATES[0], TEMPLATES[5]


def expert_replies(task: Task, template: int) -> list[str]:
    """What the expert says, as the policy would write it."""
    replies = []
    messages = oracle_dialogue(MINI_RETAIL, task)
    for index, message in enumerate(messages):
        if message.role == "assistant":
            before = RENDERER.render(messages[:index], generate=True)
            spoken = RENDERER.render(messages[: index + 1])[len(before) :]
            replies.append(spoken[: spoken.rindex(RENDERER.eos)])
    return replies


class MockPolicy:
    """Says `replies` in order, the last one again and again. Remembers the ids it was shown."""

    def __init__(self, replies: list[str], *, end: bool = True, status: int = 200) -> None:
        self._replies = replies
        self._end = end
        self._status = status
        self.last_ids: list[int] = []

    async def handle(self, request: web.Request) -> web.Response:
        if self._status != 200:
            return web.json_response({"error": {"message": "no"}}, status=self._status)
        prompt = msgspec.json.decode(await request.read())["prompt"]
        turn = RENDERER.decode(prompt).count(MARK) - 1
        ids = RENDERER.encode(self._replies[min(turn, len(self._replies) - 1)])
        ids += [RENDERER.eos_id] if self._end else []
        self.last_ids = prompt + ids
        choice = {
            "token_ids": ids,
            "logprobs": {"token_logprobs": [-0.5] * len(ids)},
            "finish_reason": "stop" if self._end else "length",
        }
        return web.json_response({"choices": [choice]})


def world_that_fails_as(role: str | None) -> Callable[[web.Request], Any]:
    """The scripted simulator, except that one role answers with prose."""

    async def handle(request: web.Request) -> web.Response:
        body = await request.json()
        prompt = next(m["content"] for m in body["messages"] if m["role"] == "user")
        if read_sections(prompt)["environment"]["role"] == role:
            text = "I would rather not."
        else:
            text = msgspec.json.encode(answer(prompt, 0)).decode()
        return web.json_response(completion("m", text, 1))

    return handle


class Played(msgspec.Struct):
    outcome: Outcome
    trajectory: TrajectoryRecord
    turns: list[TurnRecord]
    policy: MockPolicy


@asynccontextmanager
async def _client(path: str, handler: Callable[[web.Request], Any]) -> AsyncIterator[ChatClient]:
    app = web.Application()
    app.router.add_post(path, handler)
    server = TestServer(app)
    await server.start_server()
    endpoint = Endpoint(
        base_url=f"http://127.0.0.1:{server.port}/v1", model="m", retry_budget_s=0.01
    )
    try:
        async with ChatClient.connect(endpoint) as client:
            yield client
    finally:
        await server.close()


@pytest.fixture
def play(tmp_path: Path):
    """Play one task with a mock policy; give everything that came of it."""

    async def run(
        task: Task,
        policy: MockPolicy,
        *,
        failing_role: str | None = None,
        environment: Environment | None = None,
        max_turns: int = 14,
        context: int = 1024,
    ) -> Played:
        environment = environment or load_environment("mini-retail")
        async with AsyncExitStack() as stack:
            world = await stack.enter_async_context(
                _client("/v1/chat/completions", world_that_fails_as(failing_role))
            )
            speaker = await stack.enter_async_context(_client("/v1/completions", policy.handle))
            store = await stack.enter_async_context(open_store(tmp_path / "r.db"))
            pinned = TokenPolicy(speaker, RENDERER, Sampling(max_turns, 1.0, 110, context), 3)
            simulator = Simulator(world, environment)
            judge = Judge(world, environment, Rubric())
            setting = Setting(store, environment, pinned, simulator, judge, Gate())
            seat = Seat(store.new_trajectory_id(), task, facts_of(None, task, setting))
            outcome = await run_rollout(setting, seat)
        with Reader(tmp_path / "r.db") as reader:
            [trajectory] = reader.trajectories()
            return Played(outcome, trajectory, reader.turns(trajectory.id), policy)

    return run


@pytest.mark.parametrize("template", range(len(TEMPLATES)))
async def test_the_oracle_gets_the_full_reward_and_ids_are_kept(play, template: int) -> None:
    task = draw_task(MINI_RETAIL, TEMPLATES[template], 7, "heldout")
    played = await play(task, MockPolicy(expert_replies(task, template)))
    assert played.outcome.stop_reason == StopReason.USER_DONE
    assert played.outcome.reward == 1.0
    assert played.outcome.solved
    assert played.trajectory.status == TrajectoryStatus.SCORED
    assert played.trajectory.policy_version == 3
    # What will be trained on is to the id what the policy was shown and what it said.
    stored = [i for turn in played.turns for i in (*turn.prompt_ids, *turn.token_ids)]
    assert stored == played.policy.last_ids
    assert [turn.position for turn in played.turns] == list(range(len(played.turns)))
    for turn in played.turns:
        assert len(turn.logprobs) == len(turn.token_ids)
        assert bool(turn.token_ids) == (turn.role == "assistant")


async def test_a_null_agent_solves_nothing_that_needs_an_action(play) -> None:
    task = draw_task(MINI_RETAIL, CANCEL, 0, "heldout")
    played = await play(task, MockPolicy(["All is well."]))
    assert task.needs_action
    assert (played.outcome.reward, played.outcome.solved) == (0.0, False)


def call(tool: str, **arguments: str) -> str:
    body = msgspec.json.encode({"name": tool, "arguments": arguments}).decode()
    return f"<tool_call>\n{body}\n</tool_call>"


@pytest.mark.parametrize(
    ("reply", "observed"),
    [
        (call("fly", to="Rome"), "unknown tool fly"),
        (call("get_order"), "'order_id' is a required property"),
        ("<tool_call>\n{nonsense\n</tool_call>", "malformed tool call"),
        ("<tool_call>\n", "not closed"),
    ],
)
async def test_code_answers_what_no_api_would_accept(play, reply: str, observed: str) -> None:
    task = draw_task(MINI_RETAIL, STATUS, 0, "train")
    played = await play(task, MockPolicy([reply, "Sorry."]))
    observation = played.turns[2]
    assert observation.role == "tool"
    assert observation.source == "code"
    assert observed in observation.message["content"]
    assert played.outcome.stop_reason == StopReason.USER_DONE


async def test_a_change_of_the_state_is_stored_with_its_observation(play) -> None:
    task = draw_task(MINI_RETAIL, CANCEL, 1, "train")
    played = await play(task, MockPolicy(expert_replies(task, 5)))
    [changed] = [turn for turn in played.turns if turn.ops]
    assert changed.source == "llm"
    assert changed.ops[0]["value"] == "cancelled"


async def test_it_ends_when_the_agent_calls_an_ending_tool(play) -> None:
    task = draw_task(MINI_RETAIL, CANCEL, 1, "train")
    environment = msgspec.structs.replace(
        load_environment("mini-retail"), ending_tools=frozenset({"cancel_order"})
    )
    policy = MockPolicy(expert_replies(task, 5))
    played = await play(task, policy, environment=environment)
    assert played.outcome.stop_reason == StopReason.AGENT_DONE
    assert played.outcome.reward is not None


async def test_it_ends_at_the_turn_limit(play) -> None:
    task = draw_task(MINI_RETAIL, STATUS, 0, "train")
    played = await play(task, MockPolicy([call("get_order", order_id="W1")]), max_turns=3)
    assert played.outcome.stop_reason == StopReason.MAX_TURNS
    assert sum(turn.role == "assistant" for turn in played.turns) == 3


@pytest.mark.parametrize(("end", "context"), [(False, 1024), (True, 250)])
async def test_it_ends_when_the_context_is_full(play, end: bool, context: int) -> None:
    task = draw_task(MINI_RETAIL, STATUS, 0, "train")
    looking = MockPolicy([call("get_order", order_id="W1")], end=end)
    played = await play(task, looking, context=context)
    assert played.outcome.stop_reason == StopReason.CONTEXT_FULL
    assert played.outcome.reward == 0.0


@pytest.mark.parametrize(
    ("role", "reason"),
    [
        ("user", StopReason.SIMULATOR_ERROR),
        ("tool", StopReason.SIMULATOR_ERROR),
        ("judge", StopReason.JUDGE_ERROR),
    ],
)
async def test_a_failing_role_leaves_no_reward(play, role: str, reason: StopReason) -> None:
    task = draw_task(MINI_RETAIL, CANCEL, 0, "train")
    played = await play(task, MockPolicy(expert_replies(task, 5)), failing_role=role)
    assert played.outcome.stop_reason == reason
    assert played.outcome.reward is None
    assert played.trajectory.status == TrajectoryStatus.UNSCORED
    assert played.trajectory.boundary == str(reason).removesuffix("_error")
    assert "rather not" in (played.trajectory.reason or "")


async def test_a_failing_policy_leaves_no_reward(play) -> None:
    task = draw_task(MINI_RETAIL, STATUS, 0, "train")
    played = await play(task, MockPolicy([""], status=500))
    assert played.outcome.stop_reason == StopReason.POLICY_ERROR
    assert played.outcome.reward is None
    assert played.trajectory.boundary == "policy"


async def test_the_user_does_not_see_thoughts(play) -> None:
    task = draw_task(MINI_RETAIL, STATUS, 0, "train")
    played = await play(task, MockPolicy(["<think>The status is secret.</think>Hello."]))
    stored = [Message(**turn.message) for turn in played.turns if turn.role == "assistant"]
    assert "<think>" in (stored[0].content or "")
    assert not played.outcome.solved


async def test_one_that_has_ended_is_let_go_without_the_garbage_collector(
    play, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: weakref.WeakSet[Conversation] = weakref.WeakSet()
    begun = []

    class Watched(Conversation):
        def __init__(self, setting: Setting, seat: Seat) -> None:
            super().__init__(setting, seat)
            alive.add(self)
            begun.append(seat.trajectory_id)

    monkeypatch.setattr(conversation, "Conversation", Watched)
    task = draw_task(MINI_RETAIL, STATUS, 7, "heldout")
    gc.disable()
    try:
        await play(task, MockPolicy(expert_replies(task, 0)))
        assert begun
        assert not alive
    finally:
        gc.enable()
