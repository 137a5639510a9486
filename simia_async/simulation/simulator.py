"""The simulator: asks an LLM, in one of its roles, and makes sense of the answer."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import msgspec
from simia_store import CallRecord

from simia_async.clients import ChatClient, Spending
from simia_async.environments import Environment, Seed, Task
from simia_async.errors import BadReply
from simia_async.messages import Message
from simia_async.simulation.drafts import read_draft
from simia_async.simulation.loose_json import some_json
from simia_async.simulation.prompts import SimulatorRole, Tag, compose, words_of
from simia_async.simulation.replies import (
    Draft,
    Judgement,
    Review,
    TaskDraft,
    ToolReply,
    UserReply,
)
from simia_async.simulation.wishes import Wishes

Reply = TypeVar("Reply")


class Simulator:
    """An LLM that answers for the world of one environment."""

    def __init__(self, client: ChatClient, environment: Environment) -> None:
        self._client = client
        self._environment = environment
        self._tools = msgspec.Raw(msgspec.json.encode(environment.tools))
        """Encoded once; they are part of most prompts."""

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
            "user", sections, partial(_read, UserReply), ledger, trajectory_id, fresh=not history
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
            "tools": self._tools,
            "state": state,
            "history": history,
        }
        read = partial(_read, ToolReply)
        return await self._ask("tool", sections, read, ledger, trajectory_id)

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
            "task": {
                "scenario": task.scenario,
                "goal": task.goal,
                "rubric": task.rubric,
                "check": task.check,
            },
            "state": state,
            "history": history,
        }
        read = partial(_read, Judgement)
        return await self._ask("judge", sections, read, ledger, trajectory_id)

    async def author(
        self,
        seed: Seed,
        wishes: Wishes,
        index: int,
        ledger: list[CallRecord],
        trajectory_id: int,
    ) -> Draft:
        """A new conversation like `seed`. `index` is the request's seed: others give others."""
        sections: dict[Tag, Any] = {
            "environment": self._named("author", policy=True),
            "tools": self._tools,
            "seed": seed.messages,
            "task": wishes,
        }
        return await self._ask(
            "author", sections, read_draft, ledger, trajectory_id, fresh=True, seed=index
        )

    async def review(self, seed: Seed, ledger: list[CallRecord]) -> Review:
        """Whether `seed` may be used as an example."""
        sections: dict[Tag, Any] = {
            "environment": self._named("reviewer", policy=True),
            "tools": self._tools,
            "seed": {"messages": seed.messages, "not_told": seed.incomplete},
        }
        read = partial(_read, Review)
        return await self._ask("reviewer", sections, read, ledger, None, fresh=True)

    async def draft_task(
        self, seed: Seed, ledger: list[CallRecord], check: Callable[[TaskDraft], None]
    ) -> TaskDraft:
        """The task behind `seed`. `check` raises `msgspec.ValidationError` for one that cannot be
        used; then it is asked for once more.
        """
        environment = self._environment
        sections: dict[Tag, Any] = {
            "environment": self._named("task_author", policy=True),
            "tools": self._tools,
            "state": {"schema": environment.state_schema, "initial": environment.initial_state},
            "seed": seed.messages,
        }

        def read(text: str) -> TaskDraft:
            draft = _read(TaskDraft, text)
            check(draft)
            return draft

        return await self._ask("task_author", sections, read, ledger, None, fresh=True)

    def _named(self, role: SimulatorRole, *, policy: bool = False) -> dict[str, Any]:
        named: dict[str, Any] = {"name": self._environment.name, "role": role}
        return {**named, "policy": self._environment.policy} if policy else named

    async def _ask(
        self,
        role: SimulatorRole,
        sections: dict[Tag, Any],
        read: Callable[[str], Reply],
        ledger: list[CallRecord],
        trajectory_id: int | None,
        **parameters: Any,
    ) -> Reply:
        """Ask once, and once more with the complaint if the answer cannot be used."""
        prompt = [
            Message("system", words_of(role, self._environment.prompts)),
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
                return read(text)
            except msgspec.ValidationError as error:
                if last:
                    raise BadReply(
                        f"simulator, role {role}: {error}; said {text[:80]!r}"
                    ) from error
                complaint = f"That cannot be used: {error}. Answer again, with the JSON only."
                prompt += [Message("assistant", text), Message("user", complaint)]
        raise AssertionError("the loop returns or raises")


def _read(expected: type[Reply], text: str) -> Reply:
    """The answer, with prose around the JSON and small slips in it forgiven."""
    try:
        return msgspec.json.decode(text, type=expected)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, RecursionError):
        return msgspec.convert(some_json(text), expected)
