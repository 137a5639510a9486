"""Users with tools of their own: the world answers their calls, and the policy sees none."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from simia_store import Reader, TrajectoryRecord, TrajectoryStatus, TurnRecord, open_store
from typer.testing import CliRunner

from simia_async.builtin.server.completions import Reply, Said
from simia_async.builtin.server.protocol import ChatRequest
from simia_async.cli.main import app
from simia_async.config import TINY
from simia_async.environments import Environment, Task, load_environment, load_tasks
from simia_async.messages import FunctionCall, Message, ToolCall, messages_for_policy
from simia_async.models import model_directory
from simia_async.rendering.renderer import Renderer
from simia_async.rollouts.stop_reason import StopReason
from simia_async.runs.rollout_recall import next_role
from simia_async.runs.stored_cases import case_of
from simia_async.simulation.device import MOST_ROUNDS
from simia_async.simulation.prompts import read_sections
from simia_async.synthesis.export import export
from simia_async.training.samples import read_sft_samples
from tests.lamp_world import FILES, SECRET, write_lamp
from tests.rollout_servers import (
    CANCELLING,
    Playhouse,
    config_at,
    playhouse,
    role_of,
    roll,
    turns_of,
)

BEFORE_USER_TOOLS = "0a5b52f6cc49267d89ae9ab8b1d2efde67a8932f458030df720a21e3098198b4"
"""SHA-256 of all that policy, user, tools and judge were sent in a rollout of `mini-retail`, as it
was before users could have tools."""


@pytest.fixture
def lamp(tmp_path: Path) -> Environment:
    return load_environment(str(write_lamp(tmp_path / "lamp")))


@pytest.fixture
def task(lamp: Environment) -> Task:
    assert lamp.tasks_file is not None
    return load_tasks(lamp.tasks_file, lamp)[0]


@pytest.fixture
async def house() -> AsyncIterator[Playhouse]:
    async with playhouse() as opened:
        yield opened


# --- prompts


async def test_without_user_tools_every_prompt_is_what_it_was(
    house: Playhouse, tmp_path: Path
) -> None:
    asked: list[tuple[str, Any]] = []

    def keep(request: ChatRequest) -> None:
        asked.append((role_of(request), request.raw))

    house.instead = dict.fromkeys(("user", "tool", "joint", "judge", "policy"), keep)
    (tmp_path / "r.toml").write_text('combine = "judge"')
    for mode in ("roles", "joint"):
        config = config_at(house, mode=mode, rubric=str(tmp_path / "r.toml"))
        await roll(config, tmp_path / f"{mode}.db", tasks=[CANCELLING])
    told = msgspec.json.encode(asked, order="sorted")
    assert hashlib.sha256(told).hexdigest() == BEFORE_USER_TOOLS


# --- conversations


class Cast:
    """Everybody around a lamp, and what they were asked."""

    def __init__(self, house: Playhouse, user: list[Any]) -> None:
        self.prompts: dict[str, list[str]] = {"policy": [], "user": [], "tool": [], "judge": []}
        self._user = user
        self._house = house
        house.instead = {
            "user": self._of("user", self.user),
            "joint": self._of("user", self.joint),
            "tool": self._of("tool", self.tool),
            "judge": self._of("judge", lambda _: '{"reward": 1, "reasoning": "It shines."}'),
            "policy": self._of("policy", self.policy),
        }

    def _of(self, role: str, say: Callable[[ChatRequest], Any]) -> Callable[[ChatRequest], Any]:
        def noted(request: ChatRequest) -> Any:
            self.prompts[role].append(json.dumps(request.raw))
            return say(request)

        return noted

    def user(self, request: ChatRequest) -> str:
        history = read_sections(request.prompt)["history"]
        made = sum(message["role"] == "user" for message in history)
        return json.dumps(self._user[made])

    def joint(self, request: ChatRequest) -> str:
        history = read_sections(request.prompt)["history"]
        if history and history[-1].get("tool_calls"):
            return self.tool(request)
        told = json.loads(self.user(request))
        end = " [TERMINATE]" if told["done"] else ""
        return json.dumps({**told, "message": told["message"] + end})

    def tool(self, request: ChatRequest) -> str:
        """What changes is made up; all else is told by code."""
        call = read_sections(request.prompt)["history"][-1]["tool_calls"][0]["function"]
        arguments = json.loads(call["arguments"])
        path = {"switch_lamp": "/lamp/on", "update_firmware": "/account/firmware"}[call["name"]]
        ops = [{"op": "replace", "path": path, "value": value} for value in arguments.values()]
        return json.dumps({"observation": {"ok": True}, "is_error": False, "ops": ops})

    def policy(self, request: ChatRequest) -> Reply:
        spoken = sum(message.role == "assistant" for message in request.messages)
        if spoken == 1:
            return Reply(tool_calls=[Said("c", "update_firmware", '{"version": "1.1"}')])
        return Reply(["Please look at your lamp.", "", "Switch it on now, please.", "Bye."][spoken])


def use(*calls: tuple[str, Any], message: str = "") -> dict[str, Any]:
    made = [{"name": name, "arguments": arguments} for name, arguments in calls]
    return {"message": message, "done": False, "tool_calls": made}


def say(message: str, *, done: bool = False) -> dict[str, Any]:
    return {"message": message, "done": done}


STORY = [
    say("My lamp is dark."),
    use(("check_lamp", {}), message="let me see"),
    say("It is off."),
    use(("switch_lamp", {"on": True}), ("check_lamp", "{}")),
    say("It shines!", done=True),
]
ROLES = ["user", "assistant", "user_call", "user_tool", "user", "assistant", "tool", "assistant"]
ROLES += ["user_call", "user_tool", "user_tool", "user"]


async def play(
    house: Playhouse, task: Task, lamp: Environment, run: Path, story: list[Any], **settings: Any
) -> tuple[Cast, list[TurnRecord], TrajectoryRecord]:
    cast = Cast(house, story)
    rubric = run.with_suffix(".toml")
    rubric.write_text('combine = "judge"')
    config = config_at(house, environment=str(lamp.directory), rubric=str(rubric), **settings)
    await roll(config, run, tasks=[task])
    with Reader(run) as reader:
        [trajectory] = reader.trajectories()
    return cast, turns_of(run)[trajectory.id], trajectory


@pytest.mark.parametrize("mode", ["roles", "joint"])
async def test_the_world_answers_the_user_and_the_policy_sees_none_of_it(
    house: Playhouse, lamp: Environment, task: Task, tmp_path: Path, mode: str
) -> None:
    run = tmp_path / "r.db"
    cast, turns, trajectory = await play(house, task, lamp, run, STORY, mode=mode)
    assert [turn.role for turn in turns] == ROLES
    # The state is one, whoever acts on it.
    assert trajectory.detail["solved"] is True
    looked = json.loads(turns[-2].message["content"])
    assert looked == {"on": True, "label": SECRET}
    assert [turn.source for turn in turns if turn.role == "user_tool"] == ["fact", "llm", "fact"]
    assert trajectory.detail["device_calls"] == 3
    assert trajectory.detail["device_errors"] == 0
    for hidden in ("check_lamp", "switch_lamp", SECRET, "let me see"):
        assert not any(hidden in prompt for prompt in cast.prompts["policy"]), hidden
        # The judge sees it, and so does the user.
        assert any(hidden in prompt for prompt in cast.prompts["judge"])
    assert SECRET in cast.prompts["user"][-1]
    heard = json.dumps([message.as_wire() for message in messages_for_policy(turns)])
    assert SECRET not in heard
    assert "It is off." in heard


async def test_who_plays_the_device_gets_its_tools_and_only_then(
    house: Playhouse, lamp: Environment, task: Task, tmp_path: Path
) -> None:
    cast, _, _ = await play(house, task, lamp, tmp_path / "r.db", STORY)
    agents, device = (
        json.loads(prompt)["messages"][1]["content"] for prompt in cast.prompts["tool"]
    )
    assert read_sections(agents)["tools"] == FILES["tools.json"]
    assert read_sections(device)["tools"] == FILES["user_tools.json"]
    for role in ("user", "judge"):
        told = json.loads(cast.prompts[role][0])["messages"]
        assert "<device>" in told[0]["content"]
        assert read_sections(told[1]["content"])["device"] == FILES["user_tools.json"]
    with Reader(tmp_path / "r.db") as reader:
        words = {prompt.role: prompt.words for prompt in reader.prompts()}
    assert "<device>" in words["user"]


async def test_calls_that_do_not_fit_are_errors_that_the_user_sees(
    house: Playhouse, lamp: Environment, task: Task, tmp_path: Path
) -> None:
    story = [STORY[0], use(("get_account", {}), ("switch_lamp", "{"), ("switch_lamp", {"on": 3}))]
    story += [say("Nothing works.", done=True)]
    _, turns, trajectory = await play(house, task, lamp, tmp_path / "r.db", story)
    errors = [turn for turn in turns if turn.role == "user_tool"]
    assert [(turn.source, turn.is_error) for turn in errors] == [("code", True)] * 3
    assert "unknown tool get_account" in errors[0].message["content"]
    assert "not a JSON object" in errors[1].message["content"]
    assert "bad arguments" in errors[2].message["content"]
    assert trajectory.detail["device_errors"] == 3


async def test_a_user_who_only_uses_the_device_is_told_to_speak(
    house: Playhouse, lamp: Environment, task: Task, tmp_path: Path
) -> None:
    look = use(("check_lamp", {}))
    story = [STORY[0], *[look] * (MOST_ROUNDS + 5)]
    _, turns, trajectory = await play(house, task, lamp, tmp_path / "r.db", story)
    assert trajectory.stop_reason == StopReason.SIMULATOR_ERROR
    assert f"used the device {MOST_ROUNDS} times" in str(trajectory.reason)
    assert sum(turn.role == "user_call" for turn in turns) == MOST_ROUNDS
    assert trajectory.reward is None


async def test_a_conversation_cut_off_at_the_device_goes_on_there(
    house: Playhouse, lamp: Environment, task: Task, tmp_path: Path
) -> None:
    _, whole, _ = await play(house, task, lamp, tmp_path / "whole.db", STORY)
    for number in (4, 10):
        run = tmp_path / f"{number}.db"
        cast, stored = Cast(house, STORY), 0
        config = config_at(
            house, environment=str(lamp.directory), rubric=str(tmp_path / "whole.toml")
        )
        with anyio.CancelScope() as scope:
            # Cut when the n-th call of an endpoint is made.
            for role, speak in list(house.instead.items()):

                async def cut(request: ChatRequest, speak: Any = speak, last: int = number) -> Any:
                    nonlocal stored
                    stored += 1
                    if stored == last:
                        scope.cancel()
                        await anyio.sleep(0.001)
                    return speak(request)

                house.instead[role] = cut
            await roll(config, run, tasks=[task])
        before = turns_of(run).get(1, [])
        cast = Cast(house, STORY)
        await roll(config, run, tasks=[task])
        assert turns_of(run)[1] == whole
        assert len(cast.prompts["policy"]) == sum(
            turn.role == "assistant" for turn in whole[len(before) :]
        )


async def test_who_was_asked_when_it_was_cut_off(
    house: Playhouse, lamp: Environment, task: Task, tmp_path: Path
) -> None:
    _, turns, _ = await play(house, task, lamp, tmp_path / "r.db", STORY)
    asked = [next_role(turns[:count]) for count in range(len(turns) + 1)]
    assert asked == (
        "user policy user tool user policy tool policy user tool tool user judge".split()
    )


async def test_a_transcript_tells_who_did_what(
    house: Playhouse, lamp: Environment, task: Task, tmp_path: Path
) -> None:
    run = tmp_path / "r.db"
    await play(house, task, lamp, run, STORY)
    shown = CliRunner().invoke(app, ["show", str(run), "1"]).stdout
    assert "user, on their own device · unseen by the agent" in shown
    assert "the user's device · unseen by the agent · a fact that was told before" in shown
    assert "→ switch_lamp(on=true)" in shown
    assert "± /lamp/on: false → true" in shown
    told = json.loads(CliRunner().invoke(app, ["show", str(run), "1", "--json"]).stdout)
    assert [turn["role"] for turn in told["turns"]] == ROLES


async def test_who_judges_again_sees_what_the_first_judge_saw(
    house: Playhouse, lamp: Environment, task: Task, tmp_path: Path
) -> None:
    cast, _, trajectory = await play(house, task, lamp, tmp_path / "r.db", STORY)
    seen = read_sections(json.loads(cast.prompts["judge"][0])["messages"][1]["content"])
    with Reader(tmp_path / "r.db") as reader:
        case = case_of(reader, trajectory, task, lamp, grounded=True)
    assert [message.as_wire() for message in case.history] == seen["history"]
    assert case.changes == seen["state"]["changes"]
    assert case.final_state == seen["state"]["final"]
    # What a check says of calls, it says of the agent's.
    assert [made.tool for made in case.made] == ["update_firmware"]


# --- what is learnt from


def records_of(number: int, turns: list[tuple[str, Message]]) -> list[Any]:
    trajectory = TrajectoryRecord(number, "lamp", "dark", TrajectoryStatus.KEPT, "train")
    return [
        trajectory,
        *(TurnRecord(number, at, role, m.as_wire()) for at, (role, m) in enumerate(turns)),
    ]


async def test_what_is_kept_of_a_rollout_is_what_the_policy_saw(
    house: Playhouse, lamp: Environment, task: Task, tmp_path: Path
) -> None:
    run = tmp_path / "r.db"
    Cast(house, STORY)
    await roll(config_at(house, environment=str(lamp.directory), keep=1.0), run, tasks=[task])
    played, kept = turns_of(run).values()
    assert any(turn.is_users_own for turn in played)
    assert not any(turn.is_users_own for turn in kept)
    # The user's thanks at the end are no part of an example.
    seen = messages_for_policy(played)[:-1]
    assert [turn.message for turn in kept] == [message.as_wire() for message in seen]


async def test_no_token_of_the_users_own_is_rendered_nor_has_loss(
    lamp: Environment, tmp_path: Path
) -> None:
    call = [ToolCall("user_2_0", FunctionCall("check_lamp", "{}"))]
    spoken = [
        ("user", Message("user", "My lamp is dark.")),
        ("assistant", Message("assistant", "Please look at your lamp.")),
        ("user", Message("user", "It is off.")),
        ("assistant", Message("assistant", "Bye.")),
    ]
    own = [
        ("user_call", Message("user", tool_calls=call)),
        ("user_tool", Message("tool", f'{{"label": "{SECRET}"}}', tool_call_id="user_2_0")),
    ]
    with_device = [*spoken[:2], *own, *spoken[2:]]
    run = tmp_path / "r.db"
    async with open_store(run) as store:
        await store.append(lamp.as_record(), *records_of(1, spoken), *records_of(2, with_device))
    renderer = Renderer(model_directory(TINY))
    plain, other = read_sft_samples([run], renderer, 4096).samples
    assert (plain.ids, plain.loss_mask) == (other.ids, other.loss_mask)
    assert SECRET not in renderer.decode(other.ids)
    export(run, tmp_path / "out")
    lines = (tmp_path / "out" / "train.jsonl").read_text().splitlines()
    assert len(lines) == 2
    one, two = (json.loads(line)["messages"] for line in lines)
    assert one == two
