"""The agent's tools that change something on the operator's side."""

from typing import Any

from simia_async.builtin.exact.binding import State
from simia_async.builtin.exact.telecom.finding import active_line, found
from simia_async.environments.tool_effects import ToolError


def suspend_line(state: State, line_id: str, reason: str) -> Any:
    """Nobody can use it until it is resumed."""
    line = active_line(state, line_id)
    line["status"], line["suspended_for"] = "suspended", reason
    _unregister(state, line_id)
    return {"line_id": line_id, "status": "suspended"}


def resume_line(state: State, line_id: str) -> Any:
    """It can be used again, once the phone has been restarted."""
    line = found(state, "lines", line_id)
    if line["status"] != "suspended":
        raise ToolError(f"{line_id}: is {line['status']}, not suspended")
    line["status"], line["suspended_for"] = "active", ""
    return {"line_id": line_id, "status": "active", "note": "the phone must be restarted"}


def set_roaming(state: State, line_id: str, on: bool) -> Any:
    """Whether it works abroad."""
    line = active_line(state, line_id)
    if line["roaming"] == on:
        raise ToolError(f"{line_id}: roaming is {'on' if on else 'off'} already")
    line["roaming"] = on
    return {"line_id": line_id, "roaming": on}


def change_plan(state: State, line_id: str, plan_id: str) -> Any:
    """Another plan, from now on."""
    line = active_line(state, line_id)
    found(state, "plans", plan_id)
    if line["plan_id"] == plan_id:
        raise ToolError(f"{line_id}: has this plan already")
    line["plan_id"], line["plan_since"] = plan_id, state["today"]["date"]
    return {"line_id": line_id, "plan_id": plan_id}


def add_data(state: State, line_id: str, gigabytes: int) -> Any:
    """More data for this month."""
    line = active_line(state, line_id)
    line["data_added_gb"] += gigabytes
    cost = round(gigabytes * state["plans"][line["plan_id"]]["extra_gb_eur"], 2)
    return {"line_id": line_id, "data_added_gb": line["data_added_gb"], "cost_eur": cost}


def request_payment(state: State, bill_id: str) -> Any:
    """Ask for a bill to be paid, on the customer's phone."""
    bill = found(state, "bills", bill_id)
    if bill["status"] == "paid":
        raise ToolError(f"{bill_id}: is paid")
    if bill["requested"]:
        raise ToolError(f"{bill_id}: the payment is requested already")
    bill["requested"] = True
    return {"bill_id": bill_id, "amount_eur": bill["amount_eur"], "requested": True}


def refresh_registration(state: State, line_id: str) -> Any:
    """Set the line up anew in the network; the phone finds it after a restart."""
    line = active_line(state, line_id)
    if line["registration"] == "ok":
        raise ToolError(f"{line_id}: its registration is ok")
    line["registration"] = "ok"
    return {"line_id": line_id, "registration": "ok", "note": "the phone must be restarted"}


def open_ticket(state: State, line_id: str, kind: str) -> Any:
    """Work for a technician."""
    line = found(state, "lines", line_id)
    key = f"tic_{len(state['tickets']) + 1}"
    state["tickets"][key] = {
        "line_id": line_id,
        "customer_id": line["customer_id"],
        "kind": kind,
        "opened": state["today"]["date"],
    }
    return {"ticket_id": key, "kind": kind}


def hand_over_to_human(state: State, department: str) -> Any:
    """Somebody else goes on."""
    state["handover"]["department"] = department
    return {"handed_over_to": department}


def _unregister(state: State, line_id: str) -> None:
    if state["phone"]["line_id"] == line_id:
        state["phone"]["registered"] = False
