"""What single observations are measured as, and how sure shares and means are."""

import math
import random
from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from simia_async.environments import load_environment
from simia_async.formats import Conversation
from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.meters.agreement import Pair, agree, ece, kappa
from simia_async.meters.figures import mean, share, share_of
from simia_async.meters.observations import Measured, measure
from simia_async.meters.seen import claims
from simia_async.meters.steps import Recorded, count_unanswered, read_steps
from simia_async.meters.tool_kinds import kind_of_tool
from simia_async.meters.values import canonical, read_observation, tells_error
from tests.planted_meters import altered

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from([1.5, 2.0]) | st.text("ab"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON)
def test_the_same_is_right_in_everything(value: Any) -> None:
    measured = measure(value, value, "tool {}", claims(value, "tool {}"))
    assert measured.usable
    assert measured.exact
    assert measured.error_agrees
    assert measured.keys_f1 in (None, 1.0)
    assert measured.leaves_f1 in (None, 1.0)
    assert measured.contradicted == 0


@given(JSON, JSON)
def test_every_measure_is_a_share_and_exact_is_the_best(one: Any, other: Any) -> None:
    measured = measure(one, other, "tool {}", {})
    for share_ in (measured.keys_f1, measured.leaves_f1):
        assert share_ is None or 0 <= share_ <= 1
    assert measured.exact == (canonical(one) == canonical(other))
    if measured.exact and measured.leaves_f1 is not None:
        assert measured.leaves_f1 == 1


@given(JSON)
def test_what_is_altered_is_never_exact(value: Any) -> None:
    assert not measure(value, altered(value), "tool {}", {}).exact


def test_the_measures_of_a_case_by_hand() -> None:
    recorded = {"id": "a", "items": [{"n": 1}, {"n": 2}], "total": 3.0}
    simulated = {"id": "a", "items": [{"n": 2}, {"n": 9}], "sum": 3}
    measured = measure(recorded, simulated, "get {}", {})
    assert not measured.exact
    assert measured.keys_f1 == pytest.approx(2 * 3 / (4 + 4))
    assert measured.leaves_f1 == pytest.approx(2 * 2 / (4 + 4))
    assert measure(recorded, {**recorded, "total": 3}, "get {}", {}).exact


def test_a_value_seen_before_and_still_true_may_not_be_denied() -> None:
    seen = {"flights": [{"flight_number": "H1", "price": 10, "seats": 5}], "user_id": "u"}
    known = claims(seen, "search {}")
    recorded = {"order_id": "o", "flight": {"flight_number": "H1", "price": 10, "seats": 4}}
    for price, seats, denied in ((10, 4, 0), (11, 4, 1), (10, 3, 0)):
        flight = {"flight_number": "H1", "price": price, "seats": seats}
        measured = measure(recorded, {"order_id": "o", "flight": flight}, "book {}", known)
        assert (measured.compared, measured.contradicted) == (1, denied)
    silent = measure(recorded, {"order_id": "o"}, "book {}", known)
    assert silent.consistent is None


def test_the_same_call_is_answered_alike() -> None:
    known = claims({"city": "Rome", "tags": ["x", "y"]}, "get {}")
    same = measure({"city": "Rome", "tags": ["y", "x"]}, {"city": "Rom"}, "get {}", known)
    assert (same.compared, same.contradicted) == (1, 1)
    other = measure({"city": "Rome"}, {"city": "Rom"}, "get 2", known)
    assert other.compared == 0


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("Error: no such flight", True),
        ('{"error": "no"}', True),
        ('{"error": null, "x": 1}', False),
        ('{"success": false}', True),
        ('{"is_error": true}', True),
        ('{"status": "ok"}', False),
        ("Transfer successful", False),
        ("", False),
    ],
)
def test_what_tells_of_an_error(text: str, error: bool) -> None:
    assert tells_error(read_observation(text)) is error


def test_nothing_is_right_in_nothing() -> None:
    of_error, of_object = Measured.nothing("Error: no"), Measured.nothing({"a": 1})
    assert (of_error.error_agrees, of_error.keys_f1, of_error.leaves_f1) == (False, None, None)
    assert (of_object.keys_f1, of_object.leaves_f1, of_object.consistent) == (0, 0, None)


def test_kinds_of_tools_are_declared_or_else_sound_like_it() -> None:
    environment = load_environment("airline")
    assert kind_of_tool(environment, "book_reservation") == "changes"
    assert kind_of_tool(environment, "think") == "looks up"
    sounds = {
        "getOrder": "looks up",
        "delete_all": "changes",
        "frobnicate": "unknown",
        "": "unknown",
    }
    assert {name: kind_of_tool(environment, name) for name in sounds} == sounds


def _call(number: int, name: str = "get_user_details") -> ToolCall:
    return ToolCall(f"c{number}", FunctionCall(name, f'{{"user_id": "u{number}"}}'))


