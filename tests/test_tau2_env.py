"""A domain of τ²-bench as an environment: what its tools do, what code can check, its copy."""

import json
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from simia_store import Reader
from typer.testing import CliRunner, Result

from simia_async.builtin.server.completions import Reply, Said
from simia_async.builtin.server.protocol import ChatRequest
from simia_async.cli.main import app
from simia_async.config import RolloutConfig
from simia_async.environments import Environment, environment_tasks, load_environment
from simia_async.environments.environment import place_of
from simia_async.environments.tau2_effects import tau2_effects
from simia_async.environments.tau2_import import import_tau2
from simia_async.errors import UsageError
from simia_async.judging.case import MadeCall
from simia_async.judging.checks import check_exactly
from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.simulation.grounding import GroundedWorld, SharedFacts
from tests.conftest import DATA
from tests.rollout_servers import Playhouse, playhouse, roll

REAL = DATA / "tau2" / "retail"

ARGUMENTS = {
    "find_user_id_by_email": ["email"],
    "find_user_id_by_name_zip": ["first_name", "last_name", "zip"],
    "get_user_details": ["user_id"],
    "get_order_details": ["order_id"],
    "get_product_details": ["product_id"],
    "get_item_details": ["item_id"],
    "list_all_product_types": [],
    "cancel_pending_order": ["order_id", "reason"],
    "modify_user_address": ["user_id", "zip"],
    "transfer_to_human_agents": ["summary"],
}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {
                "type": "object",
                "properties": {argument: {"type": "string"} for argument in arguments},
                "required": arguments,
            },
        },
    }
    for name, arguments in ARGUMENTS.items()
]
CUP = {"item_id": "11", "options": {"colour": "blue"}, "available": True, "price": 4.5}
USER = {
    "user_id": "ada_1",
    "name": {"first_name": "Ada", "last_name": "Byron"},
    "address": {"zip": "10115"},
    "email": "ada@example.com",
    "payment_methods": {"gift_card_1": {"source": "gift_card", "balance": 0}},
    "orders": ["#W1"],
}
ORDER = {"order_id": "#W1", "user_id": "ada_1", "status": "pending", "payment_history": []}
DATABASE = {
    "products": {"1": {"name": "Cup", "product_id": "1", "variants": {"11": CUP}}},
    "users": {"ada_1": USER},
    "orders": {"#W1": ORDER},
}
CANCEL = {"order_id": "#W1", "reason": "no longer needed"}


def raw_task(number: str, actions: list[dict[str, Any]], **criteria: Any) -> dict[str, Any]:
    return {
        "id": number,
        "user_scenario": {"instructions": {"reason_for_call": "You want #W1 cancelled."}},
        "evaluation_criteria": {"actions": actions, "communicate_info": ["1093.34"], **criteria},
    }


ACTIONS = [
    {"name": "get_order_details", "arguments": {"order_id": "#W1"}},
    {"name": "cancel_pending_order", "arguments": CANCEL},
]
TASKS = [
    raw_task("0", ACTIONS),
    raw_task("1", [], reward_basis=["DB", "NL_ASSERTION"], nl_assertions=["The agent says no."]),
]


@pytest.fixture
def domain(tmp_path: Path) -> Path:
    """A domain in a checkout's layout, in which tools are Python."""
    place = tmp_path / "tau2-bench" / "data" / "tau2" / "domains" / "retail"
    place.mkdir(parents=True)
    (place / "policy.md").write_text("Be honest.")
    (place / "db.json").write_text(json.dumps(DATABASE))
    (place / "tasks.json").write_text(json.dumps(TASKS))
    return place


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """The schemas that its Python was asked for."""
    (tmp_path / "tools.json").write_text(json.dumps(TOOLS))
    return tmp_path / "tools.json"


@pytest.fixture
def copy(domain: Path, tools: Path, tmp_path: Path) -> Environment:
    """Its environment."""
    import_tau2(domain, tmp_path / "retail", tools=tools)
    return load_environment(str(tmp_path / "retail"))


