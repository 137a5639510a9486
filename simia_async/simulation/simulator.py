"""The simulator: asks an LLM, in one of its roles, and makes sense of the answer."""

from typing import Any, TypeVar

import json_repair
import msgspec
from simia_store import CallRecord

from simia_async.clients import ChatClient, Spending
from simia_async.environments import Environment, Seed, Task
from simia_async.errors import BadReply
from simia_async.messages import Message
from simia_async.simulation.prompts import WORDS, SimulatorRole, Tag, compose
from simia_async.simulation.replies import Draft, Judgement, ToolReply, UserReply

Reply = TypeVar("Reply", UserReply, ToolReply, Judgement, Draft)


class Simulator:
    """An LLM that answers for the world of one environment."""

    def __init__(self, client: ChatClient, environment: Environment) -> None:
        self._client = client
        self._environment = environment

    @property
    def spending(self) -> Spending:
        """What its calls are charged to."""
        return self._client.spending

    async def user(
        self, task: Task, history: list[Message], ledger: list[CallRecord], trajectory_id: int
    ) -> UserReply:
        """What the user says next. `history` is empty when they speak first."""
        sections: dict[Tag, Any] = {
            "environment": self._named("user"),
            "task": {"scenario": task.scenario},
            "history": history,
        }
        return await self._ask(
            "user", sections, UserReply, ledger, trajectory_id, fresh=not history
        )

    async def tool(
        self,
        state: dict[str, Any],
        history: list[Message],
        ledger: list[CallRecord],
        trajectory_id: int,
    ) -> ToolReply:
        """What the call that ends `history` returns."""
        sections: dict[Tag, Any] = {
            "environment": self._named("tool"),
            "tools": self._environment.tools,
            "state": state,
            "history": history,
        }
        return await self._ask("tool", sections, ToolReply, ledger, trajectory_id)

    async def judge(
        self,
        task: Task,
        state: dict[str, Any],
        history: list[Message],
        ledger: list[CallRecord],
        trajectory_id: int,
    ) -> Judgement:
        """How well the conversation did what the task wanted."""
        sections: dict[Tag, Any] = {
            "environment": self._named("judge", policy=True),
            "task": {"scenario": task.scenario, "check": task.check},
            "state": state,
            "history": history,
        }
        return await self._ask("judge", sections, Judgement, ledger, trajectory_id)

    async def author(
        self, seed: Seed, index: int, ledger: list[CallRecord], trajectory_id: int
    ) -> Draft:
        """A new conversation like `seed`. `index` is the request's seed: others give others."""
        sections: dict[Tag, Any] = {
            "environment": self._named("author", policy=True),
            "tools": self._environment.tools,
            "seed": seed.messages,
        }
        return await self._ask(
            "author", sections, Draft, ledger, trajectory_id, fresh=True, seed=index
        )

    def _named(self, role: SimulatorRole, *, policy: bool = False) -> dict[str, Any]:
        named: dict[str, Any] = {"name": self._environment.name, "role": role}
        return {**named, "policy": self._environment.policy} if policy else named

    async def _ask(
        self,
        role: SimulatorRole,
        sections: dict[Tag, Any],
        expected: type[Reply],
        ledger: list[CallRecord],
        trajectory_id: int,
        **parameters: Any,
    ) -> Reply:
        """Ask once, and once more with the complaint if the answer cannot be used."""
        prompt = [
            Message("system", WORDS[role]),
            Message("user", compose(sections)),
        ]
        for last in (False, True):
            reply = await self._client.chat(
                prompt,
                role=role,
                ledger=ledger,
                trajectory_id=trajectory_id,
                response_format={"type": "json_object"},
                **parameters,
            )
            if reply.finish_reason == "length":
                # What is cut off may still read as something whole, so it is not even tried.
                raise BadReply(f"simulator, role {role}: the answer was cut off at a token limit")
            text = reply.message.content or ""
            try:
                return _read(text, expected)
            except msgspec.ValidationError as error:
                if last:
                    raise BadReply(
                        f"simulator, role {role}: {error}; said {text[:80]!r}"
                    ) from error
                complaint = f"That cannot be used: {error}. Answer again, with the JSON only."
                prompt += [Message("assistant", text), Message("user", complaint)]
        raise AssertionError("the loop returns or raises")


def _read(text: str, expected: type[Reply]) -> Reply:
    """The answer, with prose around the JSON and small slips in it forgiven."""
    try:
        return msgspec.json.decode(text, type=expected)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, RecursionError):
        repaired: Any = json_repair.loads(text)
    try:
        msgspec.json.encode(repaired)
    except (UnicodeError, RecursionError) as error:
        raise msgspec.ValidationError(f"not text that can be stored: {error}") from error
    return msgspec.convert(repaired, expected)
