"""The parts of the scripted server that need no socket: latency, quota, faults, shapes."""

import statistics
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simia_async.builtin.server.draws import draw
from simia_async.builtin.server.refusals import go_duration, retry_headers
from simia_async.errors import ConfigError
from simia_async.testing import FAULTS, CannotShape, Faults, Latency, Quota, shaped

SHARES = [draw(0, n) for n in range(4000)]


def test_draws_are_uniform_and_a_rerun_repeats_them() -> None:
    assert [draw(0, n) for n in range(4000)] == SHARES
    assert draw(1, 0) != draw(0, 0)
    assert 0 < min(SHARES) < 0.01
    assert 0.99 < max(SHARES) < 1
    assert statistics.mean(SHARES) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("words", "mean"),
    [
        ("none", 0),
        ("fixed:0.25", 0.25),
        ("uniform:1,3", 2),
        ("lognormal:1.0,0.5", 1),
        ("exponential:2", 2),
    ],
)
def test_a_distribution_has_the_mean_that_its_words_say(words: str, mean: float) -> None:
    drawn = [Latency.parse(words).quantile(share) for share in SHARES]
    assert statistics.mean(drawn) == pytest.approx(mean, rel=0.05)
    assert min(drawn) >= 0


@pytest.mark.parametrize(
    "words",
    ["", "soon", "fixed", "fixed:x", "fixed:-1", "uniform:3,1", "lognormal:0,1", "fixed:inf"],
)
def test_words_that_are_no_distribution_are_told_the_forms(words: str) -> None:
    with pytest.raises(ConfigError, match="lognormal:MEAN,SIGMA"):
        Latency.parse(words)


GAPS = st.lists(st.tuples(st.floats(0, 5), st.integers(0, 400)), min_size=1, max_size=60)


@settings(deadline=None)
@given(st.floats(1, 6000), st.floats(10, 60_000), st.floats(0.1, 60), GAPS)
def test_over_no_window_is_more_admitted_than_burst_and_rate_allow(
    rpm: float, tpm: float, burst_s: float, gaps: list[tuple[float, int]]
) -> None:
    quota, now = Quota(rpm, tpm, burst_s=burst_s), 100.0
    admitted: list[tuple[float, int]] = []
    for gap, tokens in gaps:
        now += gap
        if quota.admit(now, tokens).admitted:
            admitted.append((now, tokens))
    burst = max(1.0, rpm * burst_s / 60)
    largest = max(tokens for _, tokens in gaps)
    token_burst = max(1.0, tpm * burst_s / 60, largest)
    for first in range(len(admitted)):
        for last in range(first, len(admitted)):
            window = admitted[first : last + 1]
            seconds = window[-1][0] - window[0][0]
            assert len(window) <= burst + rpm / 60 * seconds + 1e-6
            assert sum(t for _, t in window) <= token_burst + tpm / 60 * seconds + 1e-6
    assert quota.statistics().admitted == len(admitted)
    assert quota.statistics().admitted_tokens == sum(t for _, t in admitted)


@settings(deadline=None)
@given(st.floats(1, 6000), st.floats(10, 60_000), GAPS)
def test_who_waits_as_long_as_told_is_admitted(
    rpm: float, tpm: float, gaps: list[tuple[float, int]]
) -> None:
    quota, now = Quota(rpm, tpm), 0.0
    for gap, tokens in gaps:
        now += gap
        verdict = quota.admit(now, tokens)
        if not verdict.admitted and not verdict.too_large:
            now += verdict.retry_after_s
            assert quota.admit(now, tokens).admitted


def test_a_bucket_holds_one_second_unless_told_otherwise() -> None:
    for quota, at_once in ((Quota(rpm=600), 10), (Quota(rpm=600, burst_s=60), 600)):
        assert [quota.admit(0).admitted for _ in range(700)].count(True) == at_once
    assert Quota(rpm=1).admit(0).admitted
    assert all(Quota().admit(0, 10**9).admitted for _ in range(10))


