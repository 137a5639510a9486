"""`simia eval`: trials, runs that go on, pairs with a baseline, and refusals."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from simia_store import Reader, RunStatus
from typer.testing import CliRunner

from simia_async.cli.main import app
from simia_async.config import Budget, Endpoint, EvalConfig, PolicyEndpoint
from simia_async.errors import BudgetSpent, SimiaError, UsageError, single_error
from simia_async.runs.eval_record import read_evaluation
from simia_async.runs.evaluate import EvalProgress, EvalResult, run_evaluate

heard: list[str] = []

Evaluate = Callable[..., Awaitable[EvalResult]]


@pytest.fixture
def evaluate(scripted_simulator: str) -> Evaluate:
    """Evaluates the scripted agent, greedily, in a world that is there already."""

    async def run(
        path: Path, on_progress: Callable[[EvalProgress], None] = lambda _: None, **settings: Any
    ) -> EvalResult:
        where = {"base_url": scripted_simulator, "api_key_env": ""}
        default = {
            "policy": PolicyEndpoint(model="scripted-agent", **where),
            "simulator": Endpoint(model="scripted-simulator", **where),
            "temperatures": (0.0,),
            "tasks": 4,
        }
        config = EvalConfig(**{**default, **settings})
        return await run_evaluate(config, path, report=heard.append, on_progress=on_progress)

    return run


async def test_every_task_is_played_k_times_by_every_policy(
    tmp_path: Path, evaluate: Evaluate
) -> None:
    result = await evaluate(tmp_path / "e.db", k=2, trials=3, temperatures=(0.0, 1.0))
    assert [score.temperature for score in result.scores] == [0.0, 1.0]
    for score in result.scores:
        assert score.trials == 3
        assert score.needs_action.total + score.no_action.total == 12
        assert [each.k for each in score.passes] == [1, 2]
        assert score.passes[1].all.value == 1, "the scripted agent solves every scripted task"
    with Reader(tmp_path / "e.db") as reader:
        assert len(list(reader.trajectories())) == 24
        assert [m.value for m in reader.metrics("eval/no_action@T=1")] == [1.0]


async def test_an_evaluation_that_was_cut_off_goes_on(tmp_path: Path, evaluate: Evaluate) -> None:
    class Cut(SimiaError):
        pass

    def cut(progress: EvalProgress) -> None:
        if progress.done == 5:
            raise Cut

    path = tmp_path / "e.db"
    with pytest.raises(Cut), single_error():
        await evaluate(path, cut, k=3, concurrency=2)
    with Reader(path) as reader:
        ended = {t.id: t.finished_at for t in reader.trajectories() if t.finished_at}
        assert reader.run().status == RunStatus.FAILED
    assert not read_evaluation(path).is_whole
    assert len(ended) >= 5
    result = await evaluate(path, k=3, concurrency=2)
    assert result.scores[0].passes[2].all.value == 1
    with Reader(path) as reader:
        played = {t.id: t.finished_at for t in reader.trajectories()}
        assert len(played) == 12
    assert ended.items() <= played.items(), "what had ended is not played again"
    again = await evaluate(path, k=3, concurrency=2)
    assert again.scores == result.scores
    with Reader(path) as reader:
        names = reader.metric_names()
        assert names
        assert all(len(reader.metrics(name)) == 1 for name in names), "written down once"


async def test_an_evaluation_goes_on_with_more_tasks(tmp_path: Path, evaluate: Evaluate) -> None:
    few = await evaluate(tmp_path / "e.db", tasks=3, k=2)
    more = await evaluate(tmp_path / "e.db", tasks=5, k=2)
    fresh = await evaluate(tmp_path / "f.db", tasks=5, k=2)
    assert (few.tasks, more.tasks) == (3, 5)
    assert more.scores == fresh.scores
    with pytest.raises(UsageError, match="with other settings"):
        await evaluate(tmp_path / "e.db", tasks=5, k=3)


async def test_a_budget_that_does_not_reach_ends_it_and_a_larger_one_goes_on(
    tmp_path: Path, evaluate: Evaluate
) -> None:
    path, settings = tmp_path / "e.db", {"tasks": 12, "concurrency": 1}
    with pytest.raises(BudgetSpent, match=r"spent after \d+ of 12 conversations; .* --run"):
        await evaluate(path, budget=Budget(max_tokens=4000), **settings)
    [score] = (await evaluate(path, **settings)).scores
    assert score.needs_action.total + score.no_action.total == 12


async def test_policies_are_paired_with_those_of_a_baseline(
    tmp_path: Path, evaluate: Evaluate
) -> None:
    before = tmp_path / "before.db"
    await evaluate(before, max_turns=1, k=2)
    heard.clear()
    result = await evaluate(tmp_path / "now.db", k=2, baseline=str(before))
    [compared] = result.comparisons
    assert compared.baseline == str(before)
    assert compared.all.losses == 0
    assert compared.all.wins > 0
    assert compared.all.wins + compared.all.ties == 4
    assert [d.k for d in compared.all.differences] == [1, 2]
    assert any("other settings (max_turns)" in sentence for sentence in heard)


async def test_only_the_same_tasks_are_paired(tmp_path: Path, evaluate: Evaluate) -> None:
    before, path = tmp_path / "before.db", tmp_path / "now.db"
    await evaluate(before)
    for settings, said in (
        ({"tasks": 3}, "has played 4 tasks and 3 would be played now, of which 3 are the same"),
        ({"seed": 7}, "only the same tasks can be paired"),
        ({"environment": "mini-airline"}, "was played in 'mini-retail', not in 'mini-airline'"),
        ({"temperatures": (1.0,)}, "has played at temperature 0 alone"),
    ):
        with pytest.raises(UsageError, match=said):
            await evaluate(path, baseline=str(before), **settings)
        assert not path.exists(), "nothing was begun"


async def test_a_baseline_must_be_a_whole_evaluation(tmp_path: Path, evaluate: Evaluate) -> None:
    path = tmp_path / "e.db"
    with pytest.raises(BudgetSpent):
        await evaluate(path, tasks=12, concurrency=1, budget=Budget(max_tokens=1500))
    with pytest.raises(UsageError, match="was not played to its end"):
        await evaluate(tmp_path / "f.db", tasks=12, baseline=str(path))


def test_a_baseline_of_another_kind_is_refused(tmp_path: Path) -> None:
    run = tmp_path / "g.db"
    generated = CliRunner().invoke(app, ["generate", "-n", "2", "--run", str(run)])
    assert generated.exit_code == 0
    refused = CliRunner().invoke(app, ["eval", "--baseline", str(run)])
    assert refused.exit_code == 2
    assert "is no evaluation: it holds a run of kind generate" in refused.stderr


async def test_tasks_of_training_can_be_evaluated_and_come_once(
    tmp_path: Path, evaluate: Evaluate
) -> None:
    result = await evaluate(tmp_path / "e.db", split="train", tasks=3)
    assert (result.split, result.tasks) == ("train", 3)


def test_the_table_tells_of_every_k(tmp_path: Path) -> None:
    arguments = ["eval", "--policy-model", "scripted-agent", "--tasks", "2", "-k", "2"]
    shown = CliRunner().invoke(app, [*arguments, "--run", str(tmp_path / "e.db")])
    assert shown.exit_code == 0, shown.output
    assert "2 held-out tasks, 2 trials each" in " ".join(shown.stdout.split())
    assert "pass^2" in shown.stdout


def test_settings_that_contradict_each_other_are_refused() -> None:
    for arguments, said in (
        (["-k", "3", "--trials", "2"], "--trials: found 2; it must be at least -k, 3"),
        (["--leave-out", "all"], "--leave-out: also needs --check-against"),
        (["-k", "0"], "-k: found 0; it must be at least 1"),
    ):
        result = CliRunner().invoke(app, ["eval", *arguments])
        assert result.exit_code == 2
        assert said in result.stderr
