"""The simplest shape of a world: one kind of record, its statuses, and three actions.

`mini-retail` is one; the tiny base is pre-trained on randomly drawn others.
"""

from functools import cached_property
from typing import Any, Literal

import msgspec

from simia_async.builtin.worlds.engine import Change, Outcome, Tool, ToolSchema, World


class Action(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A write tool: which statuses allow it and what it changes."""

    tool: str
    verb: str
    effect: Literal["status", "attribute", "payment"]
    allowed: tuple[str, ...]
    result: str = ""
    """Status after the action; empty for `attribute`, which leaves the status alone."""


class Desk(msgspec.Struct, frozen=True, dict=True, forbid_unknown_fields=True):
    """A desk for one kind of record. State is `{"users": {id: …}, "<noun>s": {id: …}}`."""

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
        return self._world.tools()

    def call(self, state: dict[str, Any], tool: str, arguments: dict[str, Any]) -> Outcome:
        """Answer one schema-valid tool call. The policy is the agent's duty: it is not enforced."""
        return self._world.call(state, tool, arguments)

    @cached_property
    def _world(self) -> World:
        noun = self.noun
        find = {noun: f"{self.records}/{{{self.record_id}}}"}
        tools = {
            "get_user": Tool(
                f"Look a user up, with their {noun}s, oldest first.",
                ("user_id",),
                {"user": "users/{user_id}"},
                returns="user",
            ),
            f"get_{noun}": Tool(f"Look one {noun} up.", (self.record_id,), find, returns=noun),
        }
        for action in self.actions:
            extra = self.extra_argument(action)
            tools[action.tool] = Tool(
                f"{action.verb.capitalize()} one {noun}.",
                (self.record_id, extra) if extra else (self.record_id,),
                find,
                changes=self._changes(action),
            )
        return World(self.name, self.policy(), tools)

    def _changes(self, action: Action) -> tuple[Change, ...]:
        at = f"/{self.records}/{{{self.record_id}}}"
        if action.effect == "attribute":
            return (Change(f"{at}/{self.attribute}", f"{{{self.attribute}}}"),)
        status = Change(f"{at}/status", action.result)
        if action.effect == "payment":
            return (status, Change(f"{at}/paid_to", "{payment}"))
        return (status,)
