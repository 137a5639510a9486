"""Judging: exact checks, rubrics in files, votes of an LLM, and the rewards they make."""

import copy
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from simia_store import CallRecord

from simia_async.builtin.server import completion
from simia_async.clients import ChatClient
from simia_async.config.document import toml_value
from simia_async.environments import (
    CallPattern,
    Check,
    Criterion,
    Environment,
    Scenario,
    Task,
    load_environment,
)
from simia_async.errors import BadReply, EndpointRefused, UsageError
from simia_async.judging import (
    Case,
    Judge,
    MadeCall,
    Rubric,
    Verdict,
    check_exactly,
    check_judgeable,
    load_rubric,
)
from simia_async.judging.checks import same_json
from simia_async.judging.votes import Vote, tally
from simia_async.messages import Message
from simia_async.simulation.prompts import read_sections

quick = settings(deadline=None, database=None, max_examples=60)

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.sampled_from([0.0, 1.0, 0.5])
    | st.text("ab"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab"), inner, max_size=2),
    max_leaves=5,
)
ARGUMENTS = st.dictionaries(st.sampled_from("abcd"), JSON_VALUES)


# --- exact checks


def as_unlike_python(value: Any) -> Any:
    """The same, so that Python takes no number for a truth value."""
    match value:
        case bool():
            return ("bool", value)
        case int() | float():
            return ("number", Fraction(value))
        case list():
            return [as_unlike_python(each) for each in value]
        case dict():
            return {name: as_unlike_python(each) for name, each in value.items()}
    return value


@quick
@given(JSON_VALUES, JSON_VALUES)
def test_values_are_the_same_as_json_knows_them(one: Any, other: Any) -> None:
    assert same_json(one, copy.deepcopy(one))
    assert same_json(one, other) == (as_unlike_python(one) == as_unlike_python(other))


def checked(check: Check, *made: MadeCall, state: Any = None) -> dict[str, bool]:
    return check_exactly(check, state or {}, [], made, finished=True)


@quick
@given(ARGUMENTS, st.data())
def test_a_call_is_the_one_meant_if_its_arguments_hold_at_least_those(
    arguments: dict[str, Any], data: st.DataObject
) -> None:
    names = data.draw(st.sets(st.sampled_from(sorted(arguments)))) if arguments else set()
    pattern = CallPattern("pay", {name: arguments[name] for name in names})
    required = Check(required_calls=(pattern,))
    forbidden = Check(forbidden_calls=(pattern,))
    made = MadeCall("pay", arguments)
    assert checked(required, made)["required_calls"]
    assert not checked(forbidden, made)["forbidden_calls"]
    for other in (MadeCall("pay", arguments, is_error=True), MadeCall("refund", arguments)):
        assert not checked(required, other)["required_calls"]
    assert checked(forbidden, MadeCall("refund", arguments))["forbidden_calls"]
    # What was tried and failed was forbidden all the same.
    assert not checked(forbidden, MadeCall("pay", arguments, is_error=True))["forbidden_calls"]


@quick
@given(ARGUMENTS, st.sampled_from("abcd"), JSON_VALUES)
def test_a_call_with_another_value_is_not_the_one_meant(
    arguments: dict[str, Any], name: str, value: Any
) -> None:
    assume(not (name in arguments and same_json(arguments[name], value)))
    required = Check(required_calls=(CallPattern("pay", {name: value}),))
    assert not checked(required, MadeCall("pay", arguments))["required_calls"]


def test_every_required_call_must_be_made_and_no_forbidden_one() -> None:
    both = (CallPattern("a"), CallPattern("b"))
    assert not checked(Check(required_calls=both), MadeCall("a", {}))["required_calls"]
    assert checked(Check(required_calls=both), MadeCall("b", {}), MadeCall("a", {}))[
        "required_calls"
    ]
    assert not checked(Check(forbidden_calls=both), MadeCall("b", {}))["forbidden_calls"]


def test_calls_are_criteria_only_where_the_check_speaks_of_them() -> None:
    assert set(checked(Check())) == {"state", "said", "finished"}


@pytest.mark.parametrize(
    ("wanted", "state", "holds"),
    [(None, {"a": 1}, True), ({"a": 1}, {"a": 1.0}, True), ({"a": 1}, {"a": True}, False)],
)
def test_the_state_must_be_the_wanted_one_where_one_is(
    wanted: Any, state: Any, holds: bool
) -> None:
    assert checked(Check(wanted), state=state)["state"] is holds


# --- rubrics in files

