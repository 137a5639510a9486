"""`simia card`: a page for runs of every kind, with nothing in it that a model has planted."""

import json
from pathlib import Path
from typing import Any

import pytest
from simia_store import (
    AdapterRecord,
    CallRecord,
    EnvironmentRecord,
    GroupRecord,
    JudgementRecord,
    MetricRecord,
    RunRecord,
    RunStatus,
    ScoringRecord,
    TaskRecord,
    TrajectoryRecord,
    TrajectoryStatus,
    open_store,
)
from simia_store.records import Record
from typer.testing import CliRunner

from simia_async.cli.main import app
from simia_async.runs.card import run_card

EVIL = "<script>alert(1)</script>\n# owned | [x](http://evil) \x1b[31m"
KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"


def simia(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


async def write(path: Path, *records: Record) -> Path:
    async with open_store(path) as store:
        await store.append(*records)
    return path


def scored(number: int, **fields: Any) -> TrajectoryRecord:
    settings = {"status": TrajectoryStatus.SCORED, "stop_reason": "user_done", "reward": 1.0}
    return TrajectoryRecord(number, EVIL, **{"task_id": "t0", **settings, **fields})


async def an_rl_run(path: Path) -> Path:
    shares = {"masked": 3, "zero_variance": 4, "trained": 5, "rollouts": 12}
    return await write(
        path,
        RunRecord("r1", "rl", {"eval_tasks": 9, "simulator": {"base_url": f"http://u:{KEY}@h/v1"}}),
        EnvironmentRecord(EVIL, "policy", []),
        ScoringRecord(1, {"combine": "judge"}, "judge-a"),
        ScoringRecord(2, {"combine": "check", "criteria": [{"name": EVIL}]}, ""),
        *(scored(n, group_id=1) for n in (1, 2)),
        scored(
            3,
            status=TrajectoryStatus.UNSCORED,
            stop_reason="judge_error",
            reward=None,
            boundary="judge",
            reason=EVIL,
        ),
        JudgementRecord(2, 1, 0.0),
        JudgementRecord(2, 2, 1.0),
        CallRecord(1, "judge", f"http://u:{KEY}@h/v1?key={KEY}", EVIL, 1, "ok", 0.1, cost_usd=0.5),
        CallRecord(1, "judge", "http://h/v1", EVIL, 1, "RateLimited", 0.1, error=EVIL),
        CallRecord(2, "judge", "http://other/v1", EVIL, 1, "RateLimited", 0.1),
        *(MetricRecord(s, f"train/{n}", float(v)) for s in (1, 2) for n, v in shares.items()),
        *(MetricRecord(s, "rollout/reward_mean", s / 4) for s in (1, 2, 3)),
        MetricRecord(3, "eval/needs_action", 0.5),
        AdapterRecord(1, EVIL, None, 1),
    )


async def an_evaluation(path: Path, adapter: str) -> Path:
    """Two tasks, the base and one adapter, two trials each."""
    config = {"temperatures": [0.0], "k": 2, "split": "heldout"}
    groups, ended = [], []
    number = 0
    for task in ("t0", "t1"):
        for solved in (task == "t1", True):
            for version in (0, 1):
                number += 1
                groups.append(GroupRecord(number, task, 0, version, 1))
                detail = {"solved": solved or version == 1}
                fields = {"group_id": number, "policy_version": version, "detail": detail}
                ended.append(scored(number, task_id=task, **fields))
    return await write(
        path,
        RunRecord("e1", "eval", config, RunStatus.DONE),
        EnvironmentRecord("e", "policy", []),
        *(TaskRecord(t, "e", "heldout", {"id": t, "needs_action": True}) for t in ("t0", "t1")),
        AdapterRecord(1, adapter, None, 0),
        *groups,
        *ended,
        *(MetricRecord(0, f"contamination/{n}", 1.0) for n in ("exact", "left_out")),
    )


async def test_a_card_of_training_tells_of_all_that_its_record_holds(tmp_path: Path) -> None:
    rl = await an_rl_run(tmp_path / "rl.db")
    played = await an_evaluation(tmp_path / "e.db", "other")
    meter = await write(
        tmp_path / "m.db",
        RunRecord("m1", "luck", {}, RunStatus.DONE),
        MetricRecord(1, "luck/world_share", 0.25),
    )
    page = run_card(rl, [played], [meter])
    for said in (
        "| not: without a reward | 6 |",
        "| not: all of the group did as well | 8 |",
        "| rollout/reward\\_mean | 0.25 | 0.25 | 0.75 | 0.75 | 3 |",
        "| 1 → 2 | 2 | 0 | 1 | 50.0% |",
        "| 2 | code alone | check |",
        "| judge | RateLimited | 2 |",
        "| judge | 1 | 2 | 0 | 0 | 0.5000 |",
        "on 9 held-out tasks, each once",
        "| base | greedy | pass^1 | 0.75 ",
        "| base | greedy | pass^2 | 0.50 ",
        "| other | greedy | pass^2 | 1.00 ",
        "| other | base | greedy | all | 1/1/0 | 1 | +0.25 ",
        "| said alike in training | 1 |",
        "None of these policies is an adapter that the run of this card made.",
        "| luck/world\\_share | 0.25 |",
        "The run is running, not done",
        "Not measured: whether a hidden second judge agrees",
    ):
        assert said in page, said
    assert "Not measured here: the fidelity of the simulator, the agreement of the judge" in page


async def test_nothing_of_a_model_is_markup_and_no_key_is_told(tmp_path: Path) -> None:
    rl = await an_rl_run(tmp_path / "rl.db")
    page = run_card(rl, [await an_evaluation(tmp_path / "e.db", EVIL)])
    assert KEY not in page
    assert "<" not in page.replace("\\<", "")
    assert "\x1b" not in page
    assert "# owned" not in page.replace("\\#", "")
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert all(line.endswith(" |") for line in rows)
    assert "None of these policies" not in page


def test_runs_of_other_kinds_have_a_card(tmp_path: Path) -> None:
    made, played = str(tmp_path / "g.db"), str(tmp_path / "e.db")
    simia("generate", "-n", "3", "--run", made)
    agent = ("--policy-model", "scripted-agent", "--tasks", "2", "--temperature", "0")
    simia("eval", *agent, "--run", played)
    page = simia("card", made)
    for said in ("| kind | generate |", "| kept | 3 |", "| seeds used |", "| n | 3 |"):
        assert said in page, said
    assert "No evaluation was named" in page
    assert "Not measured here: the luck of the world" in page
    page = simia("card", played)
    for said in (
        "| kind | eval |",
        "| scored | user\\_done | 2 |",
        "| policy.model | scripted-agent |",
        "| scripted-agent | greedy | pass^1 | no such task | 1.00 (0.16–1.00) |",
        "Not measured: whether training data holds these tasks",
    ):
        assert said in page, said


async def test_an_sft_run_tells_of_its_data(tmp_path: Path) -> None:
    data = await write(
        tmp_path / "g.db",
        RunRecord("g", "generate", {}),
        EnvironmentRecord("e", "policy", []),
        TrajectoryRecord(1, "e", "t", TrajectoryStatus.KEPT),
    )
    config = {"data": [str(data), "gone.db"], "model": "m"}
    run = await write(
        tmp_path / "s.db",
        RunRecord("s", "sft", config, RunStatus.DONE),
        *(MetricRecord(step, "train/too_long", 2.0) for step in (1, 2)),
    )
    page = run_card(run)
    assert "generate run of e, 1 kept trajectories" in page
    assert "gone.db (not there any more" in page
    assert "| left out as too long | 2 |" in page
    assert "No model was asked." in page


async def test_an_evaluation_that_has_not_ended_has_no_figures(tmp_path: Path) -> None:
    run = await write(
        tmp_path / "e.db",
        RunRecord("e1", "eval", {"temperatures": [0.0]}),
        EnvironmentRecord("e", "policy", []),
    )
    assert "no figures are told of a part" in run_card(run)


@pytest.mark.parametrize("kind", ["text", "missing", "empty", "not begun", "directory"])
async def test_what_is_no_run_is_refused_in_one_sentence(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.db"
    if kind == "text":
        path.write_text(json.dumps({"a": 1}))
    elif kind == "empty":
        path.touch()
    elif kind == "not begun":
        await write(path)
    elif kind == "directory":
        path.mkdir()
    result = CliRunner().invoke(app, ["card", str(path)])
    assert result.exit_code == 2
    assert result.stdout == ""
    [line] = [line for line in result.stderr.splitlines() if line]
    assert line.startswith(f"error: {path}: ")


async def test_a_meter_of_the_judge_counts_as_one(tmp_path: Path) -> None:
    rl = await an_rl_run(tmp_path / "rl.db")
    meter = await write(
        tmp_path / "j.db",
        RunRecord("j1", "agreement", {}, RunStatus.DONE),
        MetricRecord(0, "agreement/accuracy", 0.75),
    )
    page = run_card(rl, meters=[meter])
    assert "Not measured here: the luck of the world, the fidelity of the simulator (" in page
    assert "the agreement of the judge" in run_card(rl), "without it, it is not measured"


@pytest.mark.parametrize("kind", ["luck", "fidelity", "agreement"])
async def test_the_card_of_a_meter_tells_what_it_measured(tmp_path: Path, kind: str) -> None:
    meter = await write(
        tmp_path / "m.db",
        RunRecord("m1", kind, {}, RunStatus.DONE),
        MetricRecord(0, f"{kind}/figure", 0.75),
        MetricRecord(0, f"{kind}/share", 0.5),
        MetricRecord(0, f"{kind}/share_high", 0.625),
        MetricRecord(0, f"{kind}/share_low", 0.25),
    )
    page = run_card(meter)
    assert f"| {kind}/figure | 0.75 |" in page
    assert f"| {kind}/share | 0.5 (0.25–0.625) |" in page
    assert "share\\_low" not in page
    assert "No meter was named" not in page


async def test_the_hidden_judge_is_among_the_curves(tmp_path: Path) -> None:
    rl = await an_rl_run(tmp_path / "rl.db")
    await write(rl, *(MetricRecord(s, "audit/reward_gap", s / 8) for s in (1, 2, 3)))
    page = run_card(rl)
    assert "| audit/reward\\_gap | 0.125 | 0.125 | 0.375 | 0.375 | 3 |" in page
    assert "hidden second judge" not in page
