"""Training data that holds evaluation tasks: what is found, reported and left out."""

import json
from pathlib import Path

import anyio
import msgspec
import pytest
from simia_store import (
    Reader,
    RunRecord,
    TrajectoryRecord,
    TrajectoryStatus,
    TurnRecord,
    open_store,
)
from simia_store.records import Record
from typer.testing import CliRunner

from simia_async.builtin.task_source import tasks_of
from simia_async.cli.main import app
from simia_async.environments import Scenario, Task, Utterance, load_environment
from simia_async.environments.task import CallPattern, Check
from simia_async.errors import UsageError
from simia_async.evaluation.contamination import (
    TrainingText,
    drop_contaminated,
    ids_in,
    text_of_task,
)
from simia_async.runs.training_data import read_training_data

LONG = (
    "You ordered a pair of trail running shoes and a rain jacket two weeks ago, the shoes are too "
    "small, and you want them exchanged for one size up, paid with the card on file. You live in "
    "Lisbon and you are in a hurry because you leave for the mountains on Friday"
)


def task(name: str, text: str, *, said: tuple[str, ...] = (), seed: str = "") -> Task:
    utterances = tuple(Utterance(each) for each in said)
    return Task(
        id=name,
        environment="e",
        split="heldout",
        scenario=Scenario(text, utterances),
        initial_state={},
        needs_action=True,
        seed=seed,
    )


def test_each_kind_is_found_and_the_strongest_told() -> None:
    tasks = [
        task("exact", LONG.upper() + "!"),
        task("near", LONG.replace("Friday", "Sunday")),
        task("said", "quite other words", said=("Where is my parcel", "it is W2378156")),
        task("seed", "nothing alike here", seed="s7"),
        task("ids", "You are sara_doe_496 and want your money back"),
        task("clean", "You want to know whether the shop is open on Monday"),
    ]
    texts = [
        TrainingText("t1", scenario=LONG, seed="s1"),
        TrainingText("t2", said="Where is my parcel?\nIt is W2378156."),
        TrainingText("t3", seed="s7"),
        TrainingText("t4", ids=frozenset({"sara_doe_496"})),
    ]
    kept, found = drop_contaminated(tasks, texts, 0.8, "none")
    assert [(f.task_id, f.kind, f.where) for f in found.findings] == [
        ("exact", "exact", "t1"),
        ("near", "near", "t1"),
        ("said", "exact", "t2"),
        ("seed", "seed", "t3"),
        ("ids", "shared_ids", "t4"),
    ]
    assert found.findings[1].similarity > 0.8
    assert found.findings[4].ids == ["sara_doe_496"]
    assert kept == tasks
    assert found.counts == {
        "training_texts": 4,
        "tasks": 6,
        "exact": 2,
        "near": 1,
        "seed": 1,
        "shared_ids": 1,
        "left_out": 0,
    }
    kept, found = drop_contaminated(tasks, texts, 0.8, "duplicates")
    assert [each.id for each in kept] == ["ids", "clean"]
    assert found.left_out == ["exact", "near", "said", "seed"]
    kept, _ = drop_contaminated(tasks, texts, 0.8, "all")
    assert [each.id for each in kept] == ["clean"]
    _, found = drop_contaminated(tasks, texts, 1.0, "all")
    assert found.counts["near"] == 0


def test_empty_texts_are_not_alike() -> None:
    kept, found = drop_contaminated([task("a", "")], [TrainingText("t")], 0.8, "all")
    assert len(kept) == 1
    assert not found.findings


def test_what_has_the_shape_of_an_id() -> None:
    text = (
        "Order #W2378156, user yusuf_rossi_9620, mail y.rossi@example.com, zip 19122, item "
        "1151293680, on 2024-05-15, a 16GB laptop, gate B12, evt_214"
    )
    found = {"w2378156", "yusuf_rossi_9620", "y.rossi@example.com", "1151293680", "evt_214"}
    assert ids_in([text]) == found


def test_ids_of_a_task_are_those_of_its_words_and_its_required_calls() -> None:
    checked = Check(required_calls=(CallPattern("f", {"order": ["#W2378156"], "n": 1151293680}),))
    one = task("a", "I am mia_li_3668")
    one = msgspec.structs.replace(one, check=checked)
    assert text_of_task(one, "x").ids == {"mia_li_3668", "w2378156", "1151293680"}


async def write(path: Path, *records: Record) -> Path:
    async with open_store(path) as store:
        await store.append(*records)
    return path


