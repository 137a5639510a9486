"""A simulator that lies in planted places, and a checker that counts who contradicts themselves.

The checker reads transcripts alone: it knows what a shop is, and nothing of how worlds are kept.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Literal

import anyio
import msgspec

from simia_async.environments import Environment
from simia_async.environments.tool_effects import ToolEffect
from simia_async.errors import BadReply
from simia_async.messages import FunctionCall, ToolCall
from simia_async.simulation.grounding import GroundedWorld, SharedFacts, TranscriptWorld
from simia_async.simulation.replies import ToolReply

Lie = Literal["forgets", "changes a price", "invents an id", "tells rollouts different things"]
LIES: tuple[Lie, ...] = (
    "forgets",
    "changes a price",
    "invents an id",
    "tells rollouts different things",
)
GROUP_SIZE = 8
LIARS = (1, 3, 5, 7)
"""Members of a group whose simulator lies; the first one's never does."""

Call = tuple[str, dict[str, Any]]
Said = tuple[Call, Any, bool]
"""A call, what it returned, and whether that is an error."""


def _tool(name: str, *arguments: str) -> dict[str, Any]:
    properties = {argument: {"type": "string"} for argument in arguments}
    return {"function": {"name": name, "parameters": {"properties": properties}}}


EFFECTS = {
    "get_user": ToolEffect("read", "/users/{user_id}"),
    "get_order": ToolEffect("read", "/orders/{order_id}"),
    "get_product": ToolEffect("read", "/products/{product_id}"),
    "search_products": ToolEffect("read"),
    "track_order": ToolEffect("read"),
    "list_orders": ToolEffect("read"),
    "cancel_order": ToolEffect("write", changes=("/orders/{order_id}/status",)),
}

TOOLS = [
    _tool("get_user", "user_id"),
    _tool("get_order", "order_id"),
    _tool("get_product", "product_id"),
    _tool("search_products", "word"),
    _tool("track_order", "order_id"),
    _tool("list_orders", "user_id"),
    _tool("cancel_order", "order_id"),
]

TRUTH: dict[str, dict[str, Any]] = {
    "users": {f"U{n}": {"name": f"User {n}", "orders": [f"W{n}", f"W{n + 4}"]} for n in range(4)},
    "orders": {
        f"W{n}": {"order_id": f"W{n}", "user_id": f"U{n % 4}", "status": "pending", "items": ["P1"]}
        for n in range(8)
    },
    "products": {
        f"P{n}": {"product_id": f"P{n}", "name": f"Lamp {n}", "price": 10 + n} for n in range(4)
    },
}
"""What an honest simulator has in mind; the worlds know only a part of it when they begin."""


def snapshot(group: int) -> dict[str, Any]:
    """What is known when a group begins: some users and orders, no products."""
    return {
        "users": {} if group % 3 == 0 else dict(TRUTH["users"]),
        "orders": {} if group % 2 == 0 else {"W0": TRUTH["orders"]["W0"]},
        "products": {},
    }


def script(group: int) -> list[Call]:
    """What every member of a group calls."""
    user, order, product = f"U{group % 4}", f"W{group % 4}", f"P{group % 4}"
    return [
        ("get_user", {"user_id": user}),
        ("get_order", {"order_id": order}),
        ("track_order", {"order_id": order}),
        ("get_product", {"product_id": product}),
        ("search_products", {"word": "lamp"}),
        ("get_product", {"product_id": product}),
        ("cancel_order", {"order_id": order}),
        ("get_order", {"order_id": order}),
        ("list_orders", {"user_id": user}),
    ]


def planted(group: int) -> tuple[Lie, tuple[int, ...]]:
    """The lie told in a group, and at which steps; each conversation says one thing that is not
    so.
    """
    lie = LIES[group % 4]
    steps: dict[Lie, tuple[int, ...]] = {
        "forgets": (6, 7),
        "changes a price": (4,) if group % 8 == 1 else (5,),
        "invents an id": (8,),
        "tells rollouts different things": (2,),
    }
    return lie, steps[lie]


