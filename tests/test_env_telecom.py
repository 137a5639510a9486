"""`telecom`: what its generator makes is what ships, its checks tell right from wrong, and users do
things on their phones.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from simia_store import Reader
from typer.testing import CliRunner

from simia_async.builtin.exact import exact_functions
from simia_async.builtin.exact.telecom.reception import mbps, signal
from simia_async.cli.main import app
from simia_async.environments import (
    Environment,
    Task,
    environment_tasks,
    load_environment,
    load_seeds,
    write_tasks,
)
from simia_async.environments.environment import LIBRARY
from simia_async.judging.case import Case, MadeCall
from simia_async.judging.checks import check_case
from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.simulation import Review
from simia_async.simulation.grounding import GroundedWorld, SharedFacts
from simia_async.simulation.grounding.entities import at
from simia_async.synthesis.prefilter import prefilter
from simia_async.synthesis.rules import RuleSettings
from tests.killed_rollouts import SIMIA, Kills, conversations, look, session
from tests.phone_actors import Actors, world_maker
from tests.rollout_servers import Playhouse, config_at, playhouse, roll, turns_of
from tests.world_scripts import check_that_agents_ask_first

Steps = list[Any]


@pytest.fixture(scope="module")
def maker() -> Iterator[Any]:
    with world_maker() as module:
        yield module


@pytest.fixture(scope="module")
def world(maker: Any) -> Any:
    return maker.TELECOM


@pytest.fixture(scope="module")
def scripting(maker: Any) -> Any:
    import scripting

    return scripting


@pytest.fixture(scope="module")
def environment() -> Environment:
    return load_environment("telecom")


@pytest.fixture(scope="module")
def tasks(environment: Environment) -> dict[str, Task]:
    return {task.id: task for task in environment_tasks(environment)}


@pytest.fixture(scope="module")
def scripts(world: Any) -> list[Any]:
    """Those that tasks are made of."""
    return [script for script in world.scripts if script.use != "seed"]


class Trial:
    """Judges what agent and user did, by a task's check."""

    def __init__(self, environment: Environment, stage: Any, scripting: Any) -> None:
        self._environment = environment
        self._stage = stage
        self._scripting = scripting

    def done(self, script: Any) -> Steps:
        """The calls of both sides in a script."""
        kinds = (self._scripting.Call, self._scripting.Device)
        return [step for step in script.steps if isinstance(step, kinds)]

    def said(self, script: Any) -> list[str]:
        return [step.text for step in script.steps if isinstance(step, self._scripting.Say)]

    def solves(self, task: Task, done: Steps, said: list[str]) -> bool:
        state = begin = self._environment.state_with(task.initial_state)
        made = []
        for each in done:
            _, state, failed = self._stage.answer(state, each)
            if isinstance(each, self._scripting.Call):
                made.append(MadeCall(each.tool, each.arguments, failed))
        assert task.check is not None
        assert task.check.final_state is not None
        wanted = self._environment.state_with(task.check.final_state)
        words = [Message("assistant", text) for text in said]
        criteria = check_case(Case(task, words, made, begin, state, wanted, (), finished=True))
        assert criteria is not None
        return all(criteria.values())

    def changes(self, task: Task, done: Steps) -> list[int]:
        """Which of the steps change the state."""
        state = self._environment.state_with(task.initial_state)
        found = []
        for number, each in enumerate(done):
            after = self._stage.answer(state, each)[1]
            if after != state:
                found.append(number)
            state = after
        return found


@pytest.fixture(scope="module")
def trial(environment: Environment, world: Any, scripting: Any) -> Trial:
    return Trial(environment, world.stage(), scripting)


def test_what_ships_is_what_the_generator_makes(maker: Any, world: Any) -> None:
    files = maker.files_of(world)
    assert "user_tools.json" in files
    for name, text in files.items():
        assert (LIBRARY / "telecom" / name).read_text(encoding="utf-8") == text, name


def test_there_is_enough_to_train_on(environment: Environment, tasks: dict[str, Task]) -> None:
    assert environment.seeds_file is not None
    assert len(environment.tools) >= 10
    assert len(environment.user_tools) >= 8
    assert len(load_seeds(environment.seeds_file)) >= 20
    assert len(tasks) >= 50
    assert len({task.scenario.instructions for task in tasks.values()}) == len(tasks)
    for split in ("train", "heldout"):
        mine = [task for task in tasks.values() if task.split == split]
        assert len(mine) >= 25
        assert 0.4 < sum(task.needs_action for task in mine) / len(mine) < 0.9


def test_every_tool_of_both_sides_is_exact(environment: Environment) -> None:
    both = environment.validators.keys() | environment.user_validators.keys()
    assert exact_functions("telecom").keys() == both
    assert both == environment.effects.keys()


def test_a_reference_solves_its_task(trial: Trial, scripts: Any, tasks: dict[str, Task]) -> None:
    for script in scripts:
        assert trial.solves(tasks[script.id], trial.done(script), trial.said(script)), script.id


