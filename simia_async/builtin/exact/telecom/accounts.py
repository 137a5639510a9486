"""The agent's tools that look: customers, lines, plans, bills, and the network."""

from typing import Any

from simia_async.builtin.exact.binding import State
from simia_async.builtin.exact.telecom.finding import found, gigabytes_left
from simia_async.environments.tool_effects import ToolError


def find_customer_by_phone(state: State, phone_number: str) -> Any:
    """Whose number it is."""
    for line_id, line in state["lines"].items():
        if line["phone_number"] == phone_number:
            return {"customer_id": line["customer_id"], "line_id": line_id}
    raise ToolError(f"{phone_number}: is no number of ours")


def find_customer_by_name(state: State, name: str, birth_date: str) -> Any:
    """Who is called so and was born then."""
    for customer_id, customer in state["customers"].items():
        if customer["name"].lower() == name.strip().lower():
            if customer["birth_date"] == birth_date:
                return {"customer_id": customer_id, "lines": customer["lines"]}
            raise ToolError(f"{name}: the date of birth is another")
    raise ToolError(f"{name}: is no customer of ours")


def get_customer(state: State, customer_id: str) -> Any:
    """All about a customer."""
    return found(state, "customers", customer_id)


def get_line(state: State, line_id: str) -> Any:
    """All about a line."""
    return found(state, "lines", line_id)


def get_data_usage(state: State, line_id: str) -> Any:
    """Data of this month."""
    line = found(state, "lines", line_id)
    return {
        "line_id": line_id,
        "included_gb": state["plans"][line["plan_id"]]["data_gb"],
        "added_gb": line["data_added_gb"],
        "used_gb": line["data_used_gb"],
        "left_gb": max(gigabytes_left(state, line), 0),
    }


def list_plans(state: State) -> Any:
    """All plans."""
    return {"plans": [{"plan_id": key, **plan} for key, plan in state["plans"].items()]}


def get_plan(state: State, plan_id: str) -> Any:
    """One plan."""
    return found(state, "plans", plan_id)


def list_bills(state: State, customer_id: str) -> Any:
    """A customer's bills, the newest first."""
    found(state, "customers", customer_id)
    bills = [
        {"bill_id": key, **bill}
        for key, bill in state["bills"].items()
        if bill["customer_id"] == customer_id
    ]
    return {"bills": sorted(bills, key=lambda bill: bill["month"], reverse=True)}


def get_bill(state: State, bill_id: str) -> Any:
    """One bill."""
    return found(state, "bills", bill_id)


def get_area_status(state: State, name: str) -> Any:
    """The network in a place."""
    for area_id, area in state["areas"].items():
        if area["name"].lower() == name.strip().lower():
            return {"area_id": area_id, **area}
    names = ", ".join(area["name"] for area in state["areas"].values())
    raise ToolError(f"{name}: no area of this name; there are {names}")
