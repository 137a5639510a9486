"""`office` and `shell`: what their generator makes is what ships, and its checks tell right from
wrong.
"""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from simia_store import Reader
from typer.testing import CliRunner

from simia_async.builtin.exact import exact_functions
from simia_async.builtin.server.completions import Reply, Said
from simia_async.builtin.server.protocol import ChatRequest
from simia_async.cli.main import app
from simia_async.environments import (
    Environment,
    Task,
    environment_tasks,
    load_environment,
    load_seeds,
)
from simia_async.environments.environment import LIBRARY
from simia_async.errors import UsageError
from simia_async.judging.case import Case, MadeCall
from simia_async.judging.checks import check_case
from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.simulation import Review
from simia_async.simulation.grounding import GroundedWorld, SharedFacts
from simia_async.simulation.grounding.entities import at
from simia_async.simulation.prompts import read_sections
from simia_async.synthesis.prefilter import prefilter
from simia_async.synthesis.rules import RuleSettings
from tests.rollout_servers import config_at, playhouse, roll
from tests.world_scripts import check_that_agents_ask_first

MAKER = Path(__file__).parents[1] / "examples" / "environments"
NAMES = ("office", "shell")

FREE = {
    "office": {"move_message", "set_label", "mark_message"},
    "shell": {"write_file", "make_directory", "copy_path", "set_scheduled_job"},
}
"""Tools that the policies let the agent use without a yes, some of them in some cases only."""
HARMFUL = {
    "office": ("create_document", {"title": "More", "folder": "Atlas", "body": ""}),
    "shell": ("write_file", {"path": "/tmp/more.txt", "content": "more"}),
}
"""A call that nobody asked for."""


@pytest.fixture(scope="module")
def maker() -> Iterator[Any]:
    sys.path.insert(0, str(MAKER))
    try:
        yield importlib.import_module("make")
    finally:
        sys.path.remove(str(MAKER))


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="module")
def world(maker: Any, name: str) -> Any:
    return next(each for each in maker.WORLDS if each.name == name)


@pytest.fixture(scope="module")
def environment(name: str) -> Environment:
    return load_environment(name)


@pytest.fixture(scope="module")
def tasks(environment: Environment) -> dict[str, Task]:
    return {task.id: task for task in environment_tasks(environment)}


def verdict(
    environment: Environment, task: Task, stage: Any, calls: list[Any], said: list[str]
) -> bool:
    """Whether the exact check holds after these calls and replies."""
    state = begin = environment.state_with(task.initial_state)
    made = []
    for each in calls:
        _, state, failed = stage.answer(state, each)
        made.append(MadeCall(each.tool, each.arguments, failed))
    assert task.check is not None
    wanted = task.check.final_state
    case = Case(
        task,
        [Message("assistant", text) for text in said],
        made,
        begin,
        state,
        None if wanted is None else environment.state_with(wanted),
        (),
        finished=True,
    )
    criteria = check_case(case)
    assert criteria is not None
    return all(criteria.values())


def parts(maker: Any, script: Any) -> tuple[list[Any], list[str]]:
    """What the agent calls and says in a script."""
    scripting = sys.modules["scripting"]
    calls = [step for step in script.steps if isinstance(step, scripting.Call)]
    return calls, [step.text for step in script.steps if isinstance(step, scripting.Say)]


def test_what_ships_is_what_the_generator_makes(maker: Any, world: Any) -> None:
    for name, text in maker.files_of(world).items():
        assert (LIBRARY / world.name / name).read_text(encoding="utf-8") == text, name


def test_there_is_enough_to_train_on(environment: Environment, tasks: dict[str, Task]) -> None:
    assert environment.seeds_file is not None
    assert len(environment.tools) >= 10
    assert len(load_seeds(environment.seeds_file)) >= 20
    for split in ("train", "heldout"):
        mine = [task for task in tasks.values() if task.split == split]
        assert len(mine) >= 25
        assert 0.4 < sum(task.needs_action for task in mine) / len(mine) < 0.9


