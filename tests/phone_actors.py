"""Users with phones, and agents, who keep to the scripts of `telecom`; and what they are asked."""

import importlib
import json
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from simia_async.builtin.server.completions import Reply, Said
from simia_async.builtin.server.protocol import ChatRequest
from simia_async.simulation.prompts import read_sections

MAKER = Path(__file__).parents[1] / "examples" / "environments"
DONE = {"message": "Thank you.", "done": True}


@contextmanager
def world_maker() -> Iterator[Any]:
    """The module that makes the environments of the library from scripts."""
    sys.path.insert(0, str(MAKER))
    try:
        yield importlib.import_module("make")
    finally:
        sys.path.remove(str(MAKER))


class Actors:
    """User and agent, at an endpoint that plays both. Use within `world_maker`."""

    def __init__(self, scripts: Sequence[Any]) -> None:
        self._scripting = sys.modules["scripting"]
        self._by_opening = {script.steps[0].text: script for script in scripts}
        self._by_instructions = {script.instructions: script for script in scripts}
        self.heard_by_agent: list[str] = []
        """Every request of the policy."""
        self.hold: Callable[[list[Any]], Awaitable[None]] | None = None
        """Awaited before the user answers to a history."""

    async def user(self, request: ChatRequest) -> str:
        """Their next words, or what they do on the phone."""
        sections = read_sections(request.prompt)
        history = sections["history"]
        if self.hold is not None:
            await self.hold(history)
        script = self._by_instructions[sections["task"]["scenario"]["instructions"]]
        kinds = (self._scripting.User, self._scripting.Device)
        steps = [step for step in script.steps if isinstance(step, kinds)]
        made = sum(message["role"] == "user" for message in history)
        if made == len(steps):
            return json.dumps(DONE)
        step = steps[made]
        if isinstance(step, self._scripting.User):
            return json.dumps({"message": step.text, "done": False})
        call = {"name": step.tool, "arguments": step.arguments}
        return json.dumps({"message": "", "done": False, "tool_calls": [call]})

    def agent(self, request: ChatRequest) -> Reply:
        """Their next words, or their next call."""
        self.heard_by_agent.append(json.dumps(request.raw))
        opening = next(each.text for each in request.messages if each.role == "user")
        kinds = (self._scripting.Say, self._scripting.Call)
        mine = [step for step in self._by_opening[opening].steps if isinstance(step, kinds)]
        step = mine[sum(message.role == "assistant" for message in request.messages)]
        if isinstance(step, self._scripting.Say):
            return Reply(step.text)
        return Reply(tool_calls=[Said("c", step.tool, json.dumps(step.arguments))])