def test_of_several_calls_the_one_that_is_meant_ends_the_history() -> None:
    said = [
        Message("system", "policy"),
        Message("user", "hi"),
        Message("assistant", "<think>hm</think>", [_call(1), _call(2), _call(3)]),
        Message("tool", '{"name": "B"}', tool_call_id="c2"),
        Message("tool", '{"name": "A"}', tool_call_id="c1"),
    ]
    recorded = [Recorded(Conversation(said, id="x"), {"users": {"u9": {"name": "Z"}}})]
    first, second = read_steps(recorded, load_environment("airline"))
    assert [step.call.id for step in (first, second)] == ["c2", "c1"]
    assert [message.role for message in first.history] == ["user", "assistant", "assistant"]
    assert first.history[1].content == ""
    assert first.history[-1].tool_calls == [first.call]
    assert second.history[-2].content == '{"name": "B"}'
    assert second.state == {"users": {"u9": {"name": "Z"}, "u2": {"name": "B"}}}
    assert second.last_of_tool == second.last == {"name": "B"}
    assert count_unanswered(recorded) == 1


@given(st.integers(0, 60), st.integers(0, 60))
def test_an_interval_holds_its_share(hits: int, misses: int) -> None:
    figure = share_of(hits, hits + misses)
    if not hits + misses:
        assert (figure.value, figure.low) == (None, None)
        return
    assert figure.value is not None
    assert figure.low is not None
    assert figure.high is not None
    assert 0 <= figure.low <= figure.value <= figure.high <= 1
    assert hits or figure.low == 0
    mirrored = share_of(misses, hits + misses)
    assert mirrored.low == pytest.approx(1 - figure.high)


def test_the_interval_of_newcombes_table() -> None:
    """R. G. Newcombe, 1998, table I, method 4."""
    for hits, total, low, high in (
        (81, 263, 0.2535, 0.3682),
        (15, 148, 0.0598, 0.1644),
        (0, 20, 0.0, 0.2005),
        (1, 29, 0.0018, 0.1963),
    ):
        figure = share_of(hits, total)
        assert (figure.low, figure.high) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize("truth", [0.03, 0.05, 0.2, 0.5, 0.7, 0.95])
@pytest.mark.parametrize("total", [20, 100, 621])
def test_the_interval_of_a_share_holds_the_truth_in_95_of_100(truth: float, total: int) -> None:
    held = 0.0
    for hits in range(total + 1):
        figure = share_of(hits, total)
        assert figure.low is not None
        assert figure.high is not None
        if figure.low <= truth <= figure.high:
            held += math.exp(
                math.lgamma(total + 1)
                - math.lgamma(hits + 1)
                - math.lgamma(total - hits + 1)
                + hits * math.log(truth)
                + (total - hits) * math.log(1 - truth)
            )
    assert held >= 0.95


def test_what_cannot_be_told_is_left_out() -> None:
    assert share([True, None, False, None]).n == 2
    assert mean([("a", None)]).value is None
    alone = mean([("a", 0.5), ("a", 1.0)])
    assert (alone.value, alone.n, alone.low) == (0.75, 2, None)


def test_more_conversations_make_a_mean_surer() -> None:
    chance = random.Random(1)
    values = [(number // 4, chance.random()) for number in range(1600)]
    widths = []
    for count in (40, 160, 640, 1600):
        figure = mean(values[:count])
        assert figure.low is not None
        assert figure.high is not None
        widths.append(figure.high - figure.low)
    assert all(wide > narrow for wide, narrow in pairwise(widths))


def test_kappa_and_calibration_by_hand() -> None:
    def pairs(*counts: int) -> list[Pair]:
        both = [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)]
        return [
            Pair(f"t{number}", "k", *rewards)
            for rewards, count in zip(both, counts, strict=True)
            for number in range(count)
        ]

    assert kappa(pairs(20, 5, 10, 15), 0.5) == pytest.approx(0.4)
    assert kappa(pairs(10, 0, 0, 0), 0.5) is None
    found = agree(pairs(20, 5, 10, 15))
    assert found.confusion == {
        "success, success": 20,
        "success, failure": 5,
        "failure, success": 10,
        "failure, failure": 15,
    }
    assert found.brier.value == pytest.approx(15 / 50)
    assert found.bias.value == pytest.approx(0.1)
    graded = [Pair("a", "k", 1.0, 0.75), Pair("b", "k", 0.0, 0.75), Pair("c", "k", 0.0, 0.1)]
    assert ece(graded) == pytest.approx((2 * 0.25 + 0.1) / 3)


def test_of_few_tasks_kappa_and_bias_have_no_interval() -> None:
    verdicts = ((1.0, 1.0), (0.0, 0.5), (1.0, 0.0), (0.0, 0.0), (1.0, 1.0))
    few = agree([Pair(str(n % 4), "k", *each) for n, each in enumerate(verdicts)])
    assert few.bias.value is not None
    assert few.bias.low is few.kappa.low is None
    enough = agree([Pair(str(n), "k", *each) for n, each in enumerate(verdicts * 2)])
    assert enough.bias.low is not None


def test_of_no_verdict_nothing_can_be_told() -> None:
    found = agree([])
    assert found.accuracy.value is found.kappa.value is found.ece.value is None
    assert (found.conversations, found.bins, found.by_kind) == (0, [], {})
