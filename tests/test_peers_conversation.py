"""What the peers are measured with: the prompts of our own simulator, and a mock that refuses."""

from pathlib import Path

import pytest

from benchmarks.peers import conversation
from benchmarks.peers.material import write_material
from benchmarks.rollout_tasks import ENVIRONMENT, task_of
from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.simulation.prompts import read_sections, words_of

NAME = "C-00003-8"
HISTORY = [
    Message("user", "I am customer <C-00003-8>."),
    Message("assistant", None, [ToolCall("call_0", FunctionCall("list_all_airports", "{}"))]),
]


@pytest.fixture
def material(tmp_path: Path) -> conversation.Material:
    path = tmp_path / "material.json"
    write_material(path)
    return conversation.Material(path)


def test_prompts_have_our_words_and_sections(material: conversation.Material) -> None:
    history = [message.as_wire() for message in HISTORY]
    task = task_of(NAME)
    scenario = {"instructions": task.scenario.instructions, "utterances": []}
    prompts = {
        "user": material.user_prompt(NAME, history),
        "tool": material.tool_prompt(history),
        "judge": material.judge_prompt(NAME, history),
    }
    for role, (system, asked) in prompts.items():
        assert system["content"] == words_of(role, ENVIRONMENT.prompts)  # type: ignore[arg-type]
        sections = read_sections(asked["content"])
        assert sections["environment"]["role"] == role
        assert sections["history"] == history
        assert role == "user" or sections["tools"] == ENVIRONMENT.tools
        assert role == "tool" or sections["task"]["scenario"] == scenario


def test_what_the_world_says_is_read() -> None:
    assert conversation.read_user('{"message": "Hi.", "done": true}') == ("Hi.", True)
    assert conversation.read_observation('{"observation": {"a": 1}, "ops": []}') == '{"a":1}'
    assert conversation.read_reward('{"reward": 1.0}') == 1


def test_the_mock_refuses_the_same_to_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(conversation.__file__).parents[1])
    from plain_server import Refused  # type: ignore[import-not-found]
    from rollouts_mock import World  # type: ignore[import-not-found]

    def served(world: World, body: bytes) -> bool:
        try:
            world.answer(body)
        except Refused:
            return False
        return True

    def ask_all(world: World) -> dict[str, float]:
        for number in range(200):
            body = f'{{"messages":[{{"role":"user","content":"C-{number:05}-2"}}]}}'.encode()
            while not served(world, body):
                pass
        return dict(world.summary())

    world = World("none", 0.2)
    first = ask_all(world)
    assert (first["requests"], first["repeated"]) == (200, 0)
    assert 25 < first["refused"] < 85
    assert ask_all(world) == first


def test_a_warm_up_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(conversation.__file__).parents[1])
    from rollouts_mock import World  # type: ignore[import-not-found]

    world = World("fixed:5", 0.5)
    _, latency_s = world.answer(b'{"messages":[{"role":"user","content":"C-99999-2"}]}')
    world.answer(b'{"messages":[]}')
    seen = world.summary()
    assert (latency_s, seen["requests"], seen["trials"], seen["ideal_s"]) == (0, 0, 2, 0)