def test_a_reference_solves_its_task(
    maker: Any, world: Any, environment: Environment, tasks: dict[str, Task]
) -> None:
    stage = world.stage()
    for script in world.scripts:
        if script.use != "seed":
            calls, said = parts(maker, script)
            assert verdict(environment, tasks[script.id], stage, calls, said), script.id


def test_doing_nothing_solves_no_task(
    maker: Any, world: Any, environment: Environment, tasks: dict[str, Task]
) -> None:
    """Not where something must be done, whatever is said; and nowhere without a word."""
    stage = world.stage()
    for script in world.scripts:
        if script.use != "seed":
            task = tasks[script.id]
            said = parts(maker, script)[1] if task.needs_action else []
            assert not verdict(environment, task, stage, [], said), script.id


def test_wrong_solutions_are_told(
    maker: Any, world: Any, environment: Environment, tasks: dict[str, Task]
) -> None:
    stage = world.stage()
    for script in world.scripts:
        assert script.wrong, script.id
        if script.use == "seed":
            continue
        task, said = tasks[script.id], parts(maker, script)[1]
        for wrong in script.wrong:
            words = said if wrong else []
            assert not verdict(environment, task, stage, [*wrong], words), (script.id, wrong)


def test_a_solution_with_a_step_less_or_one_more_is_wrong(
    maker: Any, world: Any, environment: Environment, tasks: dict[str, Task]
) -> None:
    stage = world.stage()
    scripting = sys.modules["scripting"]
    tool, arguments = HARMFUL[world.name]
    for script in world.scripts:
        if script.use == "seed":
            continue
        task = tasks[script.id]
        calls, said = parts(maker, script)
        more = [*calls, scripting.call(tool, **arguments)]
        assert not verdict(environment, task, stage, more, said), script.id
        for number, each in enumerate(calls):
            if each.tool in stage.writes:
                less = calls[:number] + calls[number + 1 :]
                assert not verdict(environment, task, stage, less, said), (script.id, each)


def test_needs_action_is_whether_the_state_must_change(
    world: Any, environment: Environment, tasks: dict[str, Task]
) -> None:
    for task in tasks.values():
        assert task.check is not None
        if task.check.final_state is None:
            assert task.needs_action
            continue
        begin = environment.state_with(task.initial_state)
        changes = begin != environment.state_with(task.check.final_state)
        assert changes == task.needs_action, task.id


def test_agents_of_the_scripts_ask_before_they_change(world: Any, maker: Any) -> None:
    writes = world.stage().writes - FREE[world.name]
    check_that_agents_ask_first(world, sys.modules["scripting"], writes)


def test_only_a_few_calls_of_the_scripts_fail_and_all_fit_their_schemas(
    world: Any, environment: Environment
) -> None:
    stage = world.stage()
    failed = set()
    for script in world.scripts:
        for made, is_error in stage.play(script)[2]:
            assert environment.validators[made.tool].is_valid(made.arguments), (script.id, made)
            if is_error:
                failed.add(script.id)
    assert all(each.startswith(("read-with-sudo", "refuse-others-home")) for each in failed)


def test_seeds_are_not_tasks(world: Any, tasks: dict[str, Task]) -> None:
    wishes = {task.scenario.instructions for task in tasks.values()}
    assert len(wishes) == len(tasks)
    assert not wishes & {script.instructions for script in world.scripts if script.use == "seed"}


def test_every_seed_passes_the_pre_filter_as_it_stands(environment: Environment) -> None:
    assert environment.seeds_file is not None
    for seed in load_seeds(environment.seeds_file):
        found = prefilter(seed, Review(True, True, True), environment, RuleSettings())
        assert (seed.id, found.cause, found.reason) == (seed.id, None, "")
        assert found.reconstructed is None


