"""The meter of the judge, over HTTP against judges whose share of flipped verdicts is known."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from simia_store import Reader
from typer.testing import CliRunner

from simia_async.builtin.server.protocol import ChatRequest
from simia_async.cli.main import app
from simia_async.config import AgreementConfig
from simia_async.errors import UsageError
from simia_async.meters import labels
from simia_async.runs.agreement import plan_agreement, run_agreement
from simia_async.runs.agreement_result import AgreementResult
from simia_async.runs.meter_plan import reason_alone
from simia_async.simulation.prompts import read_sections
from tests.planted_meters import PlantedJudge, holds, plant
from tests.rollout_servers import Playhouse, playhouse


async def judge_at(house: Playhouse, recorded: Path, run: Path, **settings: Any) -> AgreementResult:
    known = {"recorded": str(recorded), "simulator": house.simulator(), **settings}
    plan = plan_agreement(AgreementConfig(**known), run)
    return await run_agreement(plan, report=lambda _: None)


@pytest.mark.parametrize("flips", [0.0, 0.1, 0.3])
async def test_what_was_planted_is_found_over_http(
    airline_seeds: Path, tmp_path: Path, flips: float
) -> None:
    planted = PlantedJudge(airline_seeds, flips)
    flipped = sum(planted.reward(each) != each.reward for each in planted.labelled)
    run = tmp_path / "j.db"
    async with playhouse() as house:
        plant(house, judge=planted)
        result = await judge_at(house, airline_seeds, run)
    found = result.agreement
    assert (found.conversations, result.verdicts.value) == (100, 1)
    assert found.accuracy.value == pytest.approx(1 - flipped / 100)
    for name, truth in planted.expected.items():
        assert holds(getattr(found, name), truth), (name, getattr(found, name), truth)
    assert found.majority.value == pytest.approx(0.69)
    assert sum(found.confusion.values()) == 100
    assert sum(figure.n for figure in found.by_kind.values()) == 100
    with Reader(run) as reader:
        judgements = list(reader.judgements())
        assert len(judgements) == len(list(reader.calls())) == 100
        assert reader.metrics("agreement/accuracy")[-1].value == found.accuracy.value
        trajectory = reader.trajectory(1)
        assert trajectory is not None
        assert trajectory.detail["kind"] == labels.WRONG_STATE
        assert len(reader.turns(1)) == len(planted.labelled[0].conversation.messages) - 1


async def test_it_goes_on_where_it_was(airline_seeds: Path, tmp_path: Path) -> None:
    run = tmp_path / "j.db"
    async with playhouse() as house:
        plant(house, judge=PlantedJudge(airline_seeds, 0.1))
        few = await judge_at(house, airline_seeds, run, conversations=7)
        more = await judge_at(house, airline_seeds, run, conversations=20)
        assert house.asked["judge"] == 20
    assert (few.agreement.conversations, more.agreement.conversations) == (7, 20)


async def test_the_judge_is_told_of_success_unless_it_shall_not(
    airline_seeds: Path, tmp_path: Path
) -> None:
    seen: list[dict[str, Any]] = []
    planted = PlantedJudge(airline_seeds, 0.0)

    def judge(request: ChatRequest) -> str:
        seen.append(read_sections(request.prompt)["task"])
        return planted.judge(request)

    async with playhouse() as house:
        house.instead["judge"] = judge
        for goal in (True, False):
            run = tmp_path / f"{goal}.db"
            await judge_at(house, airline_seeds, run, conversations=3, goal=goal)
    assert [bool(task["goal"]) for task in seen] == [True] * 3 + [False] * 3
    assert all("You are" in task["scenario"]["instructions"] for task in seen)


def test_reasons_are_counted_by_what_was_wrong_and_not_by_where() -> None:
    ports = (33271, 35343)
    said = [f"http://127.0.0.1:{port}/v1/chat/completions: HTTP 422: no rules" for port in ports]
    assert {reason_alone(each) for each in said} == {"HTTP 422: no rules"}
    assert reason_alone("no JSON; said 'http://x: y'") == "no JSON"


async def test_verdicts_that_cannot_be_used_are_none(airline_seeds: Path, tmp_path: Path) -> None:
    planted = PlantedJudge(airline_seeds, 0.0)

    def judge(request: ChatRequest) -> str:
        usable = len(request.prompt) % 2
        return planted.judge(request) if usable else "I would rather not say"

    async with playhouse() as house:
        house.instead["judge"] = judge
        result = await judge_at(house, airline_seeds, tmp_path / "j.db", conversations=20)
    assert 0 < result.agreement.conversations < 20 == result.answered
    assert result.agreement.accuracy.value == 1
    assert result.unusable.total() == 20 - result.agreement.conversations


def test_all_real_conversations_are_refused_by_the_scripted_judge(
    airline_seeds: Path, tmp_path: Path
) -> None:
    command = ["meter", "judge", "--recorded", str(airline_seeds), "--run", str(tmp_path / "j.db")]
    shown = CliRunner().invoke(app, [*command, "--json"])
    assert shown.exit_code == 0, shown.output
    result = msgspec.json.decode(shown.stdout)
    assert (result["verdicts"]["value"], result["verdicts"]["n"]) == (0, 100)
    assert result["agreement"]["accuracy"]["value"] is None
    words = CliRunner().invoke(app, command).stdout
    assert "none can be told" in words
    assert "no rules for environment" in words


def test_kinds_of_failure_are_those_that_the_file_tells(airline_seeds: Path) -> None:
    labelled, without = labels.read_labelled(airline_seeds)
    kinds = [each.kind for each in labelled]
    assert without == 0
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        labels.WRONG_STATE: 52,
        labels.SOLVED_IDLE: 18,
        labels.SOLVED: 13,
        labels.NOT_TOLD: 8,
        labels.NEEDLESS: 6,
        labels.NOT_ENDED: 3,
    }
    assert len({each.task for each in labelled}) == 25


def test_lines_of_other_formats_may_tell_as_much(tmp_path: Path) -> None:
    path = tmp_path / "labelled.jsonl"
    said = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    lines = [
        {"messages": said, "reward": 0.5, "task": "greet", "goal": "be kind", "failure": "curt"},
        {"messages": said, "reward": 1, "task": "greet"},
        {"messages": said},
    ]
    path.write_bytes(b"\n".join(map(msgspec.json.encode, lines)))
    labelled, without = labels.read_labelled(path)
    assert [(each.reward, each.kind) for each in labelled] == [(0.5, "curt"), (1, labels.SOLVED)]
    assert (labelled[0].goal, labelled[0].scenario, without) == ("be kind", "greet", 1)


@pytest.mark.parametrize(
    ("reward", "problem"),
    [("", "none of its 1 conversations"), (', "reward": 2', "from 0 to 1")],
)
def test_bad_labels_get_one_sentence(tmp_path: Path, reward: str, problem: str) -> None:
    path = tmp_path / "labelled.jsonl"
    path.write_text(f'{{"messages": [{{"role": "user", "content": "hi"}}]{reward}}}')
    with pytest.raises(UsageError, match=problem):
        plan_agreement(AgreementConfig(recorded=str(path)), tmp_path / "j.db")


def test_a_rubric_of_checks_alone_is_refused(airline_seeds: Path, tmp_path: Path) -> None:
    rubric = tmp_path / "rubric.toml"
    rubric.write_text('combine = "check"')
    config = AgreementConfig(recorded=str(airline_seeds), rubric=str(rubric))
    with pytest.raises(UsageError, match="check"):
        plan_agreement(config, tmp_path / "j.db")


def test_conversations_of_which_all_is_not_told_are_refused_when_there_are_no_others(
    tmp_path: Path,
) -> None:
    path = tmp_path / "labelled.jsonl"
    said = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    line = {"messages": said, "reward": 1, "incomplete": "its calls have no arguments"}
    path.write_bytes(msgspec.json.encode(line))
    run = tmp_path / "j.db"
    result = CliRunner().invoke(app, ["meter", "judge", "--recorded", str(path), "--run", str(run)])
    assert result.exit_code == 2, result.output
    assert f"error: {path}: none of its 1 conversations with a `reward`" in result.stderr
    assert "its calls have no arguments" in result.stderr
    assert not run.exists()
