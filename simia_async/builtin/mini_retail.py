"""`mini-retail`: the scripted world of every default. Rule-based; there is no LLM in it."""

from simia_async.builtin.world import Action, World

MINI_RETAIL = World(
    name="mini-retail",
    noun="order",
    id_prefix="W",
    statuses=("pending", "packed", "shipped", "delivered"),
    attribute="address",
    actions=(
        Action("cancel_order", "cancel", "status", ("pending",), "cancelled"),
        Action("change_address", "change", "attribute", ("pending", "packed")),
        Action("refund_order", "refund", "payment", ("delivered",), "refunded"),
    ),
)

SCRIPTED_WORLDS: dict[str, World] = {MINI_RETAIL.name: MINI_RETAIL}
