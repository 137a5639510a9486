"""`simia env init`, `check` and `list`."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from simia_async.cli.env_prompts import lacks
from simia_async.cli.main import app
from simia_async.environments.environment import LIBRARY, library_names
from simia_async.environments.starting import TEMPLATE
from simia_async.simulation.prompts import WORDS

runner = CliRunner()

BARE = ["policy.md", "tools.json"]


def simia(*arguments: str | Path) -> Result:
    return runner.invoke(app, ["env", *map(str, arguments)])


def errors_of(*arguments: str | Path) -> list[str]:
    """The sentences of a command that must fail with exit code 2."""
    result = simia(*arguments)
    assert result.exit_code == 2, result.output
    lines = result.stderr.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    return [line.removeprefix("error: ") for line in lines]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The example, ready to be spoilt."""
    assert simia("init", tmp_path / "mine").exit_code == 0
    return tmp_path / "mine"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_command_has_help() -> None:
    for command in ([], ["init"], ["check"], ["list"]):
        result = simia(*command, "--help")
        assert result.exit_code == 0
        assert "Usage" in result.stdout


def test_what_init_writes_passes_the_check_without_a_warning(directory: Path) -> None:
    assert names(directory) == names(TEMPLATE)
    checked = simia("check", directory)
    assert checked.exit_code == 0, checked.output
    assert "sound      lending-desk" in checked.stdout
    assert "seeds      3 usable" in checked.stdout
    assert "tasks      2 train, 1 heldout" in checked.stdout
    assert "warning" not in checked.stdout


