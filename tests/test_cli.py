"""The `simia` command: results, `--json`, and errors in one sentence with exit code 2."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from simia_async.cli.main import app
from simia_async.cli.output import print_error, show

runner = CliRunner()


def simia(*arguments: str) -> Result:
    return runner.invoke(app, list(arguments))


def error_of(*arguments: str) -> str:
    """The one sentence of a command that must fail with exit code 2."""
    result = simia(*arguments)
    assert result.exit_code == 2, result.output
    [line] = [line for line in result.stderr.splitlines() if line]
    assert line.startswith("error: ")
    return line


def test_every_command_has_help() -> None:
    for command in (
        [],
        ["generate"],
        ["rollout"],
        ["show"],
        ["judge"],
        ["export"],
        ["report"],
        ["card"],
        ["eval"],
        ["demo"],
        ["train"],
        ["train", "sft"],
        ["train", "rl"],
        ["config"],
        ["config", "show"],
        ["config", "check"],
        ["config", "init"],
    ):
        result = simia(*command, "--help")
        assert result.exit_code == 0
        assert "Usage" in result.stdout


def test_generate_report_export(tmp_path: Path) -> None:
    run, out = tmp_path / "g.db", tmp_path / "out"
    generated = simia("generate", "-n", "5", "--run", str(run))
    assert generated.exit_code == 0, generated.output
    assert "kept       5" in generated.stdout
    assert "kept" in simia("report", str(run)).stdout
    exported = simia("export", str(run), "-o", str(out))
    assert exported.exit_code == 0
    lines = [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]
    assert len(lines) == 5
    assert [message["role"] for message in lines[0]["messages"]][:2] == ["system", "user"]
    assert lines[0]["tools"][0]["function"]["name"] == "get_user"


def test_json_is_json_and_nothing_else(tmp_path: Path) -> None:
    result = simia("generate", "-n", "2", "--run", str(tmp_path / "g.db"), "--json")
    assert json.loads(result.stdout)["kept"] == 2
    assert result.stderr == ""


def test_too_few_kept_is_an_exit_code(tmp_path: Path) -> None:
    seed = {
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
        ]
    }
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text(json.dumps(seed) + "\n")
    arguments = ["--seeds", str(seeds), "-n", "100", "--run", str(tmp_path / "g.db")]
    result = simia("generate", *arguments)
    assert result.exit_code == 1
    assert "by duplicate" in result.stdout
    assert re.search(r"kept +\d+ of 100 wanted", result.stdout)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["generate", "--env", "moon"], "'moon'"),
        (["generate", "--seeds", "/no/such.jsonl"], "/no/such.jsonl: No such file"),
        (["generate", "-n", "0"], "-n: found 0"),
        (["generate", "-n", "many"], "-n: found 'many'; it must be a whole number"),
        (["generate", "--config", "/no/such.toml"], "/no/such.toml: cannot be read: No such file"),
        (["generate", "--simulator-model", "gpt-5"], "also needs --base-url"),
        (["generate", "--base-url", "http://x/v1"], "also needs --simulator-model"),
        (["generate", "--declare-tool", "fly"], "--declare-tool fly"),
        (["generate", "--run", "/dev/null/x.db"], "/dev/null"),
        (["report", "/no/such.db"], "/no/such.db: no such run"),
        (["export", "/no/such.db", "-o", "x"], "/no/such.db: no such run"),
        (["train", "sft", "--data", "/no/such.db"], "/no/such.db: no such run"),
        (["train", "sft", "--data", "x", "--model", "/no/model"], "no model at '/no/model'"),
        (["train", "sft", "--data", "x", "--epochs", "0"], "--epochs: found 0"),
        (["train", "rl", "--env", "airline"], "'airline' has no train tasks"),
        (["train", "rl", "--adapter", "/no/adapter"], "/no/adapter: no adapter here"),
        (["train", "rl", "--group-size", "1"], "--group-size: found 1"),
        (["eval", "--adapter", "/no/adapter"], "/no/adapter: no adapter here"),
        (["eval", "--tasks", "0"], "--tasks: found 0"),
        (["eval", "--temperature", "nan"], "temperature: found nan"),
        (["eval", "--seed", "99999999999999999999"], "seed: found 99999999999999999999"),
        (["train", "sft", "--data", "x", "--lr", "-1"], "--lr: found -1"),
        (["train", "rl", "--lr", "nan"], "--lr: found nan"),
        (
            ["generate", "--simulator-model", "m", "--base-url", "http://u:hunter2@x/v1"],
            "--api-key-env",
        ),
        (["generate", "--simulator-model", "m", "--base-url", "ftp://x"], "expected http://"),
        (["eval", "--simulator-model", "m", "--base-url", "http://127.0.0.1:9/v1"], "127.0.0.1:9"),
    ],
)
def test_bad_input_gets_one_sentence(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in error_of(*arguments)
    assert list(tmp_path.rglob("*.db")) == [], "something was half-written"


def test_markup_in_what_a_server_says_is_shown_as_it_is(tmp_path: Path) -> None:
    assert "[bold]moon[/]" in error_of("generate", "--env", "[bold]moon[/]")


def test_control_characters_reach_no_terminal() -> None:
    said = error_of("report", "/no/\x1b[31mred\x07.db")
    assert "␛[31mred␇" in said
    assert "\x1b" not in said


def test_train_sft_needs_something_to_learn_from(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    data, empty = tmp_path / "g.db", tmp_path / "seeds.jsonl"
    empty.write_text(
        '{"messages": [{"role": "user", "content": "Hi"},'
        ' {"role": "assistant", "content": "Hello"}]}\n'
    )
    simia("generate", "--seeds", str(empty), "-n", "1", "--run", str(data))
    adapters = tmp_path / "adapters"
    arguments = ["--data", str(data), "--run", str(tmp_path / "s.db"), "--out", str(adapters)]
    (adapters / "v00001").mkdir(parents=True)
    assert "holds adapters already" in error_of("train", "sft", *arguments)


def test_an_export_never_overwrites_a_run(tmp_path: Path) -> None:
    run = tmp_path / "g.db"
    simia("generate", "-n", "2", "--run", str(run))
    before = run.read_bytes()
    assert "is a run database" in error_of("export", str(run), "-o", str(run))
    assert run.read_bytes() == before


def test_brackets_in_a_path_are_no_markup(tmp_path: Path) -> None:
    run = tmp_path / "n[/b]" / "g[red].db"
    result = simia("generate", "-n", "2", "--run", str(run))
    assert result.exit_code == 0, result.output
    assert "n[/b]/g[red].db" in result.stdout.replace("\n", "")
    assert simia("report", str(run)).exit_code == 0


def test_what_reads_like_an_emoji_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_error("cannot listen on 127.0.0.1:-1: no such port")
    show("run", "runs/:smile:.db")
    told = capsys.readouterr()
    assert told.err == "error: cannot listen on 127.0.0.1:-1: no such port\n"
    assert told.out.split() == ["run", "runs/:smile:.db"]
