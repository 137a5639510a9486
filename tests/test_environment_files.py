"""State, schema and prompts of a directory; τ²-bench's directories; the library's own worlds."""

import json
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simia_async.environments import (
    Environment,
    Seed,
    environment_tasks,
    load_environment,
    load_seeds,
)
from simia_async.environments.environment import library_names
from simia_async.environments.prompt_files import ROLES
from simia_async.environments.seeds import called_tools
from simia_async.environments.starting import TEMPLATE
from simia_async.environments.state_files import merged
from simia_async.errors import UsageError
from simia_async.simulation.prompts import SimulatorRole
from simia_async.synthesis.rules import apply_rules

TAU2 = Path(__file__).parents[2] / "shared" / "data" / "tau2"

SCHEMA = {"properties": {"orders": {"additionalProperties": {"type": "string"}}}}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "policy.md").write_text("Be kind.")
    (tmp_path / "tools.json").write_text('[{"function": {"name": "look_up"}}]')
    return tmp_path


def test_state_schema_and_prompts_are_read(directory: Path) -> None:
    (directory / "state.json").write_text('{"orders": {"W1": "shipped"}}')
    (directory / "state.schema.json").write_text(json.dumps(SCHEMA))
    (directory / "prompts").mkdir()
    (directory / "prompts" / "judge.md").write_text("Judge mildly.\n")
    (directory / "prompts" / ".DS_Store").touch()
    environment = load_environment(str(directory))
    assert environment.initial_state == {"orders": {"W1": "shipped"}}
    assert environment.state_schema == SCHEMA
    assert environment.prompts == {"judge": "Judge mildly."}


def test_a_schema_needs_no_state(directory: Path) -> None:
    (directory / "state.schema.json").write_text(json.dumps(SCHEMA))
    environment = load_environment(str(directory))
    assert (environment.initial_state, environment.state_schema) == (None, SCHEMA)


@pytest.mark.parametrize(
    ("file", "content", "complaint"),
    [
        ("state.json", b"", "expected the state, a JSON object: it is empty"),
        ("state.json", b"[]", "expected the state, a JSON object; found something else"),
        ("state.json", b'{"orders": {}\n"a"}', "line 2, column 1"),
        ("state.json", b"\xff", "is not UTF-8 text"),
        ("state.json", b'{"orders": {"W1": 1}}', "/orders/W1: 1 is not of type 'string'"),
        ("state.json", b'{"orders": {"a/b": 1}}', "/orders/a~1b: 1 is not of type"),
        ("state.schema.json", b"true", "expected a JSON Schema, a JSON object"),
        ("state.schema.json", b'{"type": "strnig"}', "is no JSON Schema: 'strnig'"),
        ("state.schema.json", b'{"$ref": "#/$defs/a"}', r"is no JSON Schema: `\$ref`"),
        ("prompts/usr.md", b"Hi", "is the prompt of no role; expected user.md, tool.md"),
        ("prompts/user.txt", b"Hi", "is the prompt of no role"),
        ("prompts/user.md", b" ", "is empty; remove it"),
        ("prompts/user.md", b"\xff", "is not UTF-8 text"),
    ],
)
def test_what_is_wrong_with_a_file_names_file_and_place(
    directory: Path, file: str, content: bytes, complaint: str
) -> None:
    (directory / "state.schema.json").write_text(json.dumps(SCHEMA))
    (directory / "prompts").mkdir()
    (directory / file).write_bytes(content)
    with pytest.raises(UsageError, match=complaint) as caught:
        load_environment(str(directory))
    assert str(caught.value).startswith(f"{directory / file}: ")


TOOLS = """[
    {"function": {"name": "get_order", "parameters": {"properties": {"order_id": {}}}}},
    {"function": {"name": "cancel_order", "parameters": {"properties": {"order_id": {}}}}},
    {"function": {"name": "think"}}
]"""