class LyingSimulator:
    """Plays the tools in one conversation; complained to, it tells the truth."""

    def __init__(self, lies: tuple[int, ...]) -> None:
        self.complaints = 0
        self._lies = lies
        self._cancelled: set[str] = set()

    async def answer(
        self, step: int, call: Call, state: dict[str, Any] | None, read: Callable[[str], ToolReply]
    ) -> ToolReply:
        await anyio.lowlevel.checkpoint()
        truth = self._truth(call, state or {})
        for reply in [_lie(call, truth), truth] if step in self._lies else [truth]:
            try:
                return read(msgspec.json.encode(reply).decode())
            except msgspec.ValidationError:
                self.complaints += 1
        raise BadReply("the truth was refused")

    def _truth(self, call: Call, state: dict[str, Any]) -> dict[str, Any]:
        name, arguments = call
        key = next(iter(arguments.values()))
        if name == "cancel_order":
            self._cancelled.add(key)
            op = {"op": "replace", "path": f"/orders/{key}/status", "value": "cancelled"}
            return {"observation": {"order_id": key, "status": "cancelled"}, "ops": [op]}
        if name == "track_order":
            return {"observation": {"carrier": "Swift", "parcel": f"T{key}"}}
        if name == "search_products":
            known = state.get("products", {})
            new = [product for product in TRUTH["products"].items() if product[0] not in known]
            ops = [{"op": "add", "path": f"/products/{id_}", "value": each} for id_, each in new]
            return {"observation": list(TRUTH["products"].values()), "ops": ops}
        if name == "list_orders":
            return {"observation": {"user_id": key, "orders": TRUTH["users"][key]["orders"]}}
        table = {"get_user": "users", "get_order": "orders", "get_product": "products"}[name]
        entity = dict(TRUTH[table][key])
        if key in self._cancelled:
            entity["status"] = "cancelled"
        return {"observation": entity}


def _lie(call: Call, truth: dict[str, Any]) -> dict[str, Any]:
    observation = truth["observation"]
    match call[0]:
        case "cancel_order":
            return {"observation": observation}
        case "get_order":
            return {"observation": {**observation, "status": "pending"}}
        case "get_product":
            return {"observation": {**observation, "price": 99}}
        case "search_products":
            return {**truth, "observation": [{**each, "price": 99} for each in observation]}
        case "list_orders":
            return {"observation": {**observation, "orders": [observation["orders"][0], "W99"]}}
        case _:
            return {"observation": {**observation, "carrier": "Snail"}}


SHOP = Environment("shop", "Be kind.", TOOLS, effects=EFFECTS)


async def play_group(group: int, *, grounded: bool) -> list[list[Said]]:
    """The transcripts of a group whose members play at once."""

    async def commit(*records: Any) -> None:
        await anyio.lowlevel.checkpoint()

    shared = SharedFacts(group, snapshot(group), commit)
    transcripts: list[list[Said]] = [[] for _ in range(GROUP_SIZE)]
    _, steps = planted(group)

    async def play(member: int) -> None:
        world = GroundedWorld(SHOP, shared, member) if grounded else TranscriptWorld()
        simulator = LyingSimulator(steps if member in LIARS else ())
        for step, call in enumerate(script(group)):

            async def ask(state: Any, read: Any, step: int = step, call: Call = call) -> ToolReply:
                return await simulator.answer(step, call, state, read)

            name, arguments = call
            function = FunctionCall(name, msgspec.json.encode(arguments).decode())
            observation = await world.answer(ToolCall(f"call_{step}", function), ask, [])
            said = msgspec.json.decode(observation.text)
            transcripts[member].append((call, said, observation.is_error))

    async with anyio.create_task_group() as members:
        for member in range(GROUP_SIZE):
            members.start_soon(play, member)
    return transcripts


def statements(said: Said) -> Iterator[tuple[tuple[str, ...], Any]]:
    """What an answer says, as (what of what, how it is)."""
    (name, arguments), observation, is_error = said
    key = next(iter(arguments.values()))
    if is_error:
        yield (name, key), "failed"
    elif name == "search_products":
        for each in observation:
            yield from (((each["product_id"], field), value) for field, value in each.items())
    elif name == "track_order":
        yield from ((("track", key, field), value) for field, value in observation.items())
    else:
        yield from (((key, field), value) for field, value in observation.items())


def contradicting(transcripts: list[list[Said]]) -> int:
    """How many answers of a group say something else than was said before in the same rollout, or
    in the group as long as the rollout has changed nothing.
    """
    count = 0
    of_group: dict[tuple[str, ...], Any] = {}
    for transcript in transcripts:
        of_rollout: dict[tuple[str, ...], Any] = {}
        changed = False
        for said in transcript:
            (name, arguments), _, is_error = said
            if name == "cancel_order" and not is_error:
                changed = True
                of_rollout[arguments["order_id"], "status"] = "cancelled"
            before = of_rollout if changed else {**of_group, **of_rollout}
            new = dict(statements(said))
            count += any(before.get(what, how) != how for what, how in new.items())
            of_rollout = {**new, **of_rollout}
            if not changed:
                of_group = {**new, **of_group}
    return count


async def table(groups: int, *, grounded: bool) -> Counter[Lie]:
    """Contradictions by the kind of lie that was planted."""
    counts: Counter[Lie] = Counter(dict.fromkeys(LIES, 0))
    for group in range(groups):
        transcripts = await play_group(group, grounded=grounded)
        counts[planted(group)[0]] += contradicting(transcripts)
    return counts
