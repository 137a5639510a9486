"""Plans: what is seldom comes first, nobody starves, and nothing depends on what came of others."""

from collections import Counter
from itertools import islice
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simia_async.config import GenerateConfig
from simia_async.environments import Environment, Seed, load_environment, load_seeds
from simia_async.environments.seeds import successful
from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.synthesis.plans import PERSONAS, Plan, features_of, plans

TOOLS = [{"type": "function", "function": {"name": name}} for name in ("look", "write", "never")]
DESK = Environment("desk", "Be kind.", TOOLS, ending_tools=frozenset({"write"}))


def seed(name: str, *tools: str, observed: str = "{}") -> Seed:
    messages = [Message("user", "Hello")]
    for at, tool in enumerate(tools):
        call = ToolCall(f"c{at}", FunctionCall(tool, "{}"))
        messages.append(Message("assistant", tool_calls=[call]))
        messages.append(Message("tool", observed, tool_call_id=f"c{at}"))
    return Seed(name, [*messages, Message("assistant", "Done.")])


def first(count: int, seeds: list[Seed], **changes: object) -> list[Plan]:
    return list(islice(plans(seeds, DESK, GenerateConfig(**changes)), count))


def test_features_are_tools_and_branches() -> None:
    assert features_of(seed("a"), DESK) == {"branch: no call"}
    assert features_of(seed("a", "look"), DESK) == {"look"}
    assert features_of(seed("a", "write"), DESK) == {"write", "branch: handed over"}
    for observed in ("Error: no such order", '{"error": "no such order"}'):
        assert "branch: error" in features_of(seed("a", "look", observed=observed), DESK)


def test_a_seldom_tool_is_planned_as_often_as_the_cap_allows() -> None:
    seeds = [seed(f"look {n}", "look") for n in range(9)] + [seed("write", "write")]
    uses = Counter(plan.seed.id for plan in first(1000, seeds))
    assert min(uses.values()) > 0
    # One in ten seeds writes; it gets twice what the least used one gets, and not more.
    assert uses["write"] == pytest.approx(2 * min(uses.values()), abs=2)


def test_a_tool_that_no_seed_calls_is_asked_for_by_name() -> None:
    made = first(100, [seed("a", "look"), seed("b", "write")])
    asked = Counter(tool for plan in made for tool in plan.wishes.tools)
    assert asked["never"] > 10
    assert asked["never"] > 10 * asked["look"]


def test_plans_are_the_same_again() -> None:
    seeds = [seed("a", "look"), seed("b")]
    assert first(50, seeds) == first(50, seeds)
    assert first(50, seeds) != first(50, seeds, seed=1)
    # More being wanted changes nothing of what was planned before.
    assert first(50, seeds, n=9) == first(80, seeds, n=5000)[:50]


def test_wishes_follow_the_settings() -> None:
    wishes = [
        plan.wishes
        for plan in first(
            400,
            [seed("a", "look")],
            personas=("calm",),
            scenarios=("a wedding", "a move"),
            difficulty="hard",
            tool_errors=0.5,
            refusals=0.0,
            turns=12,
        )
    ]
    assert {wish.persona for wish in wishes} == {"calm"}
    assert {wish.scenario for wish in wishes} == {"a wedding", "a move"}
    assert {wish.difficulty for wish in wishes} == {"hard"}
    assert 0.4 < sum(wish.tool_error for wish in wishes) / len(wishes) < 0.6
    assert not any(wish.refusal for wish in wishes)
    assert {wish.turns for wish in wishes} == {12}


def test_without_settings_everything_varies() -> None:
    wishes = [plan.wishes for plan in first(300, [seed("a", "look")])]
    assert {wish.persona for wish in wishes} == set(PERSONAS)
    assert {wish.difficulty for wish in wishes} == {"easy", "medium", "hard"}
    assert {wish.turns for wish in wishes} == {4}
    # What is not wished for is not in the prompt at all.
    assert "scenario" not in msgspec.to_builtins(wishes[0])


@settings(max_examples=60, deadline=None, database=None)
@given(st.lists(st.lists(st.sampled_from(["look", "write", "x", "y"]), max_size=3), min_size=1))
def test_no_seed_is_used_more_than_twice_as_often_as_another(tools: list[list[str]]) -> None:
    seeds = [seed(str(at), *names) for at, names in enumerate(tools)]
    uses = Counter(plan.seed.id for plan in first(10 * len(seeds), seeds))
    assert len(uses) == len(seeds)
    assert max(uses.values()) <= 2 * min(uses.values())


def test_the_real_seeds_are_all_used(airline_seeds: Path) -> None:
    seeds = successful(load_seeds(airline_seeds))
    environment = load_environment("airline")
    made = list(islice(plans(seeds, environment, GenerateConfig()), 400))
    uses = Counter(plan.seed.id for plan in made)
    assert len(uses) == 31
    called = Counter(
        call.function.name
        for plan in made
        for message in plan.seed.messages
        for call in message.tool_calls or ()
    )
    assert set(called) == {
        name
        for one in seeds
        for name in features_of(one, environment)
        if not name.startswith("branch")
    }