NAMES = st.lists(st.text(min_size=1).filter(str.strip), max_size=3, unique_by=str.strip)
RUBRICS = st.builds(
    Rubric,
    criteria=NAMES.flatmap(
        lambda names: st.tuples(
            *(
                st.builds(Criterion, st.just(name), st.text(), st.floats(0.1, 100.0))
                for name in names
            )
        )
    ),
    combine=st.sampled_from(["judge", "check", "gate", "product", "mean", "min"]),
    votes=st.integers(1, 9),
    instructions=st.text(),
)


def as_toml(rubric: Rubric) -> str:
    lines = [f"{name} = {toml_value(getattr(rubric, name))}" for name in ("combine", "votes")]
    lines.append(f"instructions = {toml_value(rubric.instructions)}")
    for criterion in rubric.criteria:
        lines.append("[[criteria]]")
        lines += [f"{k} = {toml_value(v)}" for k, v in msgspec.structs.asdict(criterion).items()]
    return "\n".join(lines)


@quick
@given(rubric=RUBRICS)
def test_a_rubric_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, rubric: Rubric
) -> None:
    path = tmp_path_factory.mktemp("rubric") / "r.toml"
    path.write_text(as_toml(rubric), encoding="utf-8")
    assert load_rubric(path) == rubric


CRITERION = '[[criteria]]\nname = "kind"\ndescription = "It is."\n'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("votes = 0", "`votes`: expected `int` >= 1, found 0"),
        (
            'combine = "max"',
            "`combine`: found 'max'; it must be one of judge, check, gate, product",
        ),
        ("voices = 3", "found 'voices'; known are criteria, combine, votes, instructions"),
        ("votes = ", "is not usable TOML: Invalid value"),
        (CRITERION + "weight = 0", "[[criteria]] number 1: `weight`: expected `float` > 0.0"),
        (
            CRITERION + CRITERION.replace("kind", "brief").replace("description", "text"),
            "[[criteria]] number 2: found 'text'; known are name, description, weight",
        ),
        ('[[criteria]]\nname = "kind"', "[[criteria]] number 1: `description` is missing"),
        ("criteria = 3", "`criteria`: expected `array`, got `int`, found 3"),
        (CRITERION * 2, "'kind' is the `name` of two [[criteria]]; give each its own"),
        (CRITERION.replace("kind", " "), "the `name` of one of the [[criteria]] is empty"),
    ],
)
def test_a_wrong_rubric_is_refused_with_the_place_and_what_was_found(
    tmp_path: Path, text: str, problem: str
) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as refused:
        load_rubric(path)
    assert str(refused.value).startswith(f"{path}: {problem}")


def test_a_rubric_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml: No such file"):
        load_rubric(tmp_path / "none.toml")


def a_task(check: Check | None = None, **more: Any) -> Task:
    return Task(
        id="t1",
        environment="mini-retail",
        split="train",
        scenario=Scenario("You want W1 cancelled."),
        initial_state={"orders": {}},
        needs_action=True,
        goal="W1 is cancelled.",
        check=check,
        **more,
    )


def test_a_reward_of_the_check_alone_needs_one() -> None:
    check_judgeable(Rubric(combine="check"), [a_task(Check())])
    check_judgeable(Rubric(combine="mean"), [a_task()])
    with pytest.raises(UsageError, match="task 't1' has no exact `check`"):
        check_judgeable(Rubric(combine="check"), [a_task(Check()), a_task()])


# --- votes


WEIGHTS = st.lists(st.floats(0.1, 10), min_size=1, max_size=4)


@quick
@given(WEIGHTS, st.integers(1, 5), st.data())
def test_the_majority_decides_each_criterion_and_weights_their_share(
    weights: list[float], count: int, data: st.DataObject
) -> None:
    criteria = [Criterion(f"c{n}", "", weight) for n, weight in enumerate(weights)]
    said = data.draw(
        st.lists(
            st.lists(st.booleans(), min_size=len(weights), max_size=len(weights)),
            min_size=count,
            max_size=count,
        )
    )
    names = [criterion.name for criterion in criteria]
    votes = [Vote(0.0, "", dict(zip(names, each, strict=True))) for each in said]
    counted = tally(votes, criteria)
    yes = [sum(each[n] for each in said) for n in range(len(weights))]
    assert counted.criteria == {name: y * 2 > count for name, y in zip(names, yes, strict=True)}
    met = sum(w for w, y in zip(weights, yes, strict=True) if y * 2 > count)
    assert counted.reward == pytest.approx(met / sum(weights))
    with_it = [max(y, count - y) / count for y in yes]
    assert counted.agreement == pytest.approx(sum(with_it) / len(with_it))


