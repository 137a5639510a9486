"""`simia eval tau2`: a stand-in for τ²-bench against a policy's endpoint, and its result files."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from simia_store import Reader, RunStatus, TrajectoryStatus
from typer.testing import CliRunner

from simia_async.cli.main import app
from simia_async.config import Tau2Config
from simia_async.errors import ChildFailed, ConfigError, UsageError
from simia_async.formats.reading import read_conversations
from simia_async.formats.tau2 import conversations_of, read_results
from simia_async.meters.labels import read_labelled
from simia_async.runs.card import run_card
from simia_async.runs.tau2 import import_results, run_tau2
from simia_async.runs.tau2_command import find_tau2, run_environment, run_words
from tests.conftest import Served
from tests.proc import is_there

HERE = Path(__file__).parent
runner = CliRunner()


@pytest.fixture
def tau2(tmp_path: Path) -> str:
    """The stand-in as an executable."""
    return executable(
        tmp_path / "bin" / "tau2", f'exec {sys.executable} {HERE}/standin_tau2.py "$@"'
    )


def executable(path: Path, line: str) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    return str(path)


def answer(content: str | None, *calls: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    tool_calls = [
        {"id": f"c{n}", "type": "function", "function": {"name": name, "arguments": json.dumps(a)}}
        for n, (name, a) in enumerate(calls)
    ]
    message = {"role": "assistant", "content": content, "tool_calls": tool_calls or None}
    return {
        "id": "a",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }


CANCEL = answer(None, ("cancel_pending_order", {"order_id": "#W1"}))
DONE = answer("It is done.")


def policy(choose: Callable[[list[dict[str, Any]]], dict[str, Any]]) -> Any:
    """A handler that answers as `choose` says, given the conversation so far."""

    async def handle(request: web.Request) -> web.Response:
        return web.json_response(choose((await request.json())["messages"]))

    return handle


def careful(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Solves both tasks."""
    wish = next(m["content"] for m in messages if m["role"] == "user")
    return CANCEL if "cancelled" in wish and messages[-1]["role"] == "user" else DONE


