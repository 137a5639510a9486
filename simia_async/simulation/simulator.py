"""The simulator: asks an LLM, in one of its roles, and makes sense of the answer."""

from collections.abc import Callable
from functools import partial
from typing import Any

from simia_store import CallRecord

from simia_async.clients import ChatClient, Spending
from simia_async.environments import Environment, Seed, Task
from simia_async.messages import Message
from simia_async.simulation.asking import Asker, read_json
from simia_async.simulation.device import answers_device
from simia_async.simulation.device_replies import must_speak, read_joint_user, read_user
from simia_async.simulation.drafts import read_draft
from simia_async.simulation.prompts import Tag
from simia_async.simulation.replies import (
    DeviceUserReply,
    Draft,
    JointUserReply,
    Review,
    TaskDraft,
    ToolReply,
    UserReply,
)
from simia_async.simulation.wishes import Wishes


class Simulator:
    """An LLM that answers for the world of one environment, or one a role."""

    def __init__(
        self,
        client: ChatClient,
        environment: Environment,
        *,
        user: ChatClient | None = None,
        tool: ChatClient | None = None,
        joint: bool = False,
    ) -> None:
        """`client` is asked in every role that has none of its own; `joint`: one prompt plays user
        and tools.
        """
        self._client = client
        self._environment = environment
        self._asker = Asker(client, environment)
        self._user_asker = Asker(user, environment) if user else self._asker
        self._tool_asker = Asker(tool, environment) if tool else self._asker
        self._joint = joint

    @property
    def spending(self) -> Spending:
        """What its calls are charged to."""
        return self._client.spending

    async def user(
        self, task: Task, history: list[Message], ledger: list[CallRecord], trajectory_id: int
    ) -> UserReply | DeviceUserReply:
        """What the user says next, or does on their device, where the environment gives them tools.

        `history` is empty when they begin.
        """
        fresh = not history
        has_tools = bool(self._environment.user_tools)
        if self._joint:
            sections = self._joint_sections(task, history, None)
            if has_tools:
                read_joint = must_speak(history, read_joint_user)
                return await self._asker.ask(
                    "joint", sections, read_joint, ledger, trajectory_id, fresh=fresh
                )
            reply = await self._asker.ask(
                "joint",
                sections,
                partial(read_json, JointUserReply),
                ledger,
                trajectory_id,
                fresh=fresh,
            )
            return reply.as_users()
        sections = {
            "environment": self._user_asker.named("user"),
            "task": {"scenario": task.scenario, **_reference(task)},
            "history": history,
        }
        if has_tools:
            read_users = must_speak(history, read_user)
            return await self._user_asker.ask(
                "user", sections, read_users, ledger, trajectory_id, fresh=fresh
            )
        read = partial(read_json, UserReply)
        return await self._user_asker.ask(
            "user", sections, read, ledger, trajectory_id, fresh=fresh
        )

    async def tool(
        self,
        task: Task,
        state: dict[str, Any] | None,
        history: list[Message],
        read: Callable[[str], ToolReply],
        ledger: list[CallRecord],
        trajectory_id: int,
    ) -> ToolReply:
        """What the call that ends `history`, of the agent or of the user, returns. `state` is what
        of the world's state it is told; `read` makes a reply of the answer, or complains of it (see
        `Asker.ask`).
        """
        if self._joint:
            sections = self._joint_sections(task, history, state)
            return await self._asker.ask("joint", sections, read, ledger, trajectory_id)
        asker = self._tool_asker
        sections = {
            "environment": asker.named("tool"),
            "tools": asker.user_tools if answers_device(history) else asker.tools,
            "state": state,
            "history": history,
        }
        if task.reference:
            sections["task"] = _reference(task)
        return await asker.ask("tool", sections, read, ledger, trajectory_id)

    def _joint_sections(
        self, task: Task, history: list[Message], state: dict[str, Any] | None
    ) -> dict[Tag, Any]:
        return {
            "environment": self._asker.named("joint", policy=True),
            "tools": self._asker.tools,
            "task": {"scenario": task.scenario, **_reference(task)},
            "state": state,
            "history": history,
        }

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


def _reference(task: Task) -> dict[str, Any]:
    return {"reference": task.reference} if task.reference else {}