def test_numbers_are_averaged_and_rewards_without_criteria_have_their_median() -> None:
    kind = [Criterion("kind", "")]
    votes = [Vote(0.0, "", {"kind": 0.25}), Vote(0.0, "", {"kind": True})]
    assert tally(votes, kind).criteria == {"kind": 0.625}
    votes = [Vote(0.0, "bad", {}), Vote(0.9, "good", {}), Vote(1.0, "best", {"kind": True})]
    counted = tally(votes, [])
    assert (counted.reward, counted.reasoning) == (0.9, "good")
    assert (counted.agreement, counted.criteria) == (pytest.approx(2 / 3), {})


# --- the judge, asking an endpoint

ENVIRONMENT = load_environment("mini-retail")
KIND = Criterion("kind", "It is.", 3.0)
BRIEF = Criterion("brief", "It is too.", 1.0)


def a_case(task: Task, state: dict[str, Any] | None = None, **more: Any) -> Case:
    fields: dict[str, Any] = {
        "task": task,
        "history": [Message("user", "Hi."), Message("assistant", "Done.")],
        "made": [],
        "initial_state": task.initial_state,
        "final_state": task.initial_state if state is None else state,
        "wanted_state": task.check.final_state if task.check else None,
        "changes": [],
        "finished": True,
    }
    return Case(**{**fields, **more})


class Bench:
    """A judge's endpoint that answers by what `say` gives for the seed; None is refused."""

    def __init__(self, start: Any) -> None:
        self.requests: list[dict[str, Any]] = []
        self.ledger: list[CallRecord] = []
        self._start = start

    async def judge(
        self,
        rubric: Rubric,
        case: Case,
        say: Any = None,
        environment: Environment = ENVIRONMENT,
    ) -> Verdict:
        async def answer(request: web.Request) -> web.Response:
            body = await request.json()
            self.requests.append(body)
            said = say(body) if say else {"reward": 1, "reasoning": "fine"}
            if said is None:
                return web.json_response({"error": {"message": "no"}}, status=422)
            return web.json_response(completion("m", msgspec.json.encode(said).decode(), 1))

        endpoint = await self._start(answer)
        async with ChatClient.connect(endpoint) as client:
            return await Judge(client, environment, rubric).judge(case, self.ledger, 7)

    def sections(self) -> dict[str, Any]:
        return read_sections(self.requests[0]["messages"][1]["content"])


@pytest.fixture
def bench(start: Any) -> Bench:
    return Bench(start)


async def test_the_judge_is_shown_all_that_it_needs_and_no_database(bench: Bench) -> None:
    check = Check({"orders": {"W1": "cancelled"}}, must_say=(("done",),))
    large = {"orders": {str(n): "x" * 100 for n in range(60)}}
    changes = [{"op": "replace", "path": "/orders/W1", "value": "cancelled"}]
    rubric = Rubric(instructions="Be strict.", criteria=(KIND,))
    case = a_case(a_task(check, rubric=(BRIEF,)), large, changes=changes, wanted_state=large)
    await bench.judge(rubric, case, lambda _: {"criteria": {"kind": True}, "reward": 1})
    shown = bench.sections()
    assert list(shown) == ["environment", "tools", "task", "state", "history"]
    assert shown["environment"]["policy"] == ENVIRONMENT.policy
    assert shown["tools"] == ENVIRONMENT.tools
    assert shown["state"] == {"changes": changes, "final": None}
    assert shown["task"]["check"]["final_state"] == check.final_state
    assert [each["name"] for each in shown["task"]["rubric"]] == ["kind"]
    assert shown["task"]["instructions"] == "Be strict."
    assert [each["role"] for each in shown["history"]] == ["user", "assistant"]


async def test_a_small_state_is_shown_whole_beside_the_one_that_is_wanted(bench: Bench) -> None:
    state = {"orders": {"W1": "cancelled"}, "users": {}}
    case = a_case(a_task(Check({"orders": {"W1": "cancelled"}})), state, wanted_state=state)
    verdict = await bench.judge(Rubric(), case)
    shown = bench.sections()
    assert shown["state"]["final"] == shown["task"]["check"]["final_state"] == state
    assert "instructions" not in shown["task"]
    assert (verdict.reward, verdict.solved) == (1.0, True)


