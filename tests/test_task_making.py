"""Tasks from seeds: what the author drafts must fit the world, and sisters stay on one side."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from simia_store import (
    EnvironmentRecord,
    Reader,
    RunRecord,
    Store,
    TaskRecord,
    TaskStatus,
    TrajectoryRecord,
    TrajectoryStatus,
    TurnRecord,
    open_store,
)
from typer.testing import CliRunner

from simia_async.builtin.task_source import tasks_of
from simia_async.cli.main import app
from simia_async.config import TasksConfig
from simia_async.environments import load_environment, load_tasks
from simia_async.errors import UsageError
from simia_async.messages import Message
from simia_async.runs.tasks import TasksResult, run_tasks
from simia_async.simulation.prompts import read_sections
from simia_async.synthesis.task_making import heldout_seeds

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
    assert result.train + result.heldout == 4


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
    assert {seed for seed, side in sides.items() if side == {"heldout"}} == heldout_seeds(
        sides, 0.2, {}
    )


# --- which tasks are held out -----------------------------------------------------------------

SEEDS = st.lists(st.text(min_size=1), unique=True, max_size=30)
SHARES = st.floats(0, 0.99)
few_examples = settings(max_examples=100, deadline=None, database=None)


@few_examples
@given(SEEDS, SHARES, st.randoms(use_true_random=False))
def test_neither_side_is_empty_if_there_are_two_seeds(
    names: list[str], share: float, rng: Any
) -> None:
    heldout = heldout_seeds(names, share, {})
    assert heldout <= set(names)
    if len(names) >= 2 and share > 0:
        assert 1 <= len(heldout) < len(names)
    else:
        assert not heldout
    rng.shuffle(names)
    assert heldout_seeds(names, share, {}) == heldout


@few_examples
@given(SEEDS, SEEDS, SHARES)
def test_no_seed_changes_sides_when_others_come_in(
    names: list[str], late: list[str], share: float
) -> None:
    first = heldout_seeds(names, share, {})
    settled = {name: "heldout" if name in first else "train" for name in names}
    assert heldout_seeds([*names, *late], share, settled) & set(names) == first
    # The side of a late one is its own as well, but for the one that keeps a side from being empty.
    alone = heldout_seeds({*names, *late}, share, {})
    assert len((heldout_seeds(late, share, settled) ^ alone) - set(names)) <= 1


def test_about_the_share_of_many_seeds_is_held_out() -> None:
    heldout = heldout_seeds([f"seeds:{n}" for n in range(1000)], 0.2, {})
    assert 150 < len(heldout) < 250


# --- what stands in the file already ----------------------------------------------------------


async def test_a_file_of_tasks_that_the_run_did_not_make_is_neither_replaced_nor_asked_for(
    make: Any, tmp_path: Path
) -> None:
    await make(TaskAuthor())
    (tmp_path / "t.db").unlink()
    before = (tmp_path / "tasks.jsonl").read_bytes()
    author = TaskAuthor()
    with pytest.raises(UsageError, match=r"tasks\.jsonl: holds tasks that this run did not make"):
        await make(author)
    assert author.asked == []
    assert not (tmp_path / "t.db").exists()
    assert (tmp_path / "tasks.jsonl").read_bytes() == before


async def test_tasks_added_by_hand_are_not_lost_to_the_run_that_goes_on(
    make: Any, tmp_path: Path
) -> None:
    result = await make(TaskAuthor())
    lines = result.out.read_text().splitlines(keepends=True)
    mine = json.dumps(json.loads(lines[0]) | {"id": "mine"})
    result.out.write_text("".join([*lines, mine]))
    with pytest.raises(UsageError, match="such as 'mine'; name another file"):
        await make(TaskAuthor())
    assert result.out.read_text().endswith(mine)


async def test_a_run_that_goes_on_keeps_what_was_edited_by_hand_and_adds_what_is_new(
    make: Any, desk: Path
) -> None:
    result = await make(TaskAuthor(Bob={}))
    check = {"final_state": {"orders": {"W1": "sent"}}, "must_say": [["sent"]]}
    lines = [json.loads(line) for line in result.out.read_text().splitlines()]
    lines[0]["check"] = check
    edited = "".join(json.dumps(line) + "\n" for line in lines)
    result.out.write_text(edited)
    # The author fails at Bob once more: nothing is new, and not a byte changes.
    await make(TaskAuthor(Bob={}))
    assert result.out.read_text() == edited
    again = await make(TaskAuthor())
    assert again.train + again.heldout == 5
    tasks = load_tasks(result.out, load_environment(str(desk)))
    assert [task.id for task in tasks] == [f"seeds:{n}" for n in (1, 3, 4, 5, 2)]
    assert tasks[0].check is not None
    assert tasks[0].check.final_state == check["final_state"]


# --- calls that were never made, and tasks that were not --------------------------------------


async def test_a_run_that_is_stopped_in_its_first_write_has_lost_no_call(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    append = Store.append
    author = TaskAuthor()
    with monkeypatch.context() as patched, anyio.CancelScope() as scope:

        async def stopped(store: Store, *records: Any) -> None:
            if any(isinstance(record, TaskRecord) for record in records):
                scope.cancel()
            await append(store, *records)

        patched.setattr(Store, "append", stopped)
        await make(author)
    assert scope.cancelled_caught
    assert author.asked == []
    with Reader(tmp_path / "t.db") as reader:
        assert all(task.status == TaskStatus.FAILED for task in reader.tasks())
    await make(author)
    assert "cut off" not in capsys.readouterr().out


async def test_a_run_that_made_no_task_says_that_it_wrote_no_file(
    start: Any, desk: Path, tmp_path: Path
) -> None:
    endpoint = await start(TaskAuthor(**{name: {} for name in NAMES}))
    out = tmp_path / "tasks.jsonl"
    command = [sys.executable, "-c", "from simia_async.cli.main import main; main()"]
    command += ["tasks", "synthesize", "--env", str(desk), "--no-prefilter", "-o", str(out)]
    command += ["--simulator-model", "m", "--base-url", endpoint.base_url]
    done = await anyio.run_process(
        [*command, "--run", str(tmp_path / "t.db")], check=False, stderr=None
    )
    assert done.returncode == 1
    assert "written    nothing, for no task was made" in done.stdout.decode().splitlines()
    assert not out.exists()


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


async def generated(path: Path, *statuses: TrajectoryStatus, kind: str = "generate") -> str:
    """A run on the desk, whose trajectories are of its first seed and came out so."""
    said = [("user", "I am Bob. Where is it?"), ("assistant", "It is packed.")]
    async with open_store(path) as store:
        await store.append(RunRecord("0123456789", kind, {}), EnvironmentRecord("desk", "", []))
        for number, status in enumerate(statuses):
            detail = {"seed": "seeds:1"}
            await store.append(TrajectoryRecord(number, "desk", "t", status, detail=detail))
            for at, (role, content) in enumerate(said):
                message = {"role": role, "content": content}
                await store.append(TurnRecord(number, at, role, message))
    return str(path)


async def test_tasks_of_trajectories_have_ids_of_their_own_whatever_the_run_is_called(
    make: Any, tmp_path: Path, desk: Path
) -> None:
    kept = [TrajectoryStatus.KEPT] * 6
    result = await make(TaskAuthor(), source=await generated(tmp_path / "seeds.db", *kept))
    tasks = load_tasks(result.out, load_environment(str(desk)))
    assert [task.id for task in tasks] == [
        *(f"seeds:{n}" for n in range(1, 6)),
        *(f"seeds:1/01234567/{n}" for n in range(6)),
    ]
    assert len({task.split for task in tasks if task.seed == "seeds:1"}) == 1


async def test_two_conversations_of_one_id_are_told_before_anybody_is_asked(
    make: Any, tmp_path: Path, desk: Path
) -> None:
    run = await generated(tmp_path / "g.db", TrajectoryStatus.KEPT)
    seeds = desk / "seeds.jsonl"
    first, *others = map(json.loads, seeds.read_text().splitlines())
    lines = [first | {"id": "seeds:1/01234567/0"}, *others]
    seeds.write_text("\n".join(map(json.dumps, lines)))
    author = TaskAuthor()
    with pytest.raises(UsageError, match="'seeds:1/01234567/0' is the id of a seed and of a kept"):
        await make(author, source=run)
    assert author.asked == []
    assert not (tmp_path / "t.db").exists()


async def test_a_run_that_kept_nothing_or_is_no_generate_run_is_no_source(
    make: Any, tmp_path: Path
) -> None:
    empty = await generated(tmp_path / "g.db", TrajectoryStatus.REJECTED)
    with pytest.raises(UsageError, match=r"--from .*g\.db: kept no trajectory"):
        await make(TaskAuthor(), source=empty)
    tasks = await generated(tmp_path / "u.db", TrajectoryStatus.KEPT, kind="tasks")
    with pytest.raises(
        UsageError, match=r"--from .*u\.db: is a run of kind tasks; name a run of simia gen"
    ):
        await make(TaskAuthor(), source=tasks)
    assert not (tmp_path / "t.db").exists()


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