def test_the_limit_that_takes_longer_to_pass_is_the_one_that_is_told() -> None:
    quota = Quota(rpm=60, tpm=60)
    assert quota.admit(0, 1).admitted
    verdict = quota.admit(0, 1)
    assert (verdict.refused_for, verdict.retry_after_s) == ("requests", 1.0)
    quota = Quota(rpm=6000, tpm=6000)
    assert quota.admit(0, 100).admitted
    verdict = quota.admit(0, 50)
    assert (verdict.refused_for, verdict.retry_after_s) == ("tokens", 0.5)
    assert quota.statistics().refused_for_tokens == 1


def test_a_request_larger_than_the_bucket_leaves_a_debt() -> None:
    quota = Quota(tpm=600)  # 10 a second, and 10 at once
    assert quota.admit(0, 40).admitted
    assert quota.admit(0, 10).retry_after_s == pytest.approx(4)
    assert not quota.admit(3.9, 10).admitted
    assert quota.admit(4, 10).admitted
    assert quota.admit(1000, 601).too_large
    assert quota.admit(1000, 10).admitted


def test_overshoot_tells_how_far_the_asking_went_beyond_the_limit() -> None:
    polite, rude = Quota(rpm=60), Quota(rpm=60)
    for second in range(20):
        assert polite.admit(second).admitted
    for _ in range(20):
        rude.admit(0)
    assert polite.statistics().overshoot_requests == 0
    assert rude.statistics().overshoot_requests == pytest.approx(19)
    assert rude.statistics().refused_for_requests == 19


def test_new_limits_start_with_what_the_old_ones_have_left() -> None:
    old, new = Quota(rpm=600), Quota(rpm=6000)
    for _ in range(10):
        old.admit(5)
    new.continue_from(old, 5.1)
    assert [new.admit(5.1).admitted for _ in range(9)].count(True) == 1
    assert [new.admit(5.15).admitted for _ in range(9)].count(True) == 5


@pytest.mark.parametrize("limits", [{"rpm": 0}, {"tpm": -1}, {"rpm": 1, "burst_s": 0}])
def test_limits_that_admit_nothing_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="more than 0"):
        Quota(**limits)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0001, "1ms"),
        (0.02, "20ms"),
        (1, "1s"),
        (1.2, "1.2s"),
        (86.4, "1m26.4s"),
        (360, "6m0s"),
        (3600, "1h0m0s"),
        (7265.25, "2h1m5.25s"),
    ],
)
def test_durations_are_written_as_go_does(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text


def test_retry_after_never_tells_to_come_too_early() -> None:
    assert retry_headers(0.1) == {"retry-after": "1", "retry-after-ms": "100"}
    assert retry_headers(2) == {"retry-after": "2", "retry-after-ms": "2000"}


def test_faults_strike_as_often_as_told() -> None:
    faults = Faults.parse(["rate_limit=0.2,hang=0.1", "html=0.3"])
    assert faults == Faults(rate_limit=0.2, hang=0.1, html=0.3)
    struck = [faults.choose(share) for share in SHARES]
    for fault, share in (("rate_limit", 0.2), ("hang", 0.1), ("html", 0.3), (None, 0.4)):
        assert struck.count(fault) / len(struck) == pytest.approx(share, abs=0.03)
    assert {Faults(**{fault: 1.0}).choose(0.999) for fault in FAULTS} == set(FAULTS)


@pytest.mark.parametrize("words", ["rate_limit", "hang=often", "fire=0.1", "hang=0.6,drop=0.6"])
def test_faults_that_make_no_sense_are_refused(words: str) -> None:
    with pytest.raises(ConfigError, match="fault"):
        Faults.parse([words])


def bounded(low: str, high: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Keywords for a lower and an upper bound, either or both or none."""
    return st.tuples(values, values).flatmap(
        lambda pair: st.sampled_from(
            [{}, {low: min(pair)}, {high: max(pair)}, {low: min(pair), high: max(pair)}]
        )
    )


SCALARS = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(["boolean", "null", "string", "integer"])}),
    bounded("minimum", "maximum", st.integers(-1000, 1000)).map(lambda b: {"type": "integer", **b}),
    bounded("minimum", "maximum", st.floats(-1e6, 1e6)).map(lambda b: {"type": "number", **b}),
    st.sampled_from(
        [
            {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5},
            {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1e-9},
            {"type": "integer", "minimum": 7, "maximum": 30, "multipleOf": 7},
            {"type": "number", "minimum": 0, "multipleOf": 0.1},
            {"type": "integer", "multipleOf": 0.5},
            {"minimum": 5},
            {"type": ["string", "null"]},
            {"enum": ["a", 1, None, {"x": []}]},
            {"enum": ["a", 1], "type": "string"},
            {"const": {"deep": [1, 2]}},
            {"type": "string", "format": "date"},
            {"type": "string", "format": "email"},
            {"type": "string", "format": "date-time"},
            {"type": "string", "format": "uuid", "maxLength": 36},
            {"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 3}]},
            True,
            {},
        ]
    ),
    bounded("minLength", "maxLength", st.integers(0, 60)).map(lambda b: {"type": "string", **b}),
)


def larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Schemas made of schemas."""
    names = st.sampled_from("abcd")
    objects = st.builds(
        lambda properties, required, rest: {
            "type": "object",
            "properties": properties,
            "required": sorted(required & properties.keys()),
            **rest,
        },
        st.dictionaries(names, inner, max_size=4),
        st.sets(names),
        st.sampled_from([{}, {"additionalProperties": False}, {"minProperties": 1}]),
    ).filter(lambda s: s["properties"] or "minProperties" not in s)
    arrays = st.builds(
        lambda items, bounds: {"type": "array", "items": items, **bounds},
        inner,
        bounded("minItems", "maxItems", st.integers(0, 4)),
    )
    choices = st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options})
    return st.one_of(objects, arrays, choices)


