"""Rules of a scripted world: one kind of record, its statuses, and three actions with a policy.

A world answers tool calls by rule, with no LLM anywhere. `mini-retail` is one; the tiny base is
pre-trained on randomly drawn others.
"""

from typing import Any, Literal

import msgspec

ToolSchema = dict[str, Any]


class Action(msgspec.Struct, frozen=True):
    """A write tool: which statuses allow it and what it changes."""

    tool: str
    verb: str
    effect: Literal["status", "attribute", "payment"]
    allowed: tuple[str, ...]
    result: str = ""
    """Status after the action; empty for `attribute`, which leaves the status alone."""


class Outcome(msgspec.Struct, frozen=True):
    """What a tool call returned, and the JSON Patch (RFC 6902) it makes to the state."""

    observation: Any
    is_error: bool = False
    ops: list[dict[str, Any]] = []


class World(msgspec.Struct, frozen=True):
    """A scripted world. State is `{"users": {id: …}, "<noun>s": {id: …}}`."""

    name: str
    noun: str
    id_prefix: str
    statuses: tuple[str, ...]
    attribute: str
    actions: tuple[Action, Action, Action]

    @property
    def records(self) -> str:
        """Key of the records in the state, e.g. `orders`."""
        return f"{self.noun}s"

    @property
    def record_id(self) -> str:
        """Name of the argument that holds a record's id, e.g. `order_id`."""
        return f"{self.noun}_id"

    def extra_argument(self, action: Action) -> str:
        """Name of the second argument of a write tool; empty if it takes none."""
        names = {"attribute": self.attribute, "payment": "payment", "status": ""}
        return names[action.effect]

    def policy(self) -> str:
        """Policy text: for every action, which statuses allow it."""
        lines = [f"You are a {self.name} support agent. Policy:"]
        lines += [f"- {self.rule(action)}" for action in self.actions]
        return "\n".join(lines)

    def rule(self, action: Action) -> str:
        """One line of the policy, as `tool: status yes, status no, …`."""
        verdicts = (
            f"{status} {'yes' if status in action.allowed else 'no'}" for status in self.statuses
        )
        return f"{action.tool}: {', '.join(verdicts)}"

    def tools(self) -> list[ToolSchema]:
        """Tool schemas in OpenAI function format."""
        noun, an_id = self.noun, self.record_id
        tools = [
            _schema("get_user", f"Look a user up, with their {noun}s, oldest first.", ["user_id"]),
            _schema(f"get_{noun}", f"Look one {noun} up.", [an_id]),
        ]
        for action in self.actions:
            extra = self.extra_argument(action)
            arguments = [an_id, extra] if extra else [an_id]
            tools.append(_schema(action.tool, f"{action.verb.capitalize()} one {noun}.", arguments))
        return tools

    def call(self, state: dict[str, Any], tool: str, arguments: dict[str, Any]) -> Outcome:
        """Answer one schema-valid tool call. The policy is the agent's duty: it is not enforced."""
        if tool == "get_user":
            user = state["users"].get(arguments["user_id"])
            return Outcome(user) if user else _error("user not found")
        record_id = arguments[self.record_id]
        record = state[self.records].get(record_id)
        if record is None:
            return _error(f"{self.noun} not found")
        if tool == f"get_{self.noun}":
            return Outcome(record)
        action = next(action for action in self.actions if action.tool == tool)
        value = arguments.get(self.extra_argument(action), "")
        return Outcome({"ok": True}, ops=self.effect_ops(action, record_id, value))

    def effect_ops(self, action: Action, record_id: str, value: str) -> list[dict[str, Any]]:
        """JSON Patch of one action on one record."""
        at = f"/{self.records}/{record_id}"
        if action.effect == "attribute":
            return [{"op": "replace", "path": f"{at}/{self.attribute}", "value": value}]
        ops = [{"op": "replace", "path": f"{at}/status", "value": action.result}]
        if action.effect == "payment":
            ops.append({"op": "add", "path": f"{at}/paid_to", "value": value})
        return ops


def _schema(name: str, description: str, arguments: list[str]) -> ToolSchema:
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": description,
            "parameters": {
                "type": "object",
                "properties": {argument: {"type": "string"} for argument in arguments},
                "required": arguments,
                "additionalProperties": False,
            },
        },
    }


def _error(message: str) -> Outcome:
    return Outcome({"error": message}, is_error=True)
