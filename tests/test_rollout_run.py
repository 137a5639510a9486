"""Runs of rollouts as users start them: from scripts and from the command line."""

from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from simia_store import Reader, RunStatus, TrajectoryStatus
from typer.testing import CliRunner, Result

import simia_async
from simia_async.builtin.task_source import tasks_of
from simia_async.cli.main import app
from simia_async.environments import Criterion, load_environment, write_tasks
from simia_async.errors import ConfigError, UsageError
from simia_async.runs.rollout import PlayedGroup
from simia_async.synthesis.export import export
from simia_async.testing import ScriptedServer

AGENT = {"model": "scripted-agent"}


async def played(**settings: Any) -> list[PlayedGroup]:
    given = {"policy": AGENT, "tasks": 4, "group_size": 2, **settings}
    return [group async for group in simia_async.rollout(**given)]


def simia(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


async def test_each_group_comes_when_all_of_it_has_ended(tmp_path: Path) -> None:
    groups = await played(run=tmp_path / "r.db", environment="mini-library")
    assert sorted(group.id for group in groups) == [1, 2, 3, 4]
    for group in groups:
        assert [rollout.reward for rollout in group.rollouts] == [1.0, 1.0]
        assert group.rollouts[0].messages[0].role == "user"
    with Reader(tmp_path / "r.db") as reader:
        assert [record.rewards for record in reader.groups(0)] == [[1.0, 1.0]] * 4
        assert [scoring.id for scoring in reader.scorings()] == [1]
        assert len(list(reader.judgements(scoring_id=1))) == 8


async def test_leaving_the_loop_ends_the_run_and_the_same_call_goes_on(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"policy": AGENT, "tasks": 12, "group_size": 2, "concurrency": 2}
    path = tmp_path / "r.db"
    async with aclosing(simia_async.rollout(run=path, **settings)) as groups:
        first = await anext(groups)
    with Reader(path) as reader:
        run = reader.run()
        assert run is not None
        assert run.status is RunStatus.STOPPED
        done = {t.id for t in reader.trajectories(status=TrajectoryStatus.SCORED)}
        assert {rollout.id for rollout in first.rollouts} <= done
        before = {number: reader.turns(number) for number in done}
    rest = [group async for group in simia_async.rollout(run=path, **settings)]
    assert first.id not in {group.id for group in rest}
    with Reader(path) as reader:
        assert len(list(reader.trajectories(status=TrajectoryStatus.SCORED))) == 24
        assert {number: reader.turns(number) for number in done} == before


async def test_one_prompt_may_play_the_whole_world(tmp_path: Path) -> None:
    groups = await played(run=tmp_path / "r.db", mode="joint", environment="mini-airline")
    assert {rollout.reward for group in groups for rollout in group.rollouts} == {1.0}
    with Reader(tmp_path / "r.db") as reader:
        assert {usage.role for usage in reader.usage()} == {"joint", "policy", "judge"}
        assert {prompt.role for prompt in reader.prompts()} == {"joint", "judge"}


async def test_what_went_well_is_kept_and_exported_once(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    await played(run=path, tasks=6, keep=1.0)
    await played(run=path, tasks=6, keep=1.0)
    with Reader(path) as reader:
        kept = list(reader.trajectories(status=TrajectoryStatus.KEPT))
        assert len(list(reader.trajectories(status=TrajectoryStatus.SCORED))) == 12
        for trajectory in kept:
            rollout = reader.turns(trajectory.detail["rollout"])
            assert [t.role for t in rollout[: len(reader.turns(trajectory.id))]] == [
                t.role for t in reader.turns(trajectory.id)
            ]
    # Both rollouts of a task say the same.
    assert len(kept) == 6
    assert export(path, tmp_path / "data").count == 6
    card = (tmp_path / "data" / "README.md").read_text()
    assert "the policy named below was the agent" in card
    assert "| played | 12 |" in card


async def test_each_role_may_have_an_endpoint_of_its_own(tmp_path: Path) -> None:
    async with ScriptedServer() as world, ScriptedServer() as court:
        await played(
            run=tmp_path / "r.db",
            tasks=8,
            simulator={"base_url": world.base_url, "model": "world", "api_key_env": ""},
            judge_endpoint={"base_url": court.base_url, "model": "court"},
            user_endpoint={"model": "another", "temperature": 0.5},
        )
        models = {record.body["model"] for record in world.log if record.body}
        assert models == {"world", "another"}
        assert {r.body["model"] for r in court.log if r.body} == {"court"}
        assert {r.body.get("temperature") for r in world.log if r.body} == {None, 0.5}
    with Reader(tmp_path / "r.db") as reader:
        models_of = {usage.role: usage.model for usage in reader.usage()}
        assert reader.scorings()[0].judge == "court"
    assert models_of["judge"] == "court"
    assert models_of["user"] == "another"
    assert models_of["tool"] == "world"


async def test_tasks_may_come_from_a_file(tmp_path: Path) -> None:
    tasks = tasks_of(load_environment("mini-retail"), 3, split="heldout", seed=5)
    write_tasks(tmp_path / "t.jsonl", tasks)
    file = tmp_path / "t.jsonl"
    groups = await played(run=tmp_path / "r.db", tasks_file=file, split="heldout", tasks=9)
    assert sorted(group.task.id for group in groups) == sorted(task.id for task in tasks)
    with pytest.raises(UsageError, match=r"t\.jsonl: holds no task of the split 'train'"):
        await played(run=tmp_path / "s.db", tasks_file=file)
    assert not (tmp_path / "s.db").exists()


async def test_a_rubric_that_needs_checks_refuses_tasks_without(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('combine = "check"\n')
    [task] = tasks_of(load_environment("mini-retail"), 1, split="train", seed=0)
    bare = msgspec.structs.replace(task, check=None, rubric=(Criterion("kind", "It is kind."),))
    with pytest.raises(UsageError, match="no exact `check`"):
        await played(run=tmp_path / "r.db", tasks=[bare], rubric=tmp_path / "r.toml")
    assert not (tmp_path / "r.db").exists()


async def test_code_alone_may_judge(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('combine = "check"\n')
    groups = await played(run=tmp_path / "r.db", rubric=tmp_path / "r.toml")
    assert {rollout.reward for group in groups for rollout in group.rollouts} == {1.0}
    with Reader(tmp_path / "r.db") as reader:
        assert "judge" not in {usage.role for usage in reader.usage()}
        assert reader.scorings()[0].judge == ""


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"mode": "joint", "user_endpoint": {"temperature": 1}}, "--mode joint: .* --user-…"),
        ({"adapter": "somewhere"}, "--adapter: --policy-model names a policy that is asked"),
        ({"policy": {**AGENT, "calls": "hermes"}}, "--policy-calls hermes: scripted-agent"),
        ({"policy": {"requests_per_minute": 5}}, "--policy-rpm: also needs --policy-model"),
        ({"judge_endpoint": {"model": "gpt-5"}}, "--judge-model: also needs --judge-url"),
    ],
)
async def test_what_would_do_nothing_is_refused(
    tmp_path: Path, settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        await played(run=tmp_path / "r.db", **settings)
    assert not (tmp_path / "r.db").exists()


@pytest.mark.parametrize(
    ("policy", "complaint"),
    [
        ({"model": "Qwen3-8B"}, "policy.model: also needs --policy-url"),
        ({"base_url": "http://gpu:8000/v1"}, "policy.base_url: also needs --policy-model"),
        ({"model": "scripted-agent", "tokenizer": "x"}, "policy.tokenizer: also needs"),
        ({"model": "m", "base_url": "gpu:8000"}, "policy.base_url: found 'gpu:8000'"),
    ],
)
async def test_half_a_policy_is_refused(
    tmp_path: Path, policy: dict[str, str], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        await played(run=tmp_path / "r.db", policy=policy)
    assert not (tmp_path / "r.db").exists()


def test_the_command_goes_on_with_a_run_and_its_settings(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    done = simia(
        *("rollout", "--env", "mini-telecom", "--tasks", 2, "--group-size", 3),
        *("--policy-model", "scripted-agent", "--run", path),
    )
    assert done.exit_code == 0, done.stderr
    assert "rollouts   6" in done.stdout
    more = simia("rollout", "--resume", path, "--tasks", 4)
    assert "rollouts   12" in more.stdout, more.stderr
    other = simia("rollout", "--resume", path, "--group-size", 2)
    assert other.exit_code == 2
    assert "with other settings" in other.stderr
    with Reader(path) as reader:
        assert {t.environment for t in reader.trajectories()} == {"mini-telecom"}


def test_what_is_no_run_of_rollouts_cannot_be_resumed(tmp_path: Path) -> None:
    done = simia("generate", "-n", 2, "--run", tmp_path / "g.db")
    assert done.exit_code == 0, done.stderr
    refused = simia("rollout", "--resume", tmp_path / "g.db")
    assert refused.exit_code == 2
    assert "cannot be resumed: it holds a run of kind generate" in refused.stderr
    missing = simia("rollout", "--resume", tmp_path / "none.db")
    assert missing.exit_code == 2
    assert not (tmp_path / "none.db").exists()


async def test_what_was_played_is_judged_again_from_a_script(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('combine = "check"\n')
    await played(run=tmp_path / "r.db", tasks=2)
    result = await simia_async.judge(tmp_path / "r.db", rubric=tmp_path / "r.toml")
    assert (result.scoring, result.judged, result.wanted) == (2, 4, 4)


async def test_a_slow_reader_slows_the_run_down(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    settings: dict[str, Any] = {"policy": AGENT, "tasks": 200, "group_size": 1, "concurrency": 8}
    async with aclosing(simia_async.rollout(run=path, **settings)) as groups:
        await anext(groups)
        await anyio.sleep(1.5)
        with Reader(path) as reader:
            ended = sum(o.count for o in reader.outcomes())
    # What the stream holds, what waits to be told, and what is under way.
    assert ended < 200


async def test_other_tasks_than_before_are_refused_and_fewer_are_not(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    tasks = tasks_of(load_environment("mini-retail"), 4, split="train", seed=0)
    await played(run=path, tasks=tasks)
    assert len(await played(run=path, tasks=tasks[:2])) == 0
    with pytest.raises(
        UsageError, match=r"its task 1 was 'mini-retail/train/.*bring the old tasks"
    ):
        await played(run=path, tasks=tasks[::-1])