@settings(max_examples=100, deadline=None)
@given(st.recursive(SCALARS, larger, max_leaves=12), st.integers(0, 5))
def test_what_is_shaped_is_valid_and_the_same_again(schema: Any, seed: int) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    value = shaped(schema, seed)
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.validate(value, schema, jsonschema.Draft202012Validator, format_checker=checker)
    assert shaped(schema, seed) == value


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/tree", "$defs": {"tree": {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
                "next": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]},
            },
            "required": ["value", "children", "next"],
            "additionalProperties": False,
        }}},
        {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "minItems": 3},
        {"type": "array", "prefixItems": [{"type": "string"}], "items": False, "minItems": 1},
        {"allOf": [
            {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"properties": {"a": {"minimum": 3}, "b": True}, "required": ["b"]},
        ]},
        {"type": "object", "minProperties": 3},
        {"type": "object", "required": ["x"], "additionalProperties": {"type": "integer"}},
    ],
)  # fmt: skip
def test_larger_shapes(schema: Any) -> None:
    for seed in range(20):
        jsonschema.validate(shaped(schema, seed), schema, jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": "string", "pattern": "^a+$"},
        {"type": "integer", "minimum": 2, "maximum": 1},
        {"type": "integer", "minimum": 1, "maximum": 6, "multipleOf": 7},
        {"type": "object", "required": ["x"], "additionalProperties": False},
        {"type": "object", "properties": {"x": False}, "required": ["x"]},
        {"$ref": "#"},
        {"$ref": "#/nowhere"},
        {"$ref": "https://example.com/schema"},
        {"type": "object", "properties": {"x": {"$ref": "#"}}, "required": ["x"]},
        {"type": "array", "items": {"type": "null"}, "uniqueItems": True, "minItems": 2},
        {"type": "array", "minItems": 10**9},
        {"type": "string", "minLength": 10**9},
        {"anyOf": [False]},
        {"enum": ["a"], "type": "integer"},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
    ],
)
def test_what_cannot_be_shaped_is_refused(schema: Any) -> None:
    with pytest.raises(CannotShape):
        shaped(schema, 0)
