"""Tasks from seeds: what the author drafts must fit the world, and sisters stay on one side."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from simia_store import Reader, TaskStatus
from typer.testing import CliRunner

from simia_async.builtin.task_source import tasks_of
from simia_async.cli.main import app
from simia_async.config import TasksConfig
from simia_async.environments import Seed, load_environment, load_tasks
from simia_async.errors import UsageError
from simia_async.messages import Message
from simia_async.runs.tasks import TasksResult, run_tasks
from simia_async.simulation.prompts import read_sections
from simia_async.synthesis.task_making import Source, heldout_seeds

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
SCHEMA = {
    "type": "object",
    "properties": {"orders": {"type": "object", "additionalProperties": {"type": "string"}}},
    "required": ["orders"],
    "additionalProperties": False,
}
DRAFT = {
    "instructions": "You are Ann. You want to know where your order is.",
    "goal": "Ann knows that her order is packed.",
    "needs_action": False,
    "initial_state": {"orders": {"W1": "packed"}},
    "rubric": [{"name": "told", "description": "Ann was told.", "weight": 2}],
}
NAMES = ("Ann", "Bob", "Cyd", "Dee", "Eve")


def simia(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """An environment with a state and five seeds."""
    folder = tmp_path / "desk"
    folder.mkdir()
    (folder / "policy.md").write_text("Be kind.")
    (folder / "tools.json").write_text(json.dumps([TOOL]))
    (folder / "state.json").write_text('{"orders": {}}')
    (folder / "state.schema.json").write_text(json.dumps(SCHEMA))
    lines = [
        json.dumps(
            {
                "messages": [
                    {"role": "user", "content": f"I am {name}. Where is it?"},
                    {"role": "assistant", "content": "It is packed."},
                ]
            }
        )
        for name in NAMES
    ]
    (folder / "seeds.jsonl").write_text("\n".join(lines))
    return folder


class TaskAuthor:
    """A simulator that drafts what a test wants for whom it wants."""

    def __init__(self, **drafts: Any) -> None:
        self.drafts = drafts
        self.asked: list[str] = []
        self.prompts: list[dict[str, Any]] = []

    async def __call__(self, request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.json_response({"data": []})
        messages = (await request.json())["messages"]
        sections = read_sections(messages[1]["content"])
        said = sections["seed"][0]["content"]
        name = next(name for name in NAMES if name in said)
        self.asked.append(name)
        self.prompts.append(sections)
        draft = self.drafts.get(name, DRAFT)
        message = {"role": "assistant", "content": json.dumps(draft)}
        return web.json_response({"choices": [{"message": message, "finish_reason": "stop"}]})


@pytest.fixture
def make(desk: Path, tmp_path: Path, start: Any) -> Any:
    """Runs, and goes on with, one run on the desk."""

    async def go(author: TaskAuthor, **changes: Any) -> TasksResult:
        config = TasksConfig(
            environment=str(desk), prefilter=False, simulator=await start(author), **changes
        )
        return await run_tasks(config, tmp_path / "t.db", tmp_path / "tasks.jsonl", report=print)

    return go


async def test_each_seed_becomes_a_task_that_loads(make: Any, desk: Path, tmp_path: Path) -> None:
    author = TaskAuthor()
    result = await make(author)
    assert (result.train, result.heldout, result.failed) == (4, 1, 0)
    tasks = load_tasks(tmp_path / "tasks.jsonl", load_environment(str(desk)))
    assert [task.id for task in tasks] == [f"seeds:{n}" for n in range(1, 6)]
    first = tasks[0]
    assert first.scenario.instructions == DRAFT["instructions"]
    assert (first.goal, first.needs_action) == (DRAFT["goal"], False)
    assert first.initial_state == DRAFT["initial_state"]
    assert [(c.name, c.weight) for c in first.rubric] == [("told", 2.0)]
    assert first.reference[0] == Message("user", "I am Ann. Where is it?")
    assert author.prompts[0]["state"] == {"schema": SCHEMA, "initial": {"orders": {}}}


async def test_a_state_that_the_world_cannot_have_is_asked_for_once_more_and_then_failed(
    make: Any, tmp_path: Path
) -> None:
    author = TaskAuthor(Bob={**DRAFT, "initial_state": {"orders": {"W1": 7}}}, Cyd={})
    result = await make(author)
    assert (result.train + result.heldout, result.failed) == (3, 2)
    assert Counter(author.asked)["Bob"] == Counter(author.asked)["Cyd"] == 2
    with Reader(tmp_path / "t.db") as reader:
        failed = [task for task in reader.tasks() if task.status == TaskStatus.FAILED]
    assert {task.id for task in failed} == {"seeds:2", "seeds:3"}
    assert "/orders/W1" in str(failed[0].reason)
    # What failed is asked again, the others are not.
    author.drafts.clear()
    author.asked.clear()
    again = await make(author)
    assert (again.train + again.heldout, again.failed) == (5, 0)
    assert sorted(author.asked) == ["Bob", "Cyd"]


async def test_a_draft_without_criteria_is_no_task(make: Any) -> None:
    result = await make(TaskAuthor(Ann={**DRAFT, "rubric": []}))
    assert result.failed == 1


def test_tasks_of_a_run_are_on_the_side_of_their_seeds(tmp_path: Path) -> None:
    run, out = tmp_path / "g.db", tmp_path / "tasks.jsonl"
    assert simia("generate", "--env", "retail", "-n", "40", "--run", str(run)).exit_code == 0
    flags = ["--env", "retail", "--from", str(run), "-o", str(out), "--run", str(tmp_path / "t.db")]
    done = simia("tasks", "synthesize", *flags, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["seeds_used"], told["trajectories"]) == (12, 40)
    tasks = load_tasks(out, load_environment("retail"))
    assert len(tasks) == 52 == told["train"] + told["heldout"]
    sides: dict[str, set[str]] = {}
    for task in tasks:
        sides.setdefault(task.seed, set()).add(task.split)
    assert len(sides) == 12
    assert all(len(side) == 1 for side in sides.values())
    assert sum(side == {"heldout"} for side in sides.values()) == 3


SEEDS = st.lists(st.text(min_size=1), unique=True, max_size=30)


@settings(max_examples=100, deadline=None, database=None)
@given(SEEDS, st.floats(0, 0.99), st.randoms(use_true_random=False))
def test_the_split_depends_on_the_seeds_alone(names: list[str], share: float, rng: Any) -> None:
    sources = [Source(Seed(f"{name}/{n}", []), name) for name in names for n in range(2)]
    heldout = heldout_seeds(sources, share)
    assert heldout <= set(names)
    if len(names) >= 2 and share > 0:
        assert 1 <= len(heldout) < len(names)
        assert abs(len(heldout) - share * len(names)) < 1.001
    else:
        assert not heldout
    rng.shuffle(sources)
    assert heldout_seeds(sources, share) == heldout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "{tmp}"], "is a directory; name a file"),
        (["-o", "{tmp}/tasks.json"], "name a file that ends in .jsonl"),
        (["-o", "{tmp}/t.jsonl", "--from", "/no/such.db"], "/no/such.db: no such run"),
        (["-o", "{tmp}/t.jsonl", "--heldout", "1"], "--heldout: found 1"),
        (["-o", "{tmp}/t.jsonl", "--env", "moon"], "'moon'"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    filled = [argument.format(tmp=tmp_path) for argument in arguments]
    done = simia("tasks", "synthesize", *filled, "--run", str(tmp_path / "t.db"))
    assert done.exit_code == 2, done.output
    [line] = [line for line in done.stderr.splitlines() if line]
    assert said in line
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_another_environment_is_no_source(tmp_path: Path) -> None:
    run, out = str(tmp_path / "g.db"), str(tmp_path / "t.jsonl")
    simia("generate", "-n", "2", "--run", run)
    done = simia("tasks", "synthesize", "--env", "retail", "--from", run, "-o", out)
    assert done.exit_code == 2
    assert "is a run of environment 'mini-retail', not of 'retail'" in done.stderr


async def test_rl_rolls_out_the_tasks_of_an_environment(make: Any, desk: Path) -> None:
    with pytest.raises(UsageError, match=r"no train tasks.*simia tasks synthesize"):
        tasks_of(load_environment(str(desk)), 3, split="train", seed=0)
    result = await make(TaskAuthor())
    result.out.rename(desk / "tasks.jsonl")
    environment = load_environment(str(desk))
    drawn = tasks_of(environment, 10, split="train", seed=0)
    assert len(drawn) == 10
    assert {task.id for task in drawn[:4]} == {task.id for task in drawn}
    assert len(tasks_of(environment, 10, split="heldout", seed=0)) == 1
