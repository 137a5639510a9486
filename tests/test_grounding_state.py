"""Patches of the state, the slice that a prompt carries, and what contradicts a state."""

import copy
import json
import time
from typing import Any

import jsonpatch
import jsonpointer
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simia_async.environments.tool_effects import ToolEffect
from simia_async.errors import BadReply
from simia_async.simulation.grounding import contradictions, state_slice
from simia_async.simulation.state import apply_ops
from tests.conftest import DATA

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from("ab"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab01"), inner),
    max_leaves=10,
)
STATE = st.dictionaries(st.sampled_from("ab01"), JSON, max_size=4)
POINTER = st.lists(st.sampled_from(["a", "b", "0", "1", "-", "~0"]), max_size=4).map(
    lambda parts: "".join(f"/{part}" for part in parts)
)
OPS = st.lists(
    st.fixed_dictionaries(
        {
            "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "add"]),
            "path": POINTER,
            "from": POINTER,
            "value": JSON,
        }
    ),
    max_size=4,
)


@given(STATE, OPS)
@settings(deadline=None, database=None, max_examples=500)
def test_a_patch_does_what_jsonpatch_does_to_a_copy_and_leaves_the_state_and_itself_alone(
    state: dict[str, Any], ops: list[dict[str, Any]]
) -> None:
    before, meant = copy.deepcopy(state), copy.deepcopy(ops)
    try:
        expected = jsonpatch.apply_patch(copy.deepcopy(state), copy.deepcopy(ops))
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError):
        expected = None
    if isinstance(expected, dict):
        patched = apply_ops(state, ops)
        # As JSON, since Python takes 1 for true.
        assert json.dumps(patched, sort_keys=True) == json.dumps(expected, sort_keys=True)
    else:
        with pytest.raises(BadReply):
            apply_ops(state, ops)
    assert (state, ops) == (before, meant)


@pytest.mark.parametrize(
    "op",
    [
        {"op": "replace", "path": f"/a/{'9' * 5000}", "value": 1},
        {"op": "replace", "path": "/a/٣", "value": 1},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "path": 3, "value": 1},
        {"op": "add", "path": "/a/-1", "value": 1},
        {"op": "move", "path": "/b", "from": None},
        {"op": ["add"], "path": "/b", "value": 1},
        {"path": "/b"},
        {},
    ],
)
def test_an_odd_operation_is_a_bad_reply(op: dict[str, Any]) -> None:
    with pytest.raises(BadReply, match="its change does not fit the state"):
        apply_ops({"a": [1]}, [op])


def tau2_retail() -> dict[str, Any]:
    path = DATA / "tau2" / "retail" / "db.json"
    if not path.exists():
        pytest.skip(f"the real environments are not beside this checkout ({path})")
    state: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    return state


def test_one_operation_on_a_state_of_a_megabyte_costs_less_than_a_millisecond() -> None:
    state = tau2_retail()
    op = {"op": "replace", "path": "/orders/#W2611340/status", "value": "lost"}
    seconds = []
    for _ in range(20):
        begun = time.perf_counter()
        patched = apply_ops(state, [op])
        seconds.append(time.perf_counter() - begun)
    assert min(seconds) < 0.001
    assert patched["orders"]["#W2611340"]["status"] == "lost"
    assert state["orders"]["#W2611340"]["status"] == "processed"
    assert patched["users"] is state["users"]


SHOP: dict[str, Any] = {
    "currency": "EUR",
    "users": {
        f"U{n}": {"name": f"Ann {n}", "address": {"zip": f"{n:05}"}, "orders": [f"W{n}"]}
        for n in range(50)
    },
    "orders": {
        f"W{n}": {"order_id": f"W{n}", "user_id": f"U{n}", "lines": [{"product_id": f"P{n % 3}"}]}
        for n in range(50)
    },
    "products": {f"P{n}": {"product_id": f"P{n}", "price": n + 1, "tags": ["x"]} for n in range(3)},
}


def size(value: Any) -> int:
    return len(msgspec.json.encode(value))


def test_a_small_state_is_shown_whole() -> None:
    assert state_slice(SHOP, {}, size(SHOP) * 2) is SHOP


def test_a_slice_holds_what_is_named_what_that_refers_to_and_counts_of_the_rest() -> None:
    shown = state_slice(SHOP, {"order": {"ids": ["W7"]}}, 2000)
    assert shown == {
        "currency": "EUR",
        "orders": {"W7": SHOP["orders"]["W7"]},
        "users": {"U7": SHOP["users"]["U7"]},
        "products": {"P1": SHOP["products"]["P1"]},
        "_omitted": {"users": 49, "orders": 49, "products": 2},
    }


def test_a_slice_for_arguments_without_ids_holds_who_fits_them_best() -> None:
    shown = state_slice(SHOP, {"name": "Ann 9", "zip": "00009"}, 2000)
    assert list(shown["users"]) == ["U9"]
    assert list(shown["orders"]) == ["W9"]


def test_a_slice_for_no_arguments_is_an_outline_as_far_as_it_fits() -> None:
    shown = state_slice(SHOP, {}, 1000)
    assert shown["products"]["P2"] == {"product_id": "P2", "price": 3}
    assert "orders" not in shown
    assert shown["_omitted"] == {"users": 50, "orders": 50, "products": 3}


