"""Environments and seeds as files: what is right is read, what is wrong is named."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from simia_async.environments import Environment, Seed, load_environment, load_seeds
from simia_async.environments.environment import library_names
from simia_async.environments.seeds import (
    STOP_MARK,
    called_tools,
    declare_from_seeds,
    successful,
)
from simia_async.errors import UsageError
from simia_async.messages import ToolCall

DATA = Path(__file__).parents[2] / "shared" / "data"
TAU2_AIRLINE = DATA / "tau2" / "airline"
"""A directory as users have them: policy and tools, no `environment.toml`, and no `think`."""

TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The smallest sound environment."""
    folder = tmp_path / "library-desk"
    folder.mkdir()
    (folder / "policy.md").write_text("# Be kind\n\n")
    (folder / "tools.json").write_text(json.dumps([TOOL]))
    return folder


@pytest.fixture
def tau2_airline() -> Path:
    if not TAU2_AIRLINE.exists():
        pytest.skip(f"the real environment is not beside this checkout ({TAU2_AIRLINE})")
    return TAU2_AIRLINE


def calls_in(seeds: list[Seed]) -> list[ToolCall]:
    return [
        call for seed in seeds for message in seed.messages for call in message.tool_calls or ()
    ]


def misfits(environment: Environment, seeds: list[Seed]) -> list[str]:
    """Calls in the seeds that the environment's schemas would not have let through."""
    return [
        f"{call.function.name}: {problem.message}"
        for call in calls_in(seeds)
        for problem in environment.validators[call.function.name].iter_errors(
            json.loads(call.function.arguments)
        )
    ]


@pytest.mark.parametrize("name", library_names())
def test_every_environment_of_the_library_is_sound(name: str) -> None:
    environment = load_environment(name)
    assert environment.name == name
    assert environment.policy
    # An ending tool that nobody declares would never end anything.
    assert environment.ending_tools <= environment.validators.keys()


def test_a_directory_needs_no_more_than_policy_and_tools(directory: Path) -> None:
    environment = load_environment(str(directory))
    assert environment.name == "library-desk"
    assert environment.policy == "# Be kind"
    assert environment.tools == [TOOL]
    assert environment.ending_tools == frozenset()
    assert environment.seeds_file is None


def test_a_manifest_may_name_the_environment_and_its_ending_tools(directory: Path) -> None:
    (directory / "environment.toml").write_text('name = "desk"\nending_tools = ["look_up"]\n')
    (directory / "seeds.jsonl").touch()
    environment = load_environment(str(directory))
    assert (environment.name, environment.ending_tools) == ("desk", {"look_up"})
    assert environment.seeds_file == directory / "seeds.jsonl"


def test_a_tool_without_parameters_takes_any_object(directory: Path) -> None:
    (directory / "tools.json").write_text('[{"function": {"name": "ping"}}]')
    validator = load_environment(str(directory)).validators["ping"]
    assert validator.is_valid({"any": "thing"})
    assert not validator.is_valid([])


@pytest.mark.parametrize(
    ("file", "content", "complaint"),
    [
        ("policy.md", None, "No such file"),
        ("policy.md", b"\xff", "is not UTF-8 text"),
        ("policy.md", b" \n", "is empty; expected the policy"),
        ("tools.json", None, "No such file"),
        ("tools.json", b"[{", "expected a JSON list of tool schemas: line 1, column 3"),
        ("tools.json", b"[\n {},,\n]", "line 2, column 5"),
        ("tools.json", b"", "expected a JSON list of tool schemas: it is empty"),
        ("tools.json", b"[" * 100_000, "nested too deeply"),
        ("tools.json", b"[NaN]", "JSON is malformed: invalid character"),
        ("tools.json", b"\xff", "is not UTF-8 text"),
        (
            "tools.json",
            b'[{"function": {"name": "f"}}, {"function": {"name": "f"}}]',
            "tool 'f' is declared twice",
        ),
        (
            "tools.json",
            b'[{"function": {"name": "f", "parameters": []}}]',
            "tool 'f': `parameters` is no JSON Schema: expected an object",
        ),
        ("tools.json", b"{}", "expected a JSON list of tool schemas"),
        ("tools.json", b"[{}]", "tool 0: no `function.name`"),
        ("tools.json", b'[{"function": {"name": 3}}]', "tool 0: no `function.name`"),
        (
            "tools.json",
            b'[{"function": {"name": "f", "parameters": {"type": "strnig"}}}]',
            "tool 'f': `parameters` is no JSON Schema: 'strnig'",
        ),
        ("environment.toml", b"name = ", "Invalid value"),
        ("environment.toml", b"name = ' '", "`name` is empty"),
        ("environment.toml", b'ending_tools = ["fly"]', "`ending_tools` names 'fly'"),
        ("environment.toml", b"ending_tool = []", "unknown field `ending_tool`"),
        ("environment.toml", b"ending_tools = 1", r"Expected `array`.*ending_tools"),
    ],
)
def test_what_is_wrong_with_a_directory_names_the_file(
    directory: Path, file: str, content: bytes | None, complaint: str
) -> None:
    path = directory / file
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=complaint) as caught:
        load_environment(str(directory))
    assert str(caught.value).startswith(f"{path}: ")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'mini-retial'.*airline, .*mini-retail"):
        load_environment("mini-retial")


