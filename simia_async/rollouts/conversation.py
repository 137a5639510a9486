"""One conversation of the policy with the simulated world, every turn stored before the next.

The policy is prompted with token ids. The first prompt is rendered once; afterwards only the ids
of new messages are appended, so what is trained on is exactly what was sampled.
"""

import time
from typing import Any

import anyio.to_thread
import msgspec
from simia_store import CallRecord, Store, TrajectoryRecord, TrajectoryStatus, TurnRecord

from simia_async.clients import ChatClient, Completion
from simia_async.environments import Environment, Task
from simia_async.errors import EndpointError, RenderError
from simia_async.messages import Message, ToolCall, visible_text
from simia_async.models import policy_name
from simia_async.rendering.renderer import Renderer
from simia_async.rendering.tool_calls import parse_reply
from simia_async.rollouts.stop_reason import StopReason
from simia_async.simulation import Simulator, answer_in_code, apply_ops, check_exactly


class Policy(msgspec.Struct, frozen=True):
    """The model under training, pinned to one version, and how it is sampled."""

    client: ChatClient
    renderer: Renderer
    version: int
    temperature: float
    max_turns: int
    max_tokens: int
    """Limit of one turn."""
    context: int
    """Token limit of prompt and reply together."""

    @property
    def model(self) -> str:
        """Name under which the endpoint knows this version."""
        return policy_name(self.version)


class Outcome(msgspec.Struct, frozen=True):
    """How a conversation ended. `solved` is the exact check, which the policy's reward may miss."""

    trajectory_id: int
    task: Task
    stop_reason: StopReason
    reward: float | None
    solved: bool | None
    """None where the task has no exact check."""
    why: str | None = None
    """The judge's reasoning, or what failed."""


class Placement(msgspec.Struct, frozen=True):
    """Where a rollout stands in the run."""

    store: Store
    group_id: int | None = None
    seed: int = 0
    """Seed of the policy's sampling."""


async def run_rollout(
    task: Task, environment: Environment, policy: Policy, simulator: Simulator, place: Placement
) -> Outcome:
    """Play `task` to its end and have it judged. Failures are recorded, not raised.

    Raises `StoreError` only: without a record there is no run.
    """
    conversation = _Conversation(task, environment, policy, simulator, place)
    return await conversation.play()


class _Stop(Exception):
    def __init__(self, reason: StopReason, why: str | None = None) -> None:
        self.reason = reason
        self.why = why