def test_a_slice_finds_collections_on_the_second_level_and_counts_other_big_parts() -> None:
    state = {"shop": SHOP, "log": list(range(3000))}
    shown = state_slice(state, {"order_id": "W7"}, 2000)
    assert shown["shop"]["orders"] == {"W7": SHOP["orders"]["W7"]}
    assert shown["_omitted"] == {
        "log": 3000,
        "shop/users": 49,
        "shop/orders": 49,
        "shop/products": 2,
    }


def test_an_entity_that_is_named_is_shown_however_big_it_is() -> None:
    state = {"orders": {"W1": {"note": "x" * 9000}, "W2": {"note": "y" * 9000}}}
    shown = state_slice(state, {"a": "W1", "b": "W2"})
    assert list(shown["orders"]) == ["W1"]
    assert shown["_omitted"] == {"orders": 1}


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=5), STATE, st.integers(0, 200))
@settings(deadline=None, database=None, max_examples=200)
def test_a_slice_of_any_state_can_be_taken_twice_and_is_bounded(
    state: dict[str, Any], arguments: dict[str, Any], limit: int
) -> None:
    shown = state_slice(state, arguments, limit)
    assert shown == state_slice(copy.deepcopy(state), arguments, limit)
    entities = [
        size(inner)
        for value in state.values()
        if isinstance(value, dict)
        for inner in [value, *value.values()]
    ]
    assert (
        size({**shown, "_omitted": 0}) <= limit + max(entities, default=0) + 100 or shown is state
    )


def test_a_slice_of_a_real_database_is_small() -> None:
    state = tau2_retail()
    shown = state_slice(state, {"order_id": "#W2611340"})
    assert shown["orders"]["#W2611340"] == state["orders"]["#W2611340"]
    assert list(shown["users"]) == ["james_li_5688"]
    assert list(shown["products"])
    found = state_slice(state, {"email": "noah.brown7922@example.com"})
    assert list(found["users"]) == ["noah_brown_6181"]
    for arguments in ({}, {"order_id": "#W2611340"}, {"email": "noah.brown7922@example.com"}):
        assert size(state_slice(state, arguments)) < 12_000


EFFECTS = {"get_user": ToolEffect("read", "/users/{user_id}")}
ORDER = {"order_id": "W7", "user_id": "U7"}


@pytest.mark.parametrize(
    "observation",
    [
        ORDER,
        {**ORDER, "carrier": "new"},
        {"user_id": "U7", "name": "Ann 7", "orders": ["W7"]},
        {"user_id": "U7", "orders": [{"order_id": "W7", "total": 3}]},
        {"user_id": "U7", "address": "00007, Bonn"},
        {"product_id": "P1", "price": 2.0},
        [{"product_id": "P0", "price": 1}, {"product_id": "P9", "price": 99}],
        {**ORDER, "name": "Ann 3"},
        {"order_id": "W99", "user_id": "U7", "name": "a gift"},
        {"order_id": "W99", "lines": [{"product_id": "P1", "price": 77}]},
        {"order_id": "W99", "product_id": "P1", "price": 77},
        "W7",
        None,
        {"order_id": None},
        {"order_id": ["W7"]},
    ],
)
def test_what_is_new_or_said_otherwise_contradicts_nothing(observation: Any) -> None:
    assert contradictions(observation, SHOP, EFFECTS) == []


@pytest.mark.parametrize(
    ("observation", "path"),
    [
        ({"order_id": "W7", "user_id": "U8"}, "/orders/W7/user_id"),
        ({"order": {"order_id": "W7", "user_id": None}}, "/orders/W7/user_id"),
        ({"order_id": "W7", "lines": []}, "/orders/W7/lines"),
        ({"order_id": "W7", "lines": [{"product_id": "P2"}]}, "/orders/W7/lines/0/product_id"),
        (
            [{"product_id": "P0", "price": 1}, {"product_id": "P1", "price": 9}],
            "/products/P1/price",
        ),
        ({"user_id": "U7", "orders": ["W7", "W99"]}, "/users/U7/orders"),
        ({"user_id": "U7", "address": {"zip": "1"}}, "/users/U7/address/zip"),
        ({"result": [{"user_id": "U7", "name": "Bob"}]}, "/users/U7/name"),
    ],
)
def test_what_the_state_denies_is_told_with_its_path(observation: Any, path: str) -> None:
    [sentence] = contradictions(observation, SHOP, EFFECTS)
    assert f" at {path} of the state, where " in sentence


def test_a_contradiction_names_what_is_said_and_what_is_true() -> None:
    assert contradictions({"product_id": "P1", "price": 9}, SHOP, {}) == [
        "the observation says 9 at /products/P1/price of the state, where 2 is"
    ]


def test_an_observation_known_to_be_about_a_part_needs_no_id() -> None:
    about = ("products", "P1")
    [sentence] = contradictions({"price": 9}, SHOP, {}, about)
    assert "/products/P1/price" in sentence
    assert contradictions({"price": 9}, SHOP, {}, ("products", "P9")) == []


def test_every_entity_of_a_real_database_is_in_keeping_with_it() -> None:
    state = tau2_retail()
    for table in state.values():
        for entity in list(table.values())[:20]:
            assert contradictions(entity, state, {}) == []
            assert contradictions([{"found": entity}], state, {}) == []