def rash(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Cancels whatever is asked."""
    return CANCEL if messages[-1]["role"] == "user" else DONE


async def play(config: Tau2Config, run: Path) -> Any:
    return await run_tau2(config, run, report=lambda _: None)


async def config_of(start: Served, tau2: str, choose: Any = careful, **more: Any) -> Tau2Config:
    endpoint = await start(policy(choose))
    return Tau2Config(
        command=tau2, policy="m", policy_url=endpoint.base_url, **{"trials": 2, **more}
    )


async def test_what_tau2_bench_found_is_a_run_of_ours(
    start: Served, tau2: str, tmp_path: Path
) -> None:
    config = await config_of(start, tau2, user="gpt-4.1", split="test")
    result = await play(config, tmp_path / "t.db")
    assert (result.domain, result.tasks, result.simulations, result.not_run) == ("retail", 2, 4, 0)
    assert (result.policy, result.user) == ("hosted_vllm/m", "gpt-4.1")
    assert [each.all.value for each in result.pass_k if each.all] == [1.0, 1.0]
    assert result.ended == {"user_stop": 4}
    with Reader(tmp_path / "t.db") as reader:
        run = reader.run()
        assert run is not None
        assert (run.kind, run.status) == ("tau2", RunStatus.DONE)
        assert reader.environment().policy == "Be honest."
        first, *_ = trajectories = list(reader.trajectories())
        assert [t.reward for t in trajectories] == [1.0] * 4
        assert {t.status for t in trajectories} == {TrajectoryStatus.SCORED}
        assert first.detail["solved"]
        assert [turn.role for turn in reader.turns(first.id)] == [
            *("assistant", "user", "assistant", "tool", "assistant", "user")
        ]
        judged = next(iter(reader.judgements(scoring_id=1)))
        assert judged.detail["checks"] == {"database": True}
        assert judged.detail["criteria"] == {"action_1 cancel_pending_order": True}
        assert [group.rewards for group in reader.groups(0)] == [[1.0, 1.0], [1.0, 1.0]]
        assert {(u.role, u.tokens_out) for u in reader.usage()} == {("policy", 30), ("user", 0)}
        assert reader.metrics("eval/pass^2")[0].value == 1.0
    shown = runner.invoke(app, ["show", str(tmp_path / "t.db"), str(first.id)])
    assert "scoring    1 (τ²-bench, τ²-bench's evaluator): reward 1" in shown.stdout
    assert '→ cancel_pending_order(order_id="#W1")' in shown.stdout


async def test_pass_k_is_counted_over_tasks_that_need_action_and_those_that_do_not(
    start: Served, tau2: str, tmp_path: Path
) -> None:
    result = await play(await config_of(start, tau2, rash), tmp_path / "t.db")
    for each in result.pass_k:
        assert each.needs_action.value == 1.0
        assert each.no_action.value == 0.0
        assert each.all.value == 0.5


async def test_a_run_that_was_cut_off_goes_on_and_stores_nothing_twice(
    start: Served, tau2: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, run = await config_of(start, tau2), tmp_path / "t.db"
    monkeypatch.setenv("STANDIN_DIE_AFTER", "3")
    with pytest.raises(ChildFailed, match=r"code 1; its last words: the stand-in dies.*go on"):
        await play(config, run)
    with Reader(run) as reader:
        stopped = reader.run()
        assert stopped is not None
        assert stopped.status == RunStatus.FAILED
    asked = len(start.bodies)
    monkeypatch.delenv("STANDIN_DIE_AFTER")
    result = await play(config, run)
    assert result.simulations == 4
    assert len(start.bodies) - asked == 1  # Of the last simulation alone.
    with Reader(run) as reader:
        assert reader.row_counts()["trajectories"] == 4
        assert reader.row_counts()["judgements"] == 4
    other = Tau2Config(command=tau2, policy="m", policy_url=config.policy_url, trials=3)
    with pytest.raises(UsageError, match="holds a run of kind tau2 already, with other settings"):
        await play(other, run)


async def test_what_could_not_be_run_counts_as_nothing(
    start: Served, tau2: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDIN_BROKEN", "0:1")
    result = await play(await config_of(start, tau2), tmp_path / "t.db")
    assert (result.simulations, result.not_run, len(result.pass_k)) == (3, 1, 1)
    with Reader(tmp_path / "t.db") as reader:
        (broken,) = (t for t in reader.trajectories() if t.reward is None)
        assert broken.status == TrajectoryStatus.UNSCORED
        assert broken.boundary == "simulator"
        assert broken.reason == "τ²-bench ended it: infrastructure_error"
    page = run_card(tmp_path / "t.db")
    [row] = [row for row in page.splitlines() if "pass^" in row and row.startswith("| m ")]
    assert row.count(" 1.00 (") == 3, "as the result has it"
    assert "count as not solved" not in page


async def test_keys_reach_the_endpoint_and_are_stored_nowhere(
    start: Served, tau2: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_POLICY_KEY", "hush-policy")
    config = await config_of(start, tau2, trials=1, policy_api_key_env="MY_POLICY_KEY")
    await play(config, tmp_path / "t.db")
    assert {h["Authorization"] for h in start.headers} == {"Bearer hush-policy"}
    for name in ("t.db", "t.tau2.log", "t.tau2/results.json"):
        assert b"hush-policy" not in (tmp_path / name).read_bytes()
    monkeypatch.delenv("MY_POLICY_KEY")
    with pytest.raises(ConfigError, match="variable MY_POLICY_KEY holds no key"):
        run_environment(config)


async def test_a_result_file_alone_is_taken_in(start: Served, tau2: str, tmp_path: Path) -> None:
    played = await play(await config_of(start, tau2, rash), tmp_path / "t.db")
    taken = await import_results(Tau2Config(), tmp_path / "again.db", played.results)
    assert taken.pass_k == played.pass_k
    with Reader(tmp_path / "again.db") as reader:
        config = reader.run().config
    told = {name: config[name] for name in ("domain", "policy", "policy_args", "trials")}
    assert told == {
        "domain": "retail",
        "policy": "hosted_vllm/m",
        "policy_args": '{"temperature":0.0}',
        "trials": 2,
    }, "what the file tells, not our defaults"
    assert "| hosted\\_vllm/m | greedy | pass^2 |" in run_card(tmp_path / "again.db")
    # It is a file of conversations too, such as for seeds.
    first, *others = read_conversations(played.results)
    assert [first.reward, *(c.reward for c in others)] == [1.0, 0.0, 1.0, 0.0]
    assert (first.id, first.messages[0].role) == ("0-0", "system")
    labelled, _ = read_labelled(played.results)
    assert [each.task for each in labelled] == ["0", "1", "0", "1"], "trials of one are alike"
    # As voice runs have it, and as `tau2 convert-results` makes it: one file a simulation.
    data = json.loads(played.results.read_text())
    apart = tmp_path / "apart"
    (apart / "simulations").mkdir(parents=True)
    for each in data.pop("simulations"):
        (apart / "simulations" / f"{each['id']}.json").write_text(json.dumps(each))
    (apart / "results.json").write_text(json.dumps(data))
    assert len(read_results(apart).simulations) == 4


async def test_what_is_taken_in_again_is_written_down_once(
    start: Served, tau2: str, tmp_path: Path
) -> None:
    played = await play(await config_of(start, tau2), tmp_path / "t.db")
    for _ in range(2):
        await import_results(Tau2Config(), tmp_path / "again.db", played.results)
    with Reader(tmp_path / "again.db") as reader:
        assert reader.row_counts()["trajectories"] == 4
        assert {n: len(reader.metrics(n)) for n in reader.metric_names()} == {
            "eval/pass^1": 1,
            "eval/pass^2": 1,
        }


async def test_results_of_another_run_are_not_mixed_in(
    start: Served, tau2: str, tmp_path: Path
) -> None:
    config = await config_of(start, tau2, trials=1)
    one, other = await play(config, tmp_path / "a.db"), await play(config, tmp_path / "b.db")
    run = tmp_path / "t.db"
    await import_results(Tau2Config(), run, one.results)
    with pytest.raises(UsageError, match=r"b\.tau2.*holds other simulations than .*t\.db.*--run"):
        await import_results(Tau2Config(), run, other.results)
    with Reader(run) as reader:
        assert reader.row_counts()["trajectories"] == 2
        assert reader.run().status == RunStatus.DONE, "as it was"


async def test_a_simulation_of_an_unknown_task_is_named_and_nothing_is_written(
    start: Served, tau2: str, tmp_path: Path
) -> None:
    played = await play(await config_of(start, tau2, trials=1), tmp_path / "t.db")
    data = json.loads(played.results.read_text())
    data["tasks"] = data["tasks"][:1]
    (tmp_path / "r.json").write_text(json.dumps(data))
    run = tmp_path / "again.db"
    with pytest.raises(UsageError, match=r"r\.json: has simulations of task '1', which is not in"):
        await import_results(Tau2Config(), run, tmp_path / "r.json")
    assert not run.exists()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("{", "is no result file of τ²-bench: Input data was truncated"),
        ("{}", "is no result file of τ²-bench: Object missing required field `info`"),
        ('{"info": {}, "tasks": []}', "missing required field `environment_info`"),
    ],
)
async def test_what_is_no_result_file_is_named_and_nothing_is_written(
    data: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "r.json").write_text(data)
    with pytest.raises(UsageError, match=said) as error:
        await import_results(Tau2Config(), tmp_path / "t.db", tmp_path / "r.json")
    assert str(error.value).startswith(str(tmp_path / "r.json"))
    assert not (tmp_path / "t.db").exists()
    with pytest.raises(UsageError, match="No such file"):
        read_results(tmp_path / "none.json")


def test_calls_on_the_users_own_device_are_not_what_the_agent_saw(tmp_path: Path) -> None:
    own = {"id": "u1", "name": "toggle_airplane_mode", "arguments": {}, "requestor": "user"}
    messages = [
        {"role": "user", "content": "No signal."},
        {"role": "user", "content": None, "tool_calls": [own]},
        {"role": "tool", "id": "u1", "content": "off", "requestor": "user"},
        {"role": "assistant", "content": "Good."},
    ]
    side = {"implementation": "x", "llm": "m"}
    info = {
        "environment_info": {"domain_name": "telecom", "policy": "p"},
        "agent_info": side,
        "user_info": side,
    }
    simulation = {
        "id": "s",
        "task_id": 0,
        "termination_reason": "user_stop",
        "reward_info": {"reward": 1.0},
        "messages": messages,
    }
    (tmp_path / "r.json").write_text(
        json.dumps({"info": info, "tasks": [], "simulations": [simulation]})
    )
    ((conversation, _),) = conversations_of(read_results(tmp_path / "r.json"))
    assert [m.content for m in conversation.messages] == ["p", "No signal.", "Good."]


async def test_another_package_of_the_name_is_told_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    physics = executable(tmp_path / "bin" / "tau2", 'echo "usage: tau2 [--field]"')
    with pytest.raises(UsageError, match=r"is not τ²-bench .*\(git clone .* not the package"):
        await find_tau2(physics)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(UsageError, match=r"^tau2: there is no such executable on the path; inst"):
        await find_tau2(None)
    (tmp_path / "site" / "tau2").mkdir(parents=True)
    (tmp_path / "site" / "tau2" / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(UsageError, match=r"site/tau2: is another package called tau2; install"):
        await find_tau2(None)
    with pytest.raises(UsageError, match=r"^--tau2 nowhere: there is no such executable"):
        await find_tau2("nowhere")


async def test_the_command_line_is_that_of_tau2_bench(tau2: str) -> None:
    command = await find_tau2(tau2)
    config = Tau2Config(
        policy_url="http://h/v1",
        user="u",
        user_url="http://other/v1",
        tasks=3,
        task_ids=("4", "7"),
        split="test",
        policy_args='{"max_tokens": 64}',
    )
    words = run_words(command, config, "http://h/v1", "m", Path("/r/t.tau2"))
    given = dict(zip(words[2::2], words[3::2], strict=False))
    assert words[:4] == [tau2, "run", "--domain", "retail"]
    assert given["--agent-llm"] == "hosted_vllm/m"
    assert json.loads(given["--agent-llm-args"]) == {"max_tokens": 64, "api_base": "http://h/v1"}
    assert given["--user-llm"] == "litellm_proxy/u"
    assert json.loads(given["--user-llm-args"])["api_base"] == "http://other/v1"
    assert (given["--num-trials"], given["--num-tasks"]) == ("4", "3")
    assert words[-4:] == ["--auto-resume", "--task-ids", "4", "7"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--user-url", "http://h/v1"], "--user-url: also needs --user: the model's name there"),
        (["--user-api-key-env", "K"], "--user-api-key-env: also needs --user-url"),
        (["--policy-api-key-env", "K"], "--policy-api-key-env: also needs --policy-url"),
        (["--policy-args", "[]"], "--policy-args: expected a JSON object of litellm's arguments"),
        (["--user-args", '{"api_key": "x"}'], "--user-args: holds a key, which would be stored"),
        (["--policy", "nowhere"], "no model at 'nowhere'"),
        (["-k", "0"], "-k: found 0"),
    ],
)
def test_settings_that_contradict_each_other_are_told_before_anything_is_started(
    flags: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tau2: str
) -> None:
    monkeypatch.setenv("K", "key")
    run = tmp_path / "t.db"
    result = runner.invoke(app, ["eval", "tau2", "--run", str(run), "--tau2", tau2, *flags])
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ")
    assert said in result.stderr
    assert not run.exists()


@pytest.mark.soak
def test_the_command_with_a_policy_of_its_own(tau2: str, tmp_path: Path) -> None:
    """The tiny base knows nothing of this shop; that it is asked and graded is the point."""
    run = tmp_path / "t.db"
    words = [sys.executable, "-c", "from simia_async.cli.main import main; main()", "eval", "tau2"]
    flags = ["--run", run, "--tau2", tau2, "-k", "1", "--max-steps", "1", "--json"]
    more = ["--policy-args", '{"temperature": 0, "max_tokens": 8}']
    done = subprocess.run(
        [*words, *map(str, flags), *more], capture_output=True, env=os.environ, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    result = json.loads(done.stdout)
    assert (result["simulations"], result["policy"]) == (2, "hosted_vllm/policy@0")
    shown = runner.invoke(app, ["runs", "show", str(run)])
    assert "kind       tau2" in shown.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_tau2_bench_too(tmp_path: Path, number: signal.Signals) -> None:
    told, run = tmp_path / "pid", tmp_path / "t.db"
    slow = executable(
        tmp_path / "bin" / "tau2",
        f'if [ "$2" = --help ]; then echo --agent-llm-args; exit; fi\n'
        f"echo $$ > {told}.new; mv {told}.new {told}\nexec sleep 100",
    )
    words = [sys.executable, "-c", "from simia_async.cli.main import main; main()", "eval", "tau2"]
    flags = ["--policy-url", "http://127.0.0.1:9/v1", "--policy", "m", "--tau2", slow]
    with subprocess.Popen([*words, *flags, "--run", str(run)], stderr=subprocess.PIPE) as simia:
        while not told.exists():
            assert simia.poll() is None, simia.stderr and simia.stderr.read()
            time.sleep(0.05)
        simia.send_signal(number)
        assert simia.wait(timeout=60) == (130 if number == signal.SIGTERM else -number)
        assert simia.stderr is not None
        assert b"Traceback" not in simia.stderr.read()
    until = time.monotonic() + 30
    while is_there(int(told.read_text())):
        assert time.monotonic() < until
        time.sleep(0.05)
    with Reader(run) as reader:
        stopped = reader.run()
        assert stopped is not None
        # Nobody was left to write down the end of one that was killed.
        assert (stopped.status == RunStatus.STOPPED) == (number == signal.SIGTERM)


def test_a_run_of_another_kind_is_not_written_over(tmp_path: Path, tau2: str) -> None:
    (tmp_path / "t.db").write_bytes(b"not a database at all")
    result = runner.invoke(app, ["eval", "tau2", "--run", str(tmp_path / "t.db"), "--tau2", tau2])
    assert result.exit_code == 2
    assert (tmp_path / "t.db").read_bytes() == b"not a database at all"
