"""The simulator: asks an LLM, in one of its roles, and makes sense of the answer."""

from collections.abc import Callable
from functools import partial
from typing import Any

from simia_store import CallRecord

from simia_async.clients import ChatClient, Spending
from simia_async.environments import Environment, Seed, Task
from simia_async.messages import Message
from simia_async.simulation.asking import Asker, read_json
from simia_async.simulation.drafts import read_draft
from simia_async.simulation.prompts import Tag
from simia_async.simulation.replies import (
    Draft,
    Judgement,
    Review,
    TaskDraft,
    ToolReply,
    UserReply,
)
from simia_async.simulation.wishes import Wishes


class Simulator:
    """An LLM that answers for the world of one environment."""

    def __init__(self, client: ChatClient, environment: Environment) -> None:
        self._client = client
        self._environment = environment
        self._asker = Asker(client, environment)

    @property
    def spending(self) -> Spending:
        """What its calls are charged to."""
        return self._client.spending

    async def user(
        self, task: Task, history: list[Message], ledger: list[CallRecord], trajectory_id: int
    ) -> UserReply:
        """What the user says next. `history` is empty when they speak first."""
        sections: dict[Tag, Any] = {
            "environment": self._asker.named("user"),
            "task": {"scenario": task.scenario},
            "history": history,
        }
        return await self._asker.ask(
            "user",
            sections,
            partial(read_json, UserReply),
            ledger,
            trajectory_id,
            fresh=not history,
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
            "environment": self._asker.named("tool"),
            "tools": self._asker.tools,
            "state": state,
            "history": history,
        }
        read = partial(read_json, ToolReply)
        return await self._asker.ask("tool", sections, read, ledger, trajectory_id)

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
            "environment": self._asker.named("judge", policy=True),
            "task": {
                "scenario": task.scenario,
                "goal": task.goal,
                "rubric": task.rubric,
                "check": task.check,
            },
            "state": state,
            "history": history,
        }
        read = partial(read_json, Judgement)
        return await self._asker.ask("judge", sections, read, ledger, trajectory_id)

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
            "environment": self._asker.named("author", policy=True),
            "tools": self._asker.tools,
            "seed": seed.messages,
            "task": wishes,
        }
        return await self._asker.ask(
            "author", sections, read_draft, ledger, trajectory_id, fresh=True, seed=index
        )

    async def review(self, seed: Seed, ledger: list[CallRecord]) -> Review:
        """Whether `seed` may be used as an example."""
        sections: dict[Tag, Any] = {
            "environment": self._asker.named("reviewer", policy=True),
            "tools": self._asker.tools,
            "seed": {"messages": seed.messages, "not_told": seed.incomplete},
        }
        read = partial(read_json, Review)
        return await self._asker.ask("reviewer", sections, read, ledger, None, fresh=True)

    async def draft_task(
        self, seed: Seed, ledger: list[CallRecord], check: Callable[[TaskDraft], None]
    ) -> TaskDraft:
        """The task behind `seed`. `check` raises `msgspec.ValidationError` for one that cannot be
        used; then it is asked for once more.
        """
        environment = self._environment
        sections: dict[Tag, Any] = {
            "environment": self._asker.named("task_author", policy=True),
            "tools": self._asker.tools,
            "state": {"schema": environment.state_schema, "initial": environment.initial_state},
            "seed": seed.messages,
        }

        def read(text: str) -> TaskDraft:
            draft = read_json(TaskDraft, text)
            check(draft)
            return draft

        return await self._asker.ask("task_author", sections, read, ledger, None, fresh=True)