def test_doing_nothing_solves_no_task(trial: Trial, scripts: Any, tasks: dict[str, Task]) -> None:
    """Not where something must be done, whatever is said; and nowhere without a word."""
    for script in scripts:
        task = tasks[script.id]
        said = trial.said(script) if task.needs_action else []
        assert not trial.solves(task, [], said), script.id


def test_a_change_less_or_one_more_is_wrong(
    trial: Trial, scripts: Any, tasks: dict[str, Task], scripting: Any
) -> None:
    """On either side: no agent succeeds whose user does half of it, nor the other way round."""
    more = [
        scripting.call("open_ticket", line_id="line_202", kind="check coverage"),
        scripting.device("set_wifi", on=True),
    ]
    for script in scripts:
        task, done, said = tasks[script.id], trial.done(script), trial.said(script)
        for each in more:
            assert not trial.solves(task, [*done, each], said), (script.id, each)
        for number in trial.changes(task, done):
            less = done[:number] + done[number + 1 :]
            assert not trial.solves(task, less, said), (script.id, done[number])


def test_wrong_solutions_are_told(trial: Trial, scripts: Any, tasks: dict[str, Task]) -> None:
    for script in scripts:
        for wrong in script.wrong:
            said = trial.said(script) if wrong else []
            assert not trial.solves(tasks[script.id], [*wrong], said), (script.id, wrong)


def test_needs_action_is_whether_the_state_must_change(
    environment: Environment, tasks: dict[str, Task]
) -> None:
    for task in tasks.values():
        assert task.check is not None
        assert task.check.final_state is not None
        begin = environment.state_with(task.initial_state)
        assert (begin != environment.state_with(task.check.final_state)) == task.needs_action


def test_what_was_out_of_order_works_in_the_end(
    trial: Trial, scripts: Any, environment: Environment, world: Any
) -> None:
    """Whoever changed something on a phone has service afterwards, and whoever measured the speed
    at last a good one; before, they had not.
    """
    stage, mended = world.stage(), 0
    for script in scripts:
        begin = environment.state_with(script.start)
        end = stage.play(script)[1]
        used = [step for step in trial.done(script) if step.tool in environment.user_validators]
        if begin["phone"] == end["phone"] or not used:
            continue
        mended += 1
        assert signal(end) == "connected", script.id
        if used[-1].tool == "run_speed_test":
            assert mbps(begin) < 20 <= mbps(end), script.id
        elif used[-1].tool in ("check_status_bar", "restart_phone"):
            assert signal(begin) != "connected", script.id
    assert mended >= 40


def test_agents_of_the_scripts_ask_before_they_change(world: Any, scripting: Any) -> None:
    check_that_agents_ask_first(world, scripting, world.stage().writes)


def test_every_seed_passes_the_pre_filter_and_shows_nothing_of_the_phone(
    environment: Environment,
) -> None:
    assert environment.seeds_file is not None
    for seed in load_seeds(environment.seeds_file):
        found = prefilter(seed, Review(True, True, True), environment, RuleSettings())
        assert (seed.id, found.cause, found.reason) == (seed.id, None, "")
        called = {c.function.name for m in seed.messages for c in m.tool_calls or ()}
        assert not called & environment.user_validators.keys()


async def test_the_tools_keep_to_what_the_manifest_says(
    world: Any, environment: Environment, trial: Trial
) -> None:
    """In the grounded world, which refuses changes beyond those that are declared."""
    exact = environment.with_functions(exact_functions("telecom"))
    stage, used = world.stage(), set()
    for script in world.scripts:
        facts = SharedFacts(None, exact.state_with(script.start), _nobody)
        played = GroundedWorld(exact, facts, 1)
        for number, each in enumerate(trial.done(script)):
            validators = exact.validators | exact.user_validators
            assert validators[each.tool].is_valid(each.arguments), (script.id, each)
            function = FunctionCall(each.tool, json.dumps(each.arguments))
            observed = await played.answer(ToolCall(f"c{number}", function), _nobody, [])
            assert observed.source == "function"
            assert not observed.is_error, (script.id, each, observed.text)
            place = exact.effects[each.tool].returned(each.arguments)
            assert place is None or observed.value == at(played.state, place)
            used.add(each.tool)
        assert played.state == stage.play(script)[1], script.id
    unused = exact.effects.keys() - used
    assert unused == {"check_vpn", "set_wifi"}


async def test_what_an_honest_llm_answers_is_taken_and_told_again_only_while_it_is_true(
    world: Any, environment: Environment, trial: Trial
) -> None:
    """Grounded, without functions: what phone and operator tell follows from what both change."""
    told = 0
    for script in world.scripts:
        begin = environment.state_with(script.start)
        played = GroundedWorld(environment, SharedFacts(1, begin, _committed), 1)
        for number, each in enumerate(trial.done(script)):
            true = exact_functions("telecom")[each.tool](played.state, **each.arguments)

            async def ask(_: Any, read: Any, answer: Any = true) -> Any:
                return read(msgspec.json.encode(answer).decode())

            function = FunctionCall(each.tool, json.dumps(each.arguments))
            observed = await played.answer(ToolCall(f"c{number}", function), ask, [])
            assert observed.value == true.observation, (script.id, each)
            told += observed.source == "fact"
    assert told > 100