def simia(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


async def seen(environment: Environment, name: str, **arguments: Any) -> tuple[str, Any]:
    """Who answers a call of a world that has just begun, and what; an LLM knows nothing."""

    async def commit(*_: Any) -> None:
        raise AssertionError("nothing is made up")

    async def ask(*_: Any) -> Any:
        raise LookupError("an LLM is asked")

    state = environment.initial_state or {}
    world = GroundedWorld(environment, SharedFacts(1, state, commit), 1)
    call = ToolCall("c", FunctionCall(name, msgspec.json.encode(arguments).decode()))
    observation = await world.answer(call, ask, [])
    return observation.source, observation.value


async def test_every_look_up_of_the_copy_is_answered_by_code(copy: Environment) -> None:
    expected = {
        "find_user_id_by_email": ({"email": "ada@example.com"}, "ada_1"),
        "find_user_id_by_name_zip": (
            {"first_name": "Ada", "last_name": "Byron", "zip": "10115"},
            "ada_1",
        ),
        "get_user_details": ({"user_id": "ada_1"}, USER),
        "get_order_details": ({"order_id": "#W1"}, ORDER),
        "get_product_details": ({"product_id": "1"}, DATABASE["products"]["1"]),
        "get_item_details": ({"item_id": "11"}, CUP),
        "list_all_product_types": ({}, {"Cup": "1"}),
    }
    for name, (arguments, value) in expected.items():
        assert await seen(copy, name, **arguments) == ("fact", value), name


def test_a_write_may_change_what_the_real_tool_changes(copy: Environment) -> None:
    cancel = copy.effects["cancel_pending_order"]
    assert cancel.effect == "write"
    assert cancel.changeable(CANCEL) == [
        *(("orders", "#W1", field) for field in ("status", "cancel_reason", "payment_history")),
        ("users", "*", "payment_methods", "*", "balance"),
    ]
    assert copy.effects["modify_user_address"].changes == ("/users/{user_id}/address",)
    assert copy.ending_tools == {"transfer_to_human_agents"}


def test_of_an_unknown_domain_only_look_ups_by_id_are_known() -> None:
    tools = [
        {"function": {"name": name, "parameters": {"properties": {key: {} for key in arguments}}}}
        for name, arguments in {
            "get_reservation_details": ["reservation_id"],
            "get_flight_status": ["flight_number", "date"],
            "book_reservation": ["user_id"],
        }.items()
    ]
    effects = tau2_effects(tools, {"reservations": {"A": {"x": 1}}, "flights": {}})
    assert effects["get_reservation_details"].returns == "/reservations/{reservation_id}"
    assert effects["get_flight_status"].returns is None
    assert "book_reservation" not in effects


@pytest.mark.parametrize(
    ("calls", "reply", "failing"),
    [
        ([("cancel_pending_order", CANCEL)], "That makes 1,093.34 USD.", []),
        ([("cancel_pending_order", CANCEL)], "Done.", ["said"]),
        ([], "1093.34", ["required_calls"]),
        ([("cancel_pending_order", {**CANCEL, "reason": "other"})], "1093.34", ["required_calls"]),
        (
            [("cancel_pending_order", CANCEL), ("modify_user_address", {"user_id": "ada_1"})],
            "1093.34",
            ["forbidden_calls"],
        ),
    ],
)
def test_code_checks_calls_and_what_is_said(
    copy: Environment, calls: list[tuple[str, Any]], reply: str, failing: list[str]
) -> None:
    task = environment_tasks(copy)[0]
    assert task.check is not None
    made = [MadeCall(name, arguments) for name, arguments in calls]
    checks = check_exactly(task.check, {}, [Message("assistant", reply)], made, finished=True)
    assert [name for name, holds in checks.items() if not holds] == failing


def test_what_tau2_bench_does_not_count_by_code_is_the_judges(copy: Environment) -> None:
    task = environment_tasks(copy)[1]
    assert task.check is not None
    assert task.check.must_say == ()  # Its `reward_basis` does not name COMMUNICATE.
    assert {call.tool for call in task.check.forbidden_calls} == {
        "cancel_pending_order",
        "modify_user_address",
    }
    assert "The agent says no." in [criterion.description for criterion in task.rubric]


def test_train_and_held_out_are_tau2_benchs_own(domain: Path, tools: Path, tmp_path: Path) -> None:
    (domain / "split_tasks.json").write_text('{"train": ["0"], "test": ["1"], "base": ["0", "1"]}')
    imported = import_tau2(domain.parents[3], tmp_path / "mine", tools=tools)
    assert imported.tasks == {"train": 1, "heldout": 1}
    (domain / "split_tasks.json").write_text('{"test": ["1"]}')
    with pytest.raises(UsageError, match=r"split_tasks.json: expected lists of task ids, `train`"):
        import_tau2(domain, tmp_path / "other", tools=tools)
    assert not (tmp_path / "other").exists()


def test_the_command_writes_a_sound_environment(domain: Path, tools: Path, tmp_path: Path) -> None:
    (domain / "tools.json").write_text(tools.read_text())
    result = simia("env", "import-tau2", domain, tmp_path / "r", "--train-share", "1")
    assert result.exit_code == 0, result.output
    assert "tasks      2 train; 2 with what code can check" in result.stdout
    checked = simia("env", "check", tmp_path / "r")
    assert checked.exit_code == 0, checked.output
    assert "warning" not in checked.stdout
    tomllib.loads((tmp_path / "r" / "environment.toml").read_text())
    again = simia("env", "import-tau2", domain, tmp_path / "r")
    assert again.exit_code == 2
    assert "is not empty" in again.stderr


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("policy.md", None, "has no policy.md; expected a domain of τ²-bench"),
        ("db.json", "[]", "db.json: expected the database, a JSON object"),
        ("db.json", '{"users": {"a": {}}, "orders": {}, "products": {}}', "db.json: is not the da"),
        ("tasks.json", "{}", "tasks.json: expected τ²-bench's JSON list of tasks"),
        ("tasks.json", '[{"id": 1}]', "tasks.json: task 0: Expected `str`, got `int`"),
        ("tools.json", None, "tools.json: No such file; τ²-bench has its tools in Python"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(
    file: str, text: str | None, said: str, domain: Path, tools: Path, tmp_path: Path
) -> None:
    (domain / "tools.json").write_text(tools.read_text())
    (domain / file).unlink()
    if text is not None:
        (domain / file).write_text(text)
    result = simia("env", "import-tau2", domain, tmp_path / "r")
    assert result.exit_code == 2
    assert said in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tau2-bench", "tools.json"]


SAYS = [
    ("find_user_id_by_email", {"email": "ada@example.com"}),
    ("get_order_details", {"order_id": "#W1"}),
    ("cancel_pending_order", CANCEL),
]


def play_retail(house: Playhouse) -> None:
    """A policy that cancels the order, and an LLM for what code does not know."""

    def agent(request: ChatRequest) -> Reply:
        observed = sum(message["role"] == "tool" for message in request.raw["messages"])
        if observed == len(SAYS):
            return Reply("It is cancelled, and 1,093.34 USD come back.")
        name, arguments = SAYS[observed]
        return Reply(None, [Said(f"c{observed}", name, msgspec.json.encode(arguments).decode())])

    after = {**ORDER, "status": "cancelled"}
    ops = [{"op": "replace", "path": "/orders/#W1/status", "value": "cancelled"}]
    said = {"observation": after, "is_error": False, "ops": ops}
    house.instead["policy"] = agent
    house.instead["tool"] = lambda _: json.dumps(said)
    house.instead["user"] = lambda r: json.dumps(
        {"message": "Cancel #W1, please.", "done": "is cancelled" in r.prompt}
    )
    met = dict.fromkeys(("action_1", "said_1", "nothing_else"), True)
    house.instead["judge"] = lambda _: json.dumps(
        {"criteria": met, "reasoning": "fine", "reward": 1}
    )


async def test_rollouts_in_the_copy_ask_an_llm_for_changes_alone(
    domain: Path, tools: Path, tmp_path: Path
) -> None:
    (domain / "split_tasks.json").write_text('{"train": ["0"]}')
    import_tau2(domain, tmp_path / "mine", tools=tools)
    async with playhouse() as house:
        play_retail(house)
        config = RolloutConfig(
            environment=str(tmp_path / "mine"),
            tasks=1,
            group_size=2,
            policy=house.policy(),
            simulator=house.simulator(),
        )
        await roll(config, tmp_path / "r.db")
        assert house.asked["tool"] == 2
    with Reader(tmp_path / "r.db") as reader:
        trajectories = list(reader.trajectories())
        assert [t.detail["checks"] for t in trajectories] == [
            {
                "state": True,
                "said": True,
                "finished": True,
                "required_calls": True,
                "forbidden_calls": True,
            }
        ] * 2
        turns = [turn for turn in reader.turns(trajectories[0].id) if turn.role == "tool"]
        assert [turn.source for turn in turns] == ["fact", "fact", "llm"]
        assert turns[-1].ops == [
            {"op": "replace", "path": "/orders/#W1/status", "value": "cancelled"}
        ]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The copy of the real domain."""
    if not REAL.exists():
        pytest.skip(f"the real environment is not beside this checkout ({REAL})")
    directory = tmp_path_factory.mktemp("real") / "retail"
    imported = import_tau2(REAL, directory, train_share=0.5)
    assert (imported.silent, imported.checked) == ([], 57)
    return load_environment(str(directory))


async def test_code_answers_every_gold_look_up_of_the_real_tasks(real: Environment) -> None:
    gold = [
        (action["name"], action["arguments"])
        for task in json.loads((REAL / "tasks.json").read_text())
        for action in task["evaluation_criteria"]["actions"]
        if real.effects[action["name"]].returns is not None
    ]
    unknown = []
    for name, arguments in gold:
        try:
            assert (await seen(real, name, **arguments))[0] == "fact"
        except LookupError:
            unknown.append((name, *arguments.values()))
    # Of these the database has none, so that the real tools fail there too.
    assert set(unknown) == {
        *(("get_product_details", number) for number in ("6086499569", "4107812777", "1421289881")),
        *(("get_order_details", number) for number in ("#9502126", "#9502127")),
        ("find_user_id_by_email", "daikisanchez1479@example.com"),
        ("find_user_id_by_email", "silva7872@example.com"),
        ("find_user_id_by_email", "aarav.santos8321@example.com"),
        ("find_user_id_by_name_zip", "Fatima", "Taylor", "85033"),
    }
    assert len(gold) > 300


def test_a_directory_that_is_called_as_one_of_the_library_can_be_named(
    domain: Path, tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    import_tau2(domain, Path("retail"), tools=tools)
    mine = load_environment("./retail")
    assert mine.name == "tau2-retail"
    assert load_environment(place_of(mine)).name == "tau2-retail"
    assert load_environment("retail").name == "retail"


def test_the_real_directory_itself_has_look_ups_that_code_answers(real: Environment) -> None:
    directly = load_environment(str(REAL))
    assert directly.effects["get_order_details"].returns == "/orders/{order_id}"
    assert directly.effects["find_user_id_by_email"].returns is None
    assert all(task.check for task in environment_tasks(directly))
    assert {task.split for task in environment_tasks(real)} == {"train", "heldout"}