def test_the_hundred_real_conversations_are_read(airline_seeds: Path) -> None:
    seeds = load_seeds(airline_seeds)
    assert len(seeds) == 100
    assert sum(seed.reward == 0 for seed in seeds) == 69
    assert len(successful(seeds)) == 31
    counts = called_tools(seeds)
    assert (counts.total(), counts["think"]) == (621, 58)


def test_what_the_user_says_to_stop_is_trimmed_and_the_system_message_too(
    airline_seeds: Path,
) -> None:
    assert STOP_MARK in airline_seeds.read_text()
    for seed in load_seeds(airline_seeds):
        assert seed.messages[0].role == "user"
        assert seed.messages[-1].role in ("assistant", "tool")
        assert all(STOP_MARK not in (message.content or "") for message in seed.messages)


def line(**fields: Any) -> str:
    return json.dumps(fields)


HELLO = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi."}]


def test_both_shapes_may_stand_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_text(f"{line(messages=HELLO)}\n\n{line(traj=HELLO, reward=1.0, task_id=3)}\r\n")
    first, second = load_seeds(path)
    assert (first.id, first.reward) == ("some:1", None)
    assert (second.id, second.reward) == ("some:3", 1.0)
    assert first.messages == second.messages


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (line(messages=HELLO) + '\n{"messages"', "line 2: Input data was truncated"),
        (line(messages=[{"content": "Hello"}]), r"line 1: .*`role`.*messages"),
        (line(messages=[{"role": "robot"}]), r"line 1: Invalid enum value 'robot'"),
        (line(messages=HELLO[:1]), "seeds:1: no conversation in which an agent speaks"),
        (line(talk=HELLO), "line 1: no conversation; expected `messages`.*found `talk`"),
        ("\n \n", "holds no conversation"),
    ],
)
def test_what_is_wrong_with_seeds_names_file_and_line(
    tmp_path: Path, text: str, complaint: str
) -> None:
    path = tmp_path / "seeds.jsonl"
    path.write_text(text)
    with pytest.raises(UsageError, match=complaint) as caught:
        load_seeds(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_file_of_seeds_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.jsonl: No such file"):
        load_seeds(tmp_path / "none.jsonl")


def test_a_tool_that_only_the_seeds_know_is_named_with_the_way_out(
    tau2_airline: Path, airline_seeds: Path
) -> None:
    seeds = load_seeds(airline_seeds)
    environment = load_environment(str(tau2_airline))
    with pytest.raises(UsageError) as caught:
        declare_from_seeds(environment, seeds, (), airline_seeds)
    said = str(caught.value)
    assert said.startswith(f"{airline_seeds}: ")
    assert "`think` (58 calls)" in said
    assert "--declare-tool think" in said
    assert str(tau2_airline / "tools.json") in said


def test_a_schema_inferred_from_the_real_calls_accepts_them_all(
    tau2_airline: Path, airline_seeds: Path
) -> None:
    seeds = load_seeds(airline_seeds)
    environment = load_environment(str(tau2_airline))
    declared = declare_from_seeds(environment, seeds, ["think"], airline_seeds)
    assert declared.validators.keys() - environment.validators.keys() == {"think"}
    thoughts = [call for call in calls_in(seeds) if call.function.name == "think"]
    validator = declared.validators["think"]
    assert all(validator.is_valid(json.loads(call.function.arguments)) for call in thoughts)
    assert not validator.is_valid({"thought": 1})


def test_a_tool_that_is_declared_already_keeps_its_schema(airline_seeds: Path) -> None:
    environment = load_environment("airline")
    seeds = load_seeds(airline_seeds)
    assert declare_from_seeds(environment, seeds, ["think"], airline_seeds) == environment


def test_declaring_a_tool_that_no_seed_calls_is_a_slip(airline_seeds: Path) -> None:
    with pytest.raises(UsageError, match="--declare-tool thnik: no seed in"):
        declare_from_seeds(
            load_environment("airline"), load_seeds(airline_seeds), ["thnik"], airline_seeds
        )


def test_the_airline_of_the_library_accepts_every_real_call(airline_seeds: Path) -> None:
    environment, seeds = load_environment("airline"), load_seeds(airline_seeds)
    assert called_tools(seeds).keys() <= environment.validators.keys()
    assert misfits(environment, seeds) == []


def test_mini_retail_accepts_every_call_of_its_own_seeds() -> None:
    environment = load_environment("mini-retail")
    assert environment.seeds_file is not None
    assert misfits(environment, load_seeds(environment.seeds_file)) == []


def test_the_few_shot_dialogues_are_incomplete_and_say_so() -> None:
    airline, retail = (few_shot(name) for name in ("airline", "retail"))
    assert (len(airline), len(retail)) == (19, 69)
    untold = [
        message
        for seed in airline + retail
        for message in seed.messages
        if message.role == "assistant" and message.content is None
    ]
    assert len(untold) == 538
    # In one of them the agent calls nothing, so nothing of it is missing.
    assert [seed.id for seed in airline + retail if not seed.incomplete] == ["airline_few_shot:10"]
    assert retail[0].incomplete == "4 of its tool calls are not told (`assistant: None`)"


def few_shot(name: str) -> list[Seed]:
    path = DATA / "tau_bench" / f"{name}_few_shot.jsonl"
    if not path.exists():
        pytest.skip(f"the real conversations are not beside this checkout ({path})")
    return load_seeds(path)


SHAREGPT = {
    "conversations": [
        {"from": "human", "value": "Where is my order?"},
        {"from": "function_call", "value": '{"name": "track", "arguments": {"order_id": "W1"}}'},
        {"from": "observation", "value": '{"status": "shipped"}'},
        {"from": "gpt", "value": "It is on its way."},
        {"from": "human", "value": "Thanks"},
    ],
    "tools": json.dumps([{"name": "track", "parameters": {"required": ["order_id"]}}]),
    "system": "Be kind.",
}
"""The shape of APIGen-MT-5k."""


def test_sharegpt_seeds_lose_system_message_and_last_word_as_others_do(tmp_path: Path) -> None:
    path = tmp_path / "apigen.json"
    path.write_text(json.dumps([SHAREGPT]))
    [seed] = load_seeds(path)
    assert [message.role for message in seed.messages] == ["user", "assistant", "tool", "assistant"]
    assert called_tools([seed]) == {"track": 1}


def test_a_seed_keeps_its_own_id_and_no_two_have_the_same(tmp_path: Path) -> None:
    path = tmp_path / "twice.jsonl"
    path.write_text(f"{line(messages=HELLO, id='a')}\n" * 2 + line(messages=HELLO))
    assert [seed.id for seed in load_seeds(path)] == ["a", "a~2", "twice:3"]


def test_a_tool_that_the_seeds_file_declares_is_taken_as_it_does(
    directory: Path, tmp_path: Path
) -> None:
    path = tmp_path / "apigen.jsonl"
    path.write_text(json.dumps(SHAREGPT))
    environment, seeds = load_environment(str(directory)), load_seeds(path)
    said = r"`track` \(1 calls\).*--declare-tool track to take them as apigen.jsonl declares them"
    with pytest.raises(UsageError, match=said):
        declare_from_seeds(environment, seeds, [], path)
    declared = declare_from_seeds(environment, seeds, ["track"], path)
    assert declared.tools[1]["function"]["parameters"] == {"required": ["order_id"]}


def test_a_declaration_in_the_seeds_that_is_no_schema_is_refused(
    directory: Path, tmp_path: Path
) -> None:
    path = tmp_path / "apigen.jsonl"
    tools = json.dumps([{"name": "track", "parameters": {"type": "strnig"}}])
    path.write_text(json.dumps(SHAREGPT | {"tools": tools}))
    environment, seeds = load_environment(str(directory)), load_seeds(path)
    with pytest.raises(UsageError, match=r"apigen:1: `tools`: tool 'track'.*no JSON Schema"):
        declare_from_seeds(environment, seeds, ["track"], path)


def test_five_thousand_seeds_take_seconds(tmp_path: Path, airline_seeds: Path) -> None:
    lines = [text + "\n" for text in airline_seeds.read_text().splitlines()]
    path = tmp_path / "many.jsonl"
    path.write_text("".join(lines * 50))
    before = time.process_time()
    assert len(load_seeds(path)) == 5000
    assert time.process_time() - before < 10