class _Conversation:
    def __init__(
        self,
        task: Task,
        environment: Environment,
        policy: Policy,
        simulator: Simulator,
        place: Placement,
    ) -> None:
        self._task = task
        self._environment = environment
        self._policy = policy
        self._simulator = simulator
        self._store = place.store
        self._id = place.store.new_trajectory_id()
        self._seed = place.seed
        self._group_id = place.group_id
        self._started = time.time()
        self._state: dict[str, Any] = environment.state_with(task.initial_state)
        self._history: list[Message] = []
        """What was said so far, without the system message."""
        self._unread: list[Message] = []
        """Messages at the end of the history that the policy has not been shown."""
        self._ids: list[int] = []
        """Token ids the policy has seen or sampled."""
        self._ledger: list[CallRecord] = []
        self._user_done = False

    async def play(self) -> Outcome:
        await self._store.append(self._record(TrajectoryStatus.RUNNING))
        try:
            await self._user_turn()
            for turn in range(self._policy.max_turns):
                calls, problem = await self._policy_turn(turn)
                if problem:
                    await self._observe(None, {"error": problem}, source="code", is_error=True)
                for call in calls:
                    await self._tool_turn(call)
                    if call.function.name in self._environment.ending_tools:
                        raise _Stop(StopReason.AGENT_DONE)
                if not calls and not problem:
                    await self._user_turn()
                    if self._user_done:
                        raise _Stop(StopReason.USER_DONE)
            raise _Stop(StopReason.MAX_TURNS)
        except _Stop as stop:
            return await self._finish(stop)

    async def _user_turn(self) -> None:
        try:
            reply = await self._simulator.user(
                self._task, _as_the_user_sees(self._history), self._ledger, self._id
            )
        except EndpointError as error:
            raise _Stop(StopReason.SIMULATOR_ERROR, str(error)) from error
        self._user_done = reply.done
        await self._hear(Message("user", reply.message), source="llm")

    async def _policy_turn(self, turn: int) -> tuple[list[ToolCall], str | None]:
        """Let the policy speak; return its tool calls, or what was wrong with them."""
        prompt_ids = await self._next_prompt()
        room = self._policy.context - len(self._ids) - len(prompt_ids)
        if room < 1:
            raise _Stop(StopReason.CONTEXT_FULL, f"{self._policy.context} tokens are not enough")
        self._ids += prompt_ids
        try:
            completion = await self._policy.client.complete(
                self._ids,
                model=self._policy.model,
                ledger=self._ledger,
                trajectory_id=self._id,
                max_tokens=min(room, self._policy.max_tokens),
                temperature=self._policy.temperature,
                seed=(self._seed * 1000 + turn) % 2**31,
            )
        except EndpointError as error:
            raise _Stop(StopReason.POLICY_ERROR, str(error)) from error
        return await self._take(prompt_ids, completion, turn)

    async def _take(
        self, prompt_ids: list[int], completion: Completion, turn: int
    ) -> tuple[list[ToolCall], str | None]:
        text = self._policy.renderer.decode(completion.token_ids)
        reply = parse_reply(text, f"call_{turn}")
        message = Message("assistant", reply.content, tool_calls=reply.calls or None)
        self._ids += completion.token_ids
        self._unread = []
        await self._say(message, prompt_ids=prompt_ids, completion=completion)
        if completion.finish_reason == "length":
            raise _Stop(
                StopReason.CONTEXT_FULL,
                f"the policy did not end its turn within {len(completion.token_ids)} tokens",
            )
        return reply.calls, reply.problem

    async def _next_prompt(self) -> list[int]:
        """Ids that the policy has not seen yet: everything at first, then what is unread."""
        renderer, history = self._policy.renderer, self._history
        try:
            if not self._ids:
                opening = [Message("system", self._environment.policy), *history]
                return await anyio.to_thread.run_sync(
                    renderer.prompt_ids, opening, self._environment.tools
                )
            seen = history[: len(history) - len(self._unread)]
            return await anyio.to_thread.run_sync(renderer.continuation_ids, seen, self._unread)
        except RenderError as error:
            raise _Stop(StopReason.POLICY_ERROR, str(error)) from error

    async def _tool_turn(self, call: ToolCall) -> None:
        """Answer one call: by code where no LLM is needed, else by the simulator."""
        refusal = answer_in_code(self._environment, call)
        if refusal is not None:
            await self._observe(call, refusal, source="code", is_error=True)
            return
        asked = Message("assistant", tool_calls=[call])
        history = [*_as_the_user_sees(self._history), asked]
        try:
            reply = await self._simulator.tool(self._state, history, self._ledger, self._id)
            self._state = apply_ops(self._state, reply.ops)
        except EndpointError as error:
            raise _Stop(StopReason.SIMULATOR_ERROR, str(error)) from error
        await self._observe(
            call, reply.observation, source="llm", is_error=reply.is_error, ops=reply.ops
        )

    async def _observe(
        self,
        call: ToolCall | None,
        observation: Any,
        *,
        source: str,
        is_error: bool,
        ops: list[dict[str, Any]] | None = None,
    ) -> None:
        text = msgspec.json.format(msgspec.json.encode(observation), indent=0).decode()
        message = Message("tool", text, tool_call_id=call.id if call else None)
        await self._hear(message, source=source, is_error=is_error, ops=ops)

    async def _hear(
        self,
        message: Message,
        *,
        source: str,
        is_error: bool = False,
        ops: list[dict[str, Any]] | None = None,
    ) -> None:
        self._unread.append(message)
        await self._say(message, source=source, is_error=is_error, ops=ops)

    async def _say(
        self,
        message: Message,
        *,
        source: str | None = None,
        is_error: bool = False,
        ops: list[dict[str, Any]] | None = None,
        prompt_ids: list[int] | None = None,
        completion: Completion | None = None,
    ) -> None:
        """Store the turn together with the calls made for it, then let it count."""
        turn = TurnRecord(
            trajectory_id=self._id,
            position=len(self._history),
            role=message.role,
            message=message.as_wire(),
            source=source,
            is_error=is_error,
            ops=ops or [],
            prompt_ids=prompt_ids or [],
            token_ids=completion.token_ids if completion else [],
            logprobs=completion.logprobs if completion else [],
        )
        calls, self._ledger = self._ledger, []
        await self._store.append(turn, *calls)
        self._history.append(message)

    async def _finish(self, stop: _Stop) -> Outcome:
        reason, why, reward, criteria = stop.reason, stop.why, None, {}
        if reason not in (StopReason.POLICY_ERROR, StopReason.SIMULATOR_ERROR):
            try:
                judgement = await self._simulator.judge(
                    self._task,
                    self._state,
                    _as_the_user_sees(self._history),
                    self._ledger,
                    self._id,
                )
                reward, why = judgement.reward, why or judgement.reasoning
                criteria = judgement.criteria
            except EndpointError as error:
                reason, why = StopReason.JUDGE_ERROR, str(error)
        solved = None
        if self._task.check is not None:
            check = self._task.check
            if check.final_state is not None:
                whole = self._environment.state_with(check.final_state)
                check = msgspec.structs.replace(check, final_state=whole)
            exact = check_exactly(check, self._state, self._history, finished=self._user_done)
            solved = all(exact.values())
        record = self._record(
            TrajectoryStatus.UNSCORED if reward is None else TrajectoryStatus.SCORED,
            reason,
            reward,
            why,
            {"criteria": criteria, "solved": solved, "needs_action": self._task.needs_action},
        )
        await self._store.append(record, *self._ledger)
        return Outcome(self._id, self._task, reason, reward, solved, why)

    def _record(
        self,
        status: TrajectoryStatus,
        stop: StopReason | None = None,
        reward: float | None = None,
        why: str | None = None,
        detail: dict[str, Any] | None = None,
    ) -> TrajectoryRecord:
        failed = stop is not None and status == TrajectoryStatus.UNSCORED
        return TrajectoryRecord(
            id=self._id,
            environment=self._environment.name,
            task_id=self._task.id,
            status=status,
            split=self._task.split,
            group_id=self._group_id,
            policy_version=self._policy.version,
            stop_reason=stop,
            reward=reward,
            boundary=str(stop).removesuffix("_error") if failed else None,
            reason=why,
            detail=detail or {},
            created_at=self._started,
            finished_at=time.time() if stop else None,
        )


def _as_the_user_sees(history: list[Message]) -> list[Message]:
    """The history without what the agent only thought."""
    return [
        msgspec.structs.replace(message, content=visible_text(message.content))
        if message.role == "assistant" and message.content
        else message
        for message in history
    ]