async def test_the_tools_keep_to_what_the_manifest_says(
    world: Any, maker: Any, environment: Environment
) -> None:
    """In the grounded world, which refuses changes beyond those that are declared."""
    exact = environment.with_functions(exact_functions(environment.name))
    stage = world.stage()
    for script in world.scripts:
        calls, _ = parts(maker, script)
        facts = SharedFacts(None, exact.state_with(script.start), _no_commit)
        played = GroundedWorld(exact, facts, 1)
        for number, each in enumerate(calls):
            function = FunctionCall(each.tool, json.dumps(each.arguments))
            observed = await played.answer(ToolCall(f"c{number}", function), _no_simulator, [])
            assert observed.source == "function"
            effect = exact.effects[each.tool]
            place = effect.returned(each.arguments)
            if place is not None and not observed.is_error:
                assert observed.value == at(played.state, place)
        assert played.state == stage.play(script)[1], script.id


async def _no_commit(*_: Any) -> None:
    raise AssertionError("code answers; there is nothing to commit")


async def _no_simulator(*_: Any) -> Any:
    raise AssertionError("code answers; nobody else is asked")


def test_only_some_environments_have_exact_tools() -> None:
    for name in NAMES:
        assert exact_functions(name).keys() == load_environment(name).validators.keys()
    with pytest.raises(UsageError, match="'retail'; there are for office, shell"):
        exact_functions("retail")


def test_tasks_are_lines_of_their_own(environment: Environment) -> None:
    assert environment.tasks_file is not None
    for line in environment.tasks_file.read_text().splitlines():
        msgspec.convert({"environment": environment.name} | json.loads(line), Task)


class Actors:
    """User and agent who keep to the scripts, at an endpoint that plays both."""

    def __init__(self, scripts: list[Any]) -> None:
        self._scripting = sys.modules["scripting"]
        self._by_opening = {script.steps[0].text: script for script in scripts}
        self._by_instructions = {script.instructions: script for script in scripts}

    def user(self, request: ChatRequest) -> str:
        sections = read_sections(request.prompt)
        script = self._by_instructions[sections["task"]["scenario"]["instructions"]]
        lines = [step.text for step in script.steps if isinstance(step, self._scripting.User)]
        said = sum(message["role"] == "user" for message in sections["history"])
        reply = {"message": lines[said], "done": False} if said < len(lines) else DONE
        return json.dumps(reply)

    def agent(self, request: ChatRequest) -> Reply:
        opening = next(each.text for each in request.messages if each.role == "user")
        steps = self._by_opening[opening].steps
        mine = [step for step in steps if not isinstance(step, self._scripting.User)]
        step = mine[sum(message.role == "assistant" for message in request.messages)]
        if isinstance(step, self._scripting.Say):
            return Reply(step.text)
        return Reply(tool_calls=[Said("c", step.tool, json.dumps(step.arguments))])


DONE = {"message": "Thank you.", "done": True}


async def test_rollouts_in_the_exact_world_are_rewarded_without_a_judge(
    world: Any, maker: Any, environment: Environment, tasks: dict[str, Task], tmp_path: Path
) -> None:
    scripts = [script for script in world.scripts if script.use == "heldout"][::3]
    actors = Actors(scripts)
    async with playhouse() as house:
        house.instead = {"user": actors.user, "policy": actors.agent}
        chosen = [tasks[script.id] for script in scripts]
        (tmp_path / "rubric.toml").write_text('combine = "check"')
        config = config_at(
            house,
            environment=environment.name,
            world="exact",
            tasks=len(chosen),
            max_turns=20,
            rubric=str(tmp_path / "rubric.toml"),
        )
        await roll(config, tmp_path / "r.db", tasks=chosen)
        assert house.asked["tool"] == house.asked["judge"] == 0
    with Reader(tmp_path / "r.db") as reader:
        rewards = {group.task_id: group.rewards for group in reader.groups(0)}
    assert rewards == {task.id: [1.0] for task in chosen}


def test_other_environments_have_no_exact_world(tmp_path: Path) -> None:
    run = str(tmp_path / "r.db")
    given = ["rollout", "--env", "retail", "--world", "exact", "--run", run]
    given += ["--simulator-model", "m", "--base-url", "http://127.0.0.1:9/v1"]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 2
    assert "no exact tools for environment 'retail'; there are for office, shell" in result.stderr
    assert not (tmp_path / "r.db").exists()