async def played(path: Path, kind: str, tasks: list[Task], *others: Record) -> Path:
    """A run of rollouts: each task in a group of its own; after that `others`."""
    return await write(
        path,
        RunRecord("r", kind, {}),
        *(each.as_record() for each in tasks),
        *(
            TrajectoryRecord(n, "e", each.id, TrajectoryStatus.SCORED, group_id=n)
            for n, each in enumerate(tasks, 1)
        ),
        *others,
    )


async def test_of_each_kind_of_run_only_what_is_learnt_from_counts(tmp_path: Path) -> None:
    environment = load_environment("mini-retail")
    learnt, held_out, said = task("a", "learn this"), task("b", "not this"), "and buy W2378156"
    evaluated = TrajectoryRecord(10**9, "e", "b", TrajectoryStatus.SCORED)
    rl = await played(tmp_path / "rl.db", "rl", [learnt], held_out.as_record(), evaluated)
    texts = read_training_data(rl, environment)
    assert {text.scenario for text in texts} == {"learn this", ""}
    rejected = TrajectoryRecord(2, "e", "t", TrajectoryStatus.REJECTED, detail={"seed": "s2"})
    made = await write(
        tmp_path / "g.db",
        RunRecord("g", "generate", {}),
        TrajectoryRecord(1, "e", "t", TrajectoryStatus.KEPT, detail={"seed": "s1"}),
        rejected,
        TurnRecord(1, 0, "user", {"role": "user", "content": said}),
    )
    [text] = read_training_data(made, environment)
    assert (text.said, text.seed, text.ids) == (said, "s1", {"w2378156"})
    config = {"data": [str(made), str(rl)]}
    tuned = await write(tmp_path / "s.db", RunRecord("s", "sft", config))
    assert len(read_training_data(tuned, environment)) == len(texts) + 1
    for_training = msgspec.structs.replace(learnt, split="train").as_record()
    synthesized = await write(
        tmp_path / "t.db", RunRecord("t", "tasks", {}), for_training, held_out.as_record()
    )
    assert [text.scenario for text in read_training_data(synthesized, environment)] == [
        "learn this"
    ]


def test_tasks_that_were_trained_on_are_left_out_of_the_evaluation(tmp_path: Path) -> None:
    environment = load_environment("mini-retail")
    tasks = tasks_of(environment, 3, split="heldout", seed=0)
    data = anyio.run(played, tmp_path / "r.db", "rollout", tasks)
    run = tmp_path / "e.db"
    told = simia(
        *("eval", "--policy-model", "scripted-agent", "--tasks", "5", "--temperature", "0"),
        *("--check-against", str(data), "--leave-out", "duplicates", "--run", str(run)),
    )
    shown = " ".join(told.split())
    assert "2 held-out tasks" in shown
    assert "5 tasks against 6 of training: 3 said alike" in shown
    assert "3 left out" in shown
    with Reader(run) as reader:
        assert [m.value for m in reader.metrics("contamination/left_out")] == [3]
        assert len(list(reader.trajectories())) == 2


def simia(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


def refusal(*arguments: str) -> str:
    agent = ("eval", "--policy-model", "scripted-agent", "--tasks", "2")
    refused = CliRunner().invoke(app, [*agent, *arguments])
    assert refused.exit_code == 2
    return refused.stderr


def test_what_nothing_is_trained_on_is_refused(tmp_path: Path) -> None:
    place, run = tmp_path / "t.jsonl", tmp_path / "e.db"
    raw = {"id": "a", "split": "heldout", "scenario": {"instructions": "x"}}
    place.write_text(json.dumps(raw | {"initial_state": {}, "needs_action": False}))
    said = refusal("--check-against", str(place), "--run", str(run))
    assert "holds no task of the split 'train' to check against" in said
    assert "no such run database" in refusal("--check-against", str(tmp_path / "none.db"))
    assert not run.exists()


async def test_an_evaluation_is_no_training(tmp_path: Path) -> None:
    run = await write(tmp_path / "e.db", RunRecord("e", "eval", {}))
    with pytest.raises(UsageError, match=r"nothing that could be trained on: .* kind 'eval'"):
        read_training_data(run, load_environment("mini-retail"))


def test_an_evaluation_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    tasks = tasks_of(load_environment("mini-retail"), 2, split="heldout", seed=0)
    data = anyio.run(played, tmp_path / "r.db", "rollout", tasks)
    said = refusal(
        "--check-against", str(data), "--leave-out", "all", "--run", str(tmp_path / "e.db")
    )
    assert "training data holds all 2 tasks" in said
