"""The agent of `mini-telecom`."""

import re
from typing import Any

from simia_async.builtin.agents.script import Say, Script, call, confirm, learn


def serve(said: str) -> Script:
    """Serve one request of the user."""
    question = "Which line is it? Please tell me its id."
    line_id = yield from learn(said, r"\bL\d{4}\b", question)
    line = yield from call("get_line", line_id=line_id)
    if not re.search(r"(?i)\bplan\b", said):
        return (yield from _repair(line))
    if re.search(r"(?i)\bpay|how much\b", said):
        plan = yield from call("get_plan", plan_id=line["plan_id"])
        return Say(f"Plan {plan['plan_id']} is {plan['monthly']} a month.")
    return (yield from _change_plan(line))


def _repair(line: dict[str, Any]) -> Script:
    """Do the first thing of the policy that fits the line."""
    line_id = line["line_id"]
    if line["status"] == "suspended":
        return (yield from _resume(line))
    plan = yield from call("get_plan", plan_id=line["plan_id"])
    if line["used_gb"] >= plan["limit_gb"]:
        yield from confirm(f"Your data is used up. Refuel it for {plan['refuel_price']}?")
        yield from call("refuel_data", line_id=line_id)
        return Say(f"The data of line {line_id} is refuelled.")
    if line["roaming"] == "off":
        answer = yield Say("Are you abroad at the moment?")
        if re.match(r"(?i)yes\b", answer):
            yield from call("enable_roaming", line_id=line_id)
            return Say(f"Roaming of line {line_id} is now on.")
    yield from call("reset_line", line_id=line_id)
    return Say(f"I have reset line {line_id}.")


def _resume(line: dict[str, Any]) -> Script:
    line_id = line["line_id"]
    if line["reason"] == "fraud":
        return Say(f"I cannot resume line {line_id}: it was suspended for fraud.")
    answer = yield from call("resume_line", line_id=line_id)
    if unpaid := re.search(r"\bB\d{4}\b", answer.get("error", "")):
        bill = yield from call("get_bill", bill_id=unpaid.group())
        customer = yield from call("get_customer", customer_id=line["customer_id"])
        payment = customer["payment"]
        yield from confirm(
            f"Bill {bill['bill_id']} is unpaid. Pay {bill['amount']} with {payment}?"
        )
        yield from call("pay_bill", bill_id=bill["bill_id"], payment=payment)
        yield from call("resume_line", line_id=line_id)
    return Say(f"Line {line_id} is active again.")


def _change_plan(line: dict[str, Any]) -> Script:
    line_id = line["line_id"]
    if line["contract"] != "free":
        return Say(f"I cannot change the plan of line {line_id}: its contract is bound.")
    needed = int((yield from learn("", r"(\d+) GB", "What should the new plan be like?")))
    plans = yield from call("list_plans")
    fitting = [plan for plan in plans if plan["limit_gb"] >= needed]
    best = min(fitting, key=lambda plan: float(plan["monthly"]))["plan_id"]
    yield from call("change_plan", line_id=line_id, plan_id=best)
    return Say(f"Line {line_id} is now on plan {best}.")