def with_effects(directory: Path, toml: str) -> Environment:
    (directory / "tools.json").write_text(TOOLS)
    (directory / "environment.toml").write_text(toml)
    return load_environment(str(directory))


def test_what_tools_do_to_the_state_is_read(directory: Path) -> None:
    effects = with_effects(
        directory,
        """
        [tools.get_order]
        effect = "read"
        returns = "/orders/{order_id}"
        [tools.cancel_order]
        effect = "write"
        changes = ["/orders/{order_id}/status", "/log/*/a~1b"]
        """,
    ).effects
    assert effects.keys() == {"get_order", "cancel_order"}
    assert effects["get_order"].returned({"order_id": "a/b"}) == ("orders", "a/b")
    assert effects["get_order"].returned({"order_id": 7}) == ("orders", "7")
    assert effects["get_order"].returned({"order_id": None}) is None
    assert effects["get_order"].returned({}) is None
    assert effects["cancel_order"].changeable({"order_id": "W1"}) == [
        ("orders", "W1", "status"),
        ("log", "*", "a/b"),
    ]
    assert effects["cancel_order"].changeable({}) == [("log", "*", "a/b")]


@pytest.mark.parametrize(
    ("toml", "complaint"),
    [
        ("[tools.get_ordr]\neffect = 'read'", "`tools.get_ordr`: tools.json declares no tool"),
        ("[tools.think]\neffect = 'look'", "Invalid enum value 'look' - at `$.tools[...].effect`"),
        ("[tools.think]\neffect = 'read'\nreturn = '/a'", "unknown field `return`"),
        ("[tools.think]\nreturns = '/a'", "missing required field `effect`"),
        (
            "[tools.think]\neffect = 'write'\nreturns = '/a'",
            "`tools.think.returns` is for a read; this is a write, which has `changes`",
        ),
        (
            "[tools.think]\neffect = 'read'\nchanges = ['/a']",
            "`tools.think.changes` is for a write; this is a read, which has `returns`",
        ),
        (
            "[tools.get_order]\neffect = 'read'\nreturns = '/orders/{id}'",
            "`tools.get_order.returns`: '/orders/{id}' names the argument 'id', which the tool "
            "does not take (order_id)",
        ),
        (
            "[tools.think]\neffect = 'write'\nchanges = ['/a', '/orders/{id}']",
            "`tools.think.changes`: '/orders/{id}' names the argument 'id', which the tool does "
            "not take (none)",
        ),
        (
            "[tools.get_order]\neffect = 'read'\nreturns = 'orders'",
            "`tools.get_order.returns`: 'orders' is no JSON pointer; expected one like",
        ),
        ("[tools.think]\neffect = 'read'\nreturns = '/~2'", "'/~2' is no JSON pointer"),
        ("[tools.think]\neffect = 'read'\nreturns = ''", "'' is the whole state; name a part"),
        ("[tools.think]\neffect = 'read'\nreturns = '/*'", "'/*' has '*', which only `changes`"),
        (
            "[tools.get_order]\neffect = 'read'\nreturns = '/W{order_id}'",
            "'/W{order_id}' has 'W{order_id}'; braces hold one argument and fill their segment",
        ),
    ],
)
def test_what_is_wrong_with_an_effect_names_file_and_field(
    directory: Path, toml: str, complaint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        with_effects(directory, toml)
    assert str(caught.value).startswith(f"{directory}/environment.toml: ")
    assert complaint in str(caught.value)


def test_the_digest_is_of_the_state_its_schema_and_what_tools_do(directory: Path) -> None:
    assert load_environment(str(directory)).digest == ""
    digests = {with_effects(directory, "[tools.think]\neffect = 'read'").digest}
    digests.add(with_effects(directory, "[tools.think]\neffect = 'write'").digest)
    (directory / "state.json").write_text("{}")
    digests.add(load_environment(str(directory)).digest)
    (directory / "state.schema.json").write_text(json.dumps(SCHEMA))
    environment = load_environment(str(directory))
    digests.add(environment.digest)
    assert len(digests) == 4
    again = load_environment(str(directory))
    assert environment.as_record().digest == again.digest == environment.digest


def test_only_declared_tools_can_be_bound_to_functions(directory: Path) -> None:
    environment = load_environment(str(directory))
    bound = environment.with_functions({"look_up": print}).with_functions({})
    assert bound.functions == {"look_up": print}
    assert environment.functions == {}
    with pytest.raises(UsageError) as caught:
        environment.with_functions({"lookup": print})
    assert str(caught.value) == (
        f"with_functions: {environment.name} has no tool 'lookup'; it has look_up"
    )


@pytest.mark.parametrize("pattern", ["^a", "(?<name>a)(?!b)", "(?P<name>a)(?P=name)"])
def test_a_misfit_of_a_state_is_found_whoever_can_read_the_schema(pattern: str) -> None:
    schema = {"properties": {"a/b": {"type": "integer"}, "c": {"pattern": pattern}}}
    environment = Environment("e", "p", [], state_schema=schema)
    assert environment.state_misfit({"a/b": 1}) is None
    assert (environment.state_misfit({"a/b": "x"}) or "").startswith("/a~1b: ")
    assert Environment("e", "p", []).state_misfit({"a/b": "x"}) is None


FILES = ["policy.md", "tools.json", "environment.toml", "state.json", "state.schema.json"]


@pytest.mark.parametrize("file", [*FILES, "prompts/user.md"])
def test_a_directory_in_place_of_a_file_is_named(directory: Path, file: str) -> None:
    (directory / file).unlink(missing_ok=True)
    (directory / file).mkdir(parents=True)
    with pytest.raises(UsageError) as caught:
        load_environment(str(directory))
    assert str(caught.value) == f"{directory / file}: Is a directory"


def test_a_file_in_place_of_the_prompts_is_named(directory: Path) -> None:
    (directory / "prompts").touch()
    with pytest.raises(UsageError, match="prompts: is no directory"):
        load_environment(str(directory))


def test_every_role_of_the_simulator_can_have_words_of_its_own() -> None:
    assert set(ROLES) == set(get_args(SimulatorRole))


JSON = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)
STATE = st.dictionaries(st.text(max_size=2), JSON, max_size=4)


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The merge patch between two states without null, by RFC 7396 read literally."""
    patch: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            patch[key] = difference(old, value)
        elif key not in before or type(old) is not type(value) or old != value:
            patch[key] = value
    return patch


@given(STATE, STATE)
@settings(deadline=None, database=None, max_examples=200)
def test_a_difference_merged_in_gives_the_other_state(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    copy = json.loads(json.dumps(before))
    assert merged(before, difference(before, after)) == after
    assert before == copy


@given(STATE)
@settings(deadline=None, database=None, max_examples=50)
def test_no_difference_is_the_initial_state_and_without_one_it_is_the_state(
    state: dict[str, Any],
) -> None:
    assert Environment("e", "p", [], initial_state=state).state_with({}) == state
    assert Environment("e", "p", []).state_with(state) is state


def tau2(domain: str) -> Environment:
    if not (TAU2 / domain).exists():
        pytest.skip(f"the real environments are not beside this checkout ({TAU2})")
    return load_environment(str(TAU2 / domain))


@pytest.mark.parametrize(
    ("domain", "tools", "tasks", "needing_action"),
    [("retail", 15, 57, 53), ("airline", 14, 25, 17), ("telecom", 13, 20, 18)],
)
def test_directories_of_tau2_bench_load_as_they_are(
    domain: str, tools: int, tasks: int, needing_action: int
) -> None:
    environment = tau2(domain)
    assert len(environment.tools) == tools
    loaded = environment_tasks(environment)
    assert len(loaded) == tasks
    assert sum(task.needs_action for task in loaded) == needing_action
    assert {task.split for task in loaded} == {"heldout"}
    assert all(task.rubric and task.scenario.instructions for task in loaded)


def test_the_database_of_tau2_bench_is_the_state_of_all_tasks_at_once() -> None:
    environment = tau2("retail")
    assert environment.initial_state is not None
    assert {key: len(value) for key, value in environment.initial_state.items()} == {
        "products": 50,
        "users": 500,
        "orders": 1000,
    }
    for task in environment_tasks(environment):
        assert task.initial_state == {}
        state = environment.state_with(task.initial_state)
        assert state["orders"] is environment.initial_state["orders"]


def test_a_task_of_tau2_bench_says_what_its_user_is_told_and_what_is_judged() -> None:
    task = environment_tasks(tau2("retail"))[0]
    assert task.scenario.instructions.startswith("Why you call:\nYou received your order #W23781")
    assert "What you do not know:\nYou do not remember your email address." in (
        task.scenario.instructions
    )
    exchange, nothing_else = task.rubric
    assert exchange.description.startswith(
        'The agent called exchange_delivered_order_items({"order_id":"#W2378156",'
    )
    assert nothing_else.description == "The agent changed nothing but what is asked for above."


def test_what_a_task_of_tau2_bench_begins_with_stands_in_its_state() -> None:
    tasks = environment_tasks(tau2("telecom"))
    assert tasks[0].initial_state["initialization_actions"][0]["func_name"] == "set_user_info"


def gold_calls(domain: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for task in json.loads((TAU2 / domain / "tasks.json").read_text()):
        for action in task["evaluation_criteria"]["actions"]:
            yield action["name"], action["arguments"]


def test_the_retail_of_the_library_accepts_every_gold_call_of_tau2_bench() -> None:
    tau2("retail")
    validators = load_environment("retail").validators
    refused = [call for call in gold_calls("retail") if not validators[call[0]].is_valid(call[1])]
    assert refused == []


OWN = [name for name in library_names() if name != "mini-retail"]
"""Environments of the library that an LLM plays."""


@pytest.fixture(params=[*OWN, str(TEMPLATE)])
def own(request: pytest.FixtureRequest) -> Environment:
    """An environment that we wrote: of the library, or the example to start from."""
    return load_environment(request.param)


def own_seeds(environment: Environment) -> list[Seed]:
    assert environment.seeds_file is not None
    return load_seeds(environment.seeds_file)


def test_own_seeds_pass_every_rule_untouched(own: Environment) -> None:
    for seed in own_seeds(own):
        verdict = apply_rules(seed.messages, own)
        assert (seed.id, verdict.rejected_by, verdict.reason) == (seed.id, None, None)
        assert verdict.messages == seed.messages


def test_every_tool_is_called_by_some_own_seed(own: Environment) -> None:
    assert called_tools(own_seeds(own)).keys() == own.validators.keys()


@pytest.mark.parametrize("name", [*library_names(), str(TEMPLATE)])
def test_our_environments_say_of_every_tool_what_it_does(name: str) -> None:
    environment = load_environment(name)
    declared = environment.validators.keys() | environment.user_validators.keys()
    assert environment.effects.keys() == declared


def changed(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Paths of what differs."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before.keys() | after.keys():
            yield from changed(before.get(key), after.get(key), f"{path}/{key}")
    elif before != after:
        yield path


@pytest.mark.parametrize("name", ["retail", str(TEMPLATE)])
def test_own_tasks_change_only_what_some_tool_may_change(name: str) -> None:
    environment = load_environment(name)
    changeable = [path for effect in environment.effects.values() for path in effect.changes]
    anything = [re.sub(r"\{\w+\}|\*", "[^/]+", path) for path in changeable]
    for task in environment_tasks(environment):
        assert task.check is not None
        before = environment.state_with(task.initial_state)
        for path in changed(before, environment.state_with(task.check.final_state)):
            assert any(re.match(rf"{one}(/|$)", path) for one in anything), (task.id, path)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from chain.from_iterable(map(strings, value.values()))
    elif isinstance(value, list):
        yield from chain.from_iterable(map(strings, value))
    elif isinstance(value, str):
        yield value


def looks_like_an_id(text: str) -> bool:
    """A word with digits that is no date: people say dates in words."""
    is_word = any(letter.isdigit() for letter in text) and " " not in text
    return is_word and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text)


def test_own_seeds_use_no_id_that_was_not_seen_before(own: Environment) -> None:
    for seed in own_seeds(own):
        seen = own.policy
        for message in seed.messages:
            for call in message.tool_calls or ():
                for text in strings(json.loads(call.function.arguments)):
                    assert not looks_like_an_id(text) or text in seen, (seed.id, text)
            seen += message.content or ""


@pytest.mark.parametrize("name", ["retail", str(TEMPLATE)])
def test_own_tasks_stand_on_both_sides_and_can_be_told_done(name: str) -> None:
    environment = load_environment(name)
    tasks = environment_tasks(environment)
    assert {task.split for task in tasks} == {"train", "heldout"}
    for task in tasks:
        assert task.check is not None
        before = environment.state_with(task.initial_state)
        after = environment.state_with(task.check.final_state)
        assert (after != before) == task.needs_action, task.id


@pytest.fixture(scope="module")
def retail() -> dict[str, Any]:
    state = load_environment("retail").initial_state
    assert state is not None
    return state


def variants(state: dict[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Every item of the shop with its product's id."""
    return {
        item_id: (product_id, variant)
        for product_id, product in state["products"].items()
        for item_id, variant in product["variants"].items()
    }


