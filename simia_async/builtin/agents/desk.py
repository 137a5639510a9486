"""The agent at a desk: follows the table of statuses in its policy, rule by rule."""

import re
from collections.abc import Generator
from typing import Any

from simia_async.builtin.agents.script import Call, Say, Script, Step, learn
from simia_async.builtin.worlds.desk import Action, Desk

_VALUE = (
    r"(\d+ King St|May \d+|\d+:\d\d|555 \d{4}|\d+[A-F]|room \d+"
    r"|\d+ [A-Z][a-z]+ (?:Lane|Road|Way|Hill)|[A-Z][a-z]+(?: [A-Z][a-z]+)?)"
)
"""Any value of any attribute (see `templates.attribute_value`)."""
_ELSE = r"If you can not,|If that is not possible,|Otherwise"


def serve(desk: Desk, said: str) -> Script:
    """Serve one request of the user."""
    record = yield from _find_record(desk, said)
    if "error" in record:
        return Say(record["error"])
    wishes = re.split(_ELSE, said)
    wanted = [action for wish in wishes if (action := _wanted(desk, wish))]
    if not wanted:
        return _tell(desk, said, record)
    think = ""
    for action in wanted:
        allowed = record["status"] in action.allowed
        verdict = "yes" if allowed else "no"
        think += f"{desk.rule(action)}; status {record['status']} {verdict}. "
        if allowed:
            return (yield from _act(desk, action, record, said, think))
    return _refuse(desk, wanted[0], record, think)


def _find_record(desk: Desk, said: str) -> Generator[Step, Any, dict[str, Any]]:
    pattern = rf"\b{desk.id_prefix}\d{{4}}\b"
    question = f"Which {desk.noun} is it? Please tell me its id."
    if re.search(rf"(latest|last|most recent) {desk.noun}", said):
        user_id = yield from learn(said, r"[a-z]+_\d+", "What is your user id?")
        user = yield Call("get_user", {"user_id": user_id})
        record_id = user[desk.records][-1]
    else:
        record_id = yield from learn(said, pattern, question)
    while "error" in (record := (yield Call(f"get_{desk.noun}", {desk.record_id: record_id}))):
        question = f"I can not find {desk.noun} {record_id}. Please check the id."
        record_id = yield from learn("", pattern, question)
    return dict(record)


def _wanted(desk: Desk, wish: str) -> Action | None:
    """The action that the user's words ask for; None if they ask for information."""
    for action in desk.actions:
        words = rf"\b({action.verb}|{action.result})\b"
        if action.effect == "attribute":
            words = rf"\b(change|set|update) the {desk.attribute}\b"
        if re.search(words, wish):
            return action
    return None


def _tell(desk: Desk, said: str, record: dict[str, Any]) -> Say:
    fields = rf"\bthe (status|total|{desk.attribute}) (?:of|on)\b"
    found = re.search(fields, said)
    asked = found.group(1) if found else "status"
    return Say(f"The {asked} of {desk.noun} {record[desk.record_id]} is {record[asked]}.")


def _act(desk: Desk, action: Action, record: dict[str, Any], said: str, think: str) -> Script:
    record_id = record[desk.record_id]
    extra = desk.extra_argument(action)
    arguments = {desk.record_id: record_id}
    if action.effect == "payment":
        arguments[extra] = record["payment"]
    elif extra:
        question = f"What should the {extra} be?"
        arguments[extra] = yield from learn(said, f"(?: to |should be ){_VALUE}", question)
    yield Call(action.tool, arguments, think)
    if action.effect == "attribute":
        return Say(f"The {extra} of {desk.noun} {record_id} is now {arguments[extra]}.")
    return Say(f"Your {desk.noun} {record_id} is now {action.result}.")


def _refuse(desk: Desk, action: Action, record: dict[str, Any], think: str) -> Say:
    what = f"change the {desk.attribute} of" if action.effect == "attribute" else action.verb
    why = f"because it is {record['status']}"
    return Say(f"I cannot {what} {desk.noun} {record[desk.record_id]} {why}.", think)
