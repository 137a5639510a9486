"""What τ²-bench's tools do to its database, for directories that do not say it themselves.

Look-ups are told by their names and by the database: `get_order_details(order_id)` returns what is
at `/orders/{order_id}`. What the writes of its retail domain may change is known of its published
tools (`src/tau2/domains/retail/tools.py` at v1.0.1). Of any other tool nothing is said, and its
answers tell.
"""

from collections.abc import Iterator
from typing import Any

from simia_async.environments.tool_effects import ToolEffect
from simia_async.messages import ToolSchema

LOOK_UPS = tuple("get_ find_ list_ search_ check_ can_ calculate think run_speed_test".split())
"""How tools that only look are called."""
HAND_OVER = "transfer_to_"
"""How tools that end the conversation are called; they change nothing."""

LOOKUP = "lookup"
"""Where in an imported state its indices stand."""

_RETAIL = {"users", "orders", "products"}
_ORDER = "/orders/{order_id}/"
_BALANCES = "/users/*/payment_methods/*/balance"
_RETAIL_WRITES = {
    "cancel_pending_order": ("status", "cancel_reason", "payment_history", _BALANCES),
    "modify_pending_order_address": ("address",),
    "modify_pending_order_items": ("items", "status", "payment_history", _BALANCES),
    "modify_pending_order_payment": ("payment_history", _BALANCES),
    "return_delivered_order_items": ("status", "return_items", "return_payment_method_id"),
    "exchange_delivered_order_items": (
        "status",
        "exchange_items",
        "exchange_new_items",
        "exchange_payment_method_id",
        "exchange_price_difference",
    ),
}
_INDICES = {
    "find_user_id_by_email": ("user_id_by_email", "{email}"),
    "find_user_id_by_name_zip": ("user_id_by_name_zip", "{first_name}/{last_name}/{zip}"),
    "list_all_product_types": ("product_types", ""),
}
"""Retail's look-ups that search, and the index that answers each."""


def only_looks(name: str) -> bool:
    """Whether a tool of this name leaves the database as it is."""
    return name.startswith((*LOOK_UPS, HAND_OVER))


def tau2_effects(tools: list[ToolSchema], database: dict[str, Any]) -> dict[str, ToolEffect]:
    """The effects that are known, by tool. `database` is τ²-bench's, perhaps with indices."""
    effects = {}
    for tool in tools:
        name = tool["function"]["name"]
        arguments = tool["function"].get("parameters", {}).get("properties", {})
        effect = _look_up(name, arguments, database) if only_looks(name) else None
        if effect is None and database.keys() >= _RETAIL:
            effect = _retail_write(name, arguments)
        if effect is not None:
            effects[name] = effect
    return effects


def with_indices(database: dict[str, Any]) -> dict[str, Any]:
    """The database of retail with what its searching look-ups find, by their arguments; any other
    as it is.

    With these in the state, code answers them as τ²-bench would, but for the case of letters, and a
    prompt shows the very items that a call names.
    """
    if not database.keys() >= _RETAIL:
        return database
    by_name: dict[str, Any] = {}
    for key, user in database["users"].items():
        first, last = user["name"]["first_name"], user["name"]["last_name"]
        by_name.setdefault(first, {}).setdefault(last, {}).setdefault(user["address"]["zip"], key)
    products = database["products"]
    indices = {
        "user_id_by_email": {user["email"]: key for key, user in database["users"].items()},
        "user_id_by_name_zip": by_name,
        "product_types": dict(sorted((each["name"], key) for key, each in products.items())),
    }
    items = {key: item for each in products.values() for key, item in each["variants"].items()}
    return {**database, "items": items, LOOKUP: indices}


def _look_up(name: str, arguments: dict[str, Any], database: dict[str, Any]) -> ToolEffect:
    index, argument = _INDICES.get(name, ("", ""))
    if index in database.get(LOOKUP, {}):
        place = f"/{LOOKUP}/{index}" + (f"/{argument}" if argument else "")
        return ToolEffect("read", place)
    return ToolEffect("read", next(_entities(name, arguments, database), None))


def _entities(name: str, arguments: dict[str, Any], database: dict[str, Any]) -> Iterator[str]:
    """Where a tool like `get_order_details(order_id)` finds what it returns."""
    for argument in arguments if len(arguments) == 1 else ():
        entity = argument.removesuffix("_id")
        if name == f"get_{entity}_details" and isinstance(database.get(f"{entity}s"), dict):
            yield f"/{entity}s/{{{argument}}}"


def _retail_write(name: str, arguments: dict[str, Any]) -> ToolEffect | None:
    if name == "modify_user_address" and "user_id" in arguments:
        return ToolEffect("write", changes=("/users/{user_id}/address",))
    fields = _RETAIL_WRITES.get(name, ())
    if not fields or "order_id" not in arguments:
        return None
    changes = (field if field.startswith("/") else _ORDER + field for field in fields)
    return ToolEffect("write", changes=tuple(changes))