def test_what_is_ordered_in_retail_is_what_the_shop_sells(retail: dict[str, Any]) -> None:
    sold = variants(retail)
    assert len(sold) == sum(len(p["variants"]) for p in retail["products"].values())
    for order in retail["orders"].values():
        for item in order["items"]:
            product_id, variant = sold[item["item_id"]]
            assert item["product_id"] == product_id
            assert item["name"] == retail["products"][product_id]["name"]
            assert (item["options"], item["price"]) == (variant["options"], variant["price"])


def test_prices_in_retail_add_up_to_what_was_paid(retail: dict[str, Any]) -> None:
    for order in retail["orders"].values():
        paid, *refunds = order["payments"]
        assert paid["amount"] == pytest.approx(sum(item["price"] for item in order["items"]))
        returned = [] if order["status"] != "cancelled" else [{**paid, "kind": "refund"}]
        assert refunds == returned


def test_orders_and_users_of_retail_refer_to_each_other(retail: dict[str, Any]) -> None:
    owners = {
        order_id: user_id
        for user_id, user in retail["users"].items()
        for order_id in user["orders"]
    }
    assert owners == {order_id: order["user_id"] for order_id, order in retail["orders"].items()}
    for order in retail["orders"].values():
        user = retail["users"][order["user_id"]]
        assert {paid["payment_method_id"] for paid in order["payments"]} <= (
            user["payment_methods"].keys()
        )
        assert ("delivered_on" in order) == (order["status"] == "delivered")


TABLES = {"order_id": "orders", "user_id": "users", "product_id": "products"}


def records_in(seed: Seed) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Whole records that tools returned: table, id, the rest."""
    for message in seed.messages:
        observed = json.loads(message.content or "") if message.role == "tool" else {}
        key = next((key for key in TABLES if key in observed), None)
        if key and len(observed) > 1:
            yield TABLES[key], observed.pop(key), observed


def test_retail_seeds_begin_in_its_state(retail: dict[str, Any]) -> None:
    for seed in own_seeds(load_environment("retail")):
        first: dict[tuple[str, str], dict[str, Any]] = {}
        for table, record_id, record in records_in(seed):
            first.setdefault((table, record_id), record)
        assert first, seed.id
        for (table, record_id), record in first.items():
            assert record == retail[table][record_id], (seed.id, record_id)