async def _committed(*_: Any) -> None:
    """Facts are kept nowhere."""


async def _nobody(*_: Any) -> Any:
    raise AssertionError("code answers; nobody else is asked, and there is nothing to commit")


def test_the_environment_is_sound() -> None:
    result = CliRunner().invoke(app, ["env", "check", "telecom", "--json"])
    seen = json.loads(result.stdout)
    assert (result.exit_code, seen["problems"], seen["warnings"]) == (0, [], [])
    assert (seen["tools"], seen["user_tools"]) == (19, 22)


def perform(house: Playhouse, scripts: list[Any]) -> Actors:
    """User and agent take their places."""
    actors = Actors(scripts)
    house.instead = {"user": actors.user, "policy": actors.agent}
    return actors


async def test_rollouts_with_phones_in_the_exact_world(
    scripts: list[Any], tasks: dict[str, Task], environment: Environment, tmp_path: Path
) -> None:
    chosen = [script for script in scripts if script.use == "heldout"][::4]
    (tmp_path / "rubric.toml").write_text('combine = "check"')
    async with playhouse() as house:
        actors = perform(house, chosen)
        config = config_at(
            house,
            environment="telecom",
            world="exact",
            tasks=len(chosen),
            max_turns=20,
            rubric=str(tmp_path / "rubric.toml"),
        )
        await roll(config, tmp_path / "r.db", tasks=[tasks[script.id] for script in chosen])
        assert house.asked["tool"] == house.asked["judge"] == 0
    with Reader(tmp_path / "r.db") as reader:
        rewards = {group.task_id: group.rewards for group in reader.groups(0)}
        told = sum(each.detail["device_calls"] for each in reader.trajectories())
    assert rewards == {script.id: [1.0] for script in chosen}
    turns = [turn for its in turns_of(tmp_path / "r.db").values() for turn in its]
    assert told == sum(turn.role == "user_tool" for turn in turns) > 10
    names = environment.user_validators.keys()
    assert not [n for n in names for heard in actors.heard_by_agent if f'"{n}"' in heard]


def command(house: Playhouse, run: Path, place: Path, count: int) -> list[str]:
    """`simia rollout` as a user starts it."""
    (place / "rubric.toml").write_text('combine = "check"')
    given = {
        "env": "telecom",
        "world": "exact",
        "run": run,
        "tasks-file": place / "tasks.jsonl",
        "tasks": count,
        "group-size": 1,
        "max-turns": 20,
        "rubric": place / "rubric.toml",
        "base-url": house.base_url,
        "simulator-model": "world",
        "api-key-env": "",
        "policy-url": house.base_url,
        "policy-model": "agent",
        "policy-api-key-env": "",
    }
    flags = [part for name, value in given.items() for part in (f"--{name}", str(value))]
    return [*SIMIA, "rollout", *flags, "--json"]


async def test_a_run_killed_while_users_are_at_their_phones_is_the_run_that_was_not(
    scripts: list[Any], tasks: dict[str, Task], tmp_path: Path
) -> None:
    kinds = ("overdue-and-paid", "stale-registration", "abroad", "two-switches")
    chosen = [s for s in scripts if s.id.startswith(kinds) and s.use == "train"][:4]
    write_tasks(tmp_path / "tasks.jsonl", [tasks[script.id] for script in chosen])
    killed, whole = tmp_path / "killed.db", tmp_path / "whole.db"
    async with playhouse() as house:
        actors = perform(house, chosen)
        at_phones, waiting = anyio.Event(), 0

        async def hold(history: list[Any]) -> None:
            nonlocal waiting
            if history and history[-1]["role"] == "tool":
                waiting += 1
                if waiting == len(chosen):
                    at_phones.set()
                await anyio.sleep_forever()

        actors.hold = hold
        async with anyio.create_task_group() as group:

            async def kill() -> None:
                with anyio.fail_after(60):
                    await at_phones.wait()

            kills = Kills()
            await session(command(house, killed, tmp_path, len(chosen)), kills, kill)
            group.cancel_scope.cancel()
        cut = look(killed)
        assert sorted(cut.running()) == [1, 2, 3, 4]
        assert {turns[-1].role for turns in cut.turns.values()} == {"user_tool"}
        actors.hold = None
        heard = len(actors.heard_by_agent)
        await session(command(house, killed, tmp_path, len(chosen)), kills)
        again = len(actors.heard_by_agent) - heard
        config = config_at(
            house,
            environment="telecom",
            world="exact",
            tasks=len(chosen),
            tasks_file=str(tmp_path / "tasks.jsonl"),
            max_turns=20,
            rubric=str(tmp_path / "rubric.toml"),
        )
        await roll(config, whole)
    end = look(killed)
    for number, turns in cut.turns.items():
        assert end.turns[number][: len(turns)] == turns
    assert conversations(end) == conversations(look(whole))
    assert [each.reward for each in end.trajectories.values()] == [1.0] * 4
    spoken = sum(t.role == "assistant" for turns in end.turns.values() for t in turns)
    assert again == spoken - sum(
        t.role == "assistant" for turns in cut.turns.values() for t in turns
    )