async def test_the_tasks_own_criteria_count_where_the_rubric_has_none(bench: Bench) -> None:
    def say(_: Any) -> Any:
        return {"criteria": {"brief": True, "kind": False}, "reward": 1, "reasoning": "hm"}

    verdict = await bench.judge(Rubric(), a_case(a_task(rubric=(BRIEF, KIND))), say)
    # One of four: what the LLM makes of its own criteria is not believed.
    assert (verdict.reward, verdict.reason) == (0.25, "hm")
    assert verdict.detail == {"criteria": {"brief": True, "kind": False}}
    assert verdict.solved is None


async def test_an_answer_that_leaves_a_criterion_out_is_complained_about(bench: Bench) -> None:
    answers = iter([{"kind": "very"}, {"kind": 0.5}])

    def say(_: Any) -> Any:
        return {"criteria": next(answers), "reward": 1}

    verdict = await bench.judge(Rubric(criteria=(KIND,)), a_case(a_task()), say)
    assert verdict.reward == 0.5
    assert "`criteria` lacks kind" in bench.requests[1]["messages"][-1]["content"]


@pytest.mark.parametrize("votes", [1, 3])
async def test_votes_are_asked_for_with_seeds_of_their_own(bench: Bench, votes: int) -> None:
    def say(body: Any) -> Any:
        return {"criteria": {"kind": body.get("seed", 0) < 2}, "reward": 0, "reasoning": "so"}

    verdict = await bench.judge(Rubric(criteria=(KIND,), votes=votes), a_case(a_task()), say)
    assert verdict.reward == 1.0
    seeds = sorted(body.get("seed", -1) for body in bench.requests)
    assert seeds == ([-1] if votes == 1 else [0, 1, 2])
    assert len(bench.ledger) == votes
    if votes > 1:
        assert [vote["reward"] for vote in verdict.detail["votes"]] == [1.0, 1.0, 0.0]
        assert verdict.detail["agreement"] == pytest.approx(2 / 3)


async def test_a_minority_of_votes_may_be_lost_and_a_half_may_not(bench: Bench) -> None:
    def one_fails(body: Any) -> Any:
        return None if body["seed"] == 1 else {"reward": body["seed"] / 2}

    verdict = await bench.judge(Rubric(votes=3), a_case(a_task()), one_fails)
    assert verdict.reward == 0.5
    assert len(verdict.detail["votes"]) == 2
    with pytest.raises(EndpointRefused, match="HTTP 422"):
        await bench.judge(Rubric(votes=2), a_case(a_task()), one_fails)


async def test_a_judge_that_talks_nonsense_gives_no_verdict(bench: Bench) -> None:
    with pytest.raises(BadReply, match="role judge"):
        await bench.judge(Rubric(), a_case(a_task()), lambda _: {"reward": 10})


@pytest.mark.parametrize(
    ("combine", "holds", "reward", "asked"),
    [
        ("judge", False, 0.5, 1),
        ("check", True, 1.0, 0),
        ("check", False, 0.0, 0),
        ("gate", True, 0.5, 1),
        ("gate", False, 0.0, 0),
        ("product", True, 0.5, 1),
        ("product", False, 0.0, 1),
        ("mean", True, 0.75, 1),
        ("mean", False, 0.25, 1),
        ("min", True, 0.5, 1),
        ("min", False, 0.0, 1),
    ],
)
async def test_check_and_llm_make_a_reward_together(
    bench: Bench, combine: Any, holds: bool, reward: float, asked: int
) -> None:
    case = a_case(a_task(Check(must_say=(("done" if holds else "sorry",),))))
    verdict = await bench.judge(Rubric(combine=combine), case, lambda _: {"reward": 0.5})
    assert (verdict.reward, verdict.solved, len(bench.requests)) == (reward, holds, asked)
    assert verdict.detail["checks"] == {"state": True, "said": holds, "finished": True}
    if not asked:
        assert verdict.reason == ("all as wanted" if holds else "not as wanted: said")


@pytest.mark.parametrize("combine", ["judge", "gate", "product", "mean", "min"])
async def test_without_a_check_the_llm_decides_alone(bench: Bench, combine: Any) -> None:
    verdict = await bench.judge(
        Rubric(combine=combine), a_case(a_task()), lambda _: {"reward": 0.5}
    )
    assert (verdict.reward, verdict.solved) == (0.5, None)


async def test_code_alone_judges_without_an_endpoint() -> None:
    judge = Judge(None, ENVIRONMENT, Rubric(combine="check"))
    assert (await judge.judge(a_case(a_task(Check())), [], 1)).reward == 1.0