@pytest.mark.parametrize("name", library_names())
def test_an_environment_of_the_library_can_be_copied(name: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert simia("init", empty, "--from", name).exit_code == 0
    assert names(empty) == names(LIBRARY / name)
    assert simia("check", empty).exit_code == 0


def test_a_copy_can_be_written_to(tmp_path: Path) -> None:
    assert simia("init", tmp_path / "deep" / "er", "--from", "retail").exit_code == 0
    assert all(path.stat().st_mode & 0o200 for path in (tmp_path / "deep" / "er").iterdir())


def test_init_touches_nothing_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert errors_of("init", tmp_path) == [
        f"{tmp_path}: is not empty; name a directory that is empty or not there yet"
    ]
    for place in ("notes.txt", "notes.txt/mine"):
        [sentence] = errors_of("init", tmp_path / place)
        assert sentence.startswith(f"{tmp_path / 'notes.txt'}: is a file")
    assert names(tmp_path) == ["notes.txt"]


def test_init_from_an_unknown_environment_lists_the_known_ones(tmp_path: Path) -> None:
    [sentence] = errors_of("init", tmp_path / "mine", "--from", "retial")
    assert sentence.startswith("--from retial: ")
    assert "mini-retail, mini-telecom, office, retail" in sentence
    assert names(tmp_path) == []


def test_check_tells_all_that_is_wrong_at_once(directory: Path) -> None:
    (directory / "environment.toml").write_text("nmae = 'desk'")
    (directory / "policy.md").unlink()
    (directory / "state.json").write_text('{"members": {}, "books": {}, "loans": []}')
    (directory / "seeds.jsonl").write_text('{"messages": 3}\n')
    lines = (directory / "tasks.jsonl").read_text().splitlines()
    lines[0] = lines[0].replace('"train"', '"tarin"')
    lines[2] = lines[2][:-1]
    (directory / "tasks.jsonl").write_text("\n".join(lines))
    (directory / "prompts").mkdir()
    (directory / "prompts" / "jugde.md").write_text("Judge.")
    found = errors_of("check", directory)
    places = [sentence.removeprefix(f"{directory}/").split(": ")[0] for sentence in found]
    assert places == [
        "environment.toml",
        "state.json",
        "policy.md",
        "prompts/jugde.md",
        "seeds.jsonl",
        "tasks.jsonl",
        "tasks.jsonl",
    ]
    assert "unknown field `nmae`" in found[0]
    assert "/loans: [] is not of type 'object'" in found[1]
    assert "line 1: `split`: Invalid enum value 'tarin'" in found[5]
    assert "line 3: " in found[6]


def test_every_unsound_tool_is_told(directory: Path) -> None:
    tools = json.loads((directory / "tools.json").read_text())
    tools[1]["function"]["parameters"]["type"] = "objekt"
    tools[2] = tools[3]
    (directory / "tools.json").write_text(json.dumps(tools))
    found = [each for each in errors_of("check", directory) if "tools.json: " in each]
    assert len(found) == 2
    assert "tool 'find_book': `parameters` is no JSON Schema" in found[0]
    assert "tool 'reserve_book' is declared twice" in found[1]


def test_check_warns_of_what_is_often_not_meant(directory: Path) -> None:
    tools = json.loads((directory / "tools.json").read_text())
    idle = {"type": "function", "function": {"name": "dust_shelf"}}
    kept = [tool for tool in tools if tool["function"]["name"] != "find_book"]
    (directory / "tools.json").write_text(json.dumps([*kept, idle]))
    manifest = (directory / "environment.toml").read_text()
    assert '[tools.find_book]\neffect = "read"\n' in manifest
    (directory / "environment.toml").write_text(
        manifest.replace('[tools.find_book]\neffect = "read"\n', "")
    )
    bare = json.loads((directory / "tasks.jsonl").read_text().splitlines()[2])
    (directory / "tasks.jsonl").write_text(json.dumps({**bare, "check": None}))
    (directory / "prompts").mkdir()
    (directory / "prompts" / "user.md").write_text("Use <tools> and answer with a `message`.")
    result = simia("check", directory, "--json")
    assert result.exit_code == 0
    printed: dict[str, Any] = json.loads(result.stdout)
    assert printed["problems"] == []
    assert [warning.removeprefix(f"{directory}/") for warning in printed["warnings"]] == [
        "environment.toml: does not say what these tools do to the state, so that the simulator's "
        "answers tell: dust_shelf",
        "seeds.jsonl: calls tools that are not declared: find_book (1 calls)",
        "seeds.jsonl: no seed calls dust_shelf",
        "tasks.jsonl: neither `check` nor `rubric`, so that the judge has only the goal: "
        "reserve-small-boats",
        "prompts/user.md: does not ask for `done` in the JSON answer",
        "prompts/user.md: speaks of <tools>, which the role does not get "
        "(<environment>, <task>, <history>)",
    ]
    plain = simia("check", directory)
    assert plain.stdout.count("warning    ") == 6
    assert "prompts    user" in plain.stdout


def test_check_tells_every_effect_that_is_wrong(directory: Path) -> None:
    with (directory / "environment.toml").open("a") as manifest:
        manifest.write('[tools.dust_shelf]\neffect = "read"\nreturns = "/shelves/{id}"\n')
    text = (directory / "environment.toml").read_text()
    (directory / "environment.toml").write_text(text.replace("{loan_id}", "{id}"))
    assert errors_of("check", directory) == [
        f"{directory}/environment.toml: `tools.renew_loan.changes`: '/loans/{{id}}/due' names the "
        "argument 'id', which the tool does not take (loan_id)",
        f"{directory}/environment.toml: `tools.renew_loan.changes`: '/loans/{{id}}/renewals' names "
        "the argument 'id', which the tool does not take (loan_id)",
        f"{directory}/environment.toml: `tools.dust_shelf`: tools.json declares no tool "
        "'dust_shelf'",
    ]


@pytest.mark.parametrize("role", WORDS)
def test_the_prompts_that_ship_lack_nothing(role: str) -> None:
    assert lacks(role, WORDS[role]) == []  # type: ignore[index]


def test_json_holds_problems_too_and_the_exit_code_stays(directory: Path) -> None:
    (directory / "policy.md").write_text("")
    result = simia("check", directory, "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["problems"] == [
        f"{directory}/policy.md: is empty; expected the policy that the agent must follow"
    ]


def test_seeds_are_counted_by_whether_they_can_be_used(directory: Path) -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    lines = [{"messages": turns}, {"messages": turns, "reward": 0}]
    lines.append({"messages": turns, "incomplete": "the calls"})
    (directory / "seeds.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    printed = json.loads(simia("check", directory, "--json").stdout)
    assert printed["seeds"] == {"usable": 1, "failed": 1, "incomplete": 1}


def test_check_of_what_is_not_there_names_the_library(tmp_path: Path) -> None:
    [sentence] = errors_of("check", tmp_path / "none")
    assert f"no environment '{tmp_path}/none'" in sentence
    assert "mini-retail, mini-telecom, office, retail" in sentence


def test_list_has_a_line_for_each() -> None:
    lines = simia("list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == library_names()
    assert any("Support of an online shop" in line for line in lines)
    printed = json.loads(simia("list", "--json").stdout)
    assert [each["name"] for each in printed] == library_names()
    assert all(each["description"] and each["tools"] for each in printed)
