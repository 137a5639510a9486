"""One conversation of the policy with the simulated world, every turn stored before the next.

A machine of a few phases. Where it stands follows from the turns alone, so that one that was cut
off goes on after its last stored turn (`recall`).

    user ──► policy ──► tools ──► policy …      the agent called tools
               │  ▲
               ▼  │
              user ┘                            the agent spoke to the user
               └──► judge ──► over              a `StopReason` is due

Where the user has tools too, they may use them before they speak: user ──► device ──► user.
"""

import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Any, Literal, Protocol

import anyio
import msgspec
from simia_store import (
    CallRecord,
    FactRecord,
    JudgementRecord,
    TrajectoryRecord,
    TrajectoryStatus,
    TurnRecord,
)
from simia_store.records import Record

from simia_async.environments import Environment, Task
from simia_async.errors import EndpointError, RenderError
from simia_async.judging import Case, Judge, MadeCall, Verdict, check_case, wanted_state
from simia_async.messages import Message, ToolCall, visible_text
from simia_async.rollouts.device_use import DeviceUse, calling_turn
from simia_async.rollouts.gate import Gate
from simia_async.rollouts.stop_reason import FINISHED, UNJUDGED, StopReason
from simia_async.rollouts.voices import NOT_A_CALL, NOT_ENDED, ContextFull, Policy, Said
from simia_async.simulation import Simulator, answer_in_code, arguments_of
from simia_async.simulation.grounding import (
    GroundedWorld,
    Observation,
    SharedFacts,
    TranscriptWorld,
)
from simia_async.simulation.replies import DeviceUserReply, ToolReply

SCORING = 1
"""The run's own scoring."""


class Recorder(Protocol):
    """Writes records down: the store, or what stands for it in another process."""

    async def append(self, *records: Record) -> None:
        """Write them in one transaction; returns when that is committed."""


class Setting(msgspec.Struct, frozen=True):
    """What all conversations of a run have in common."""

    store: Recorder
    environment: Environment
    policy: Policy
    simulator: Simulator
    judge: Judge
    gate: Gate
    grounded: bool = True


class Seat(msgspec.Struct, frozen=True):
    """Where one conversation stands in the run."""

    trajectory_id: int
    task: Task
    facts: SharedFacts
    """Those of its group; one of its own where it is in none."""
    seed: int = 0
    """Of the policy's sampling."""
    begun: TrajectoryRecord | None = None
    """Its record, where it goes on."""
    turns: Sequence[TurnRecord] = ()
    """The turns it has already had."""
    tokens: int = 0
    """Of prompt and reply at the policy's last one, as its endpoint counted them."""
    own_facts: Sequence[FactRecord] = ()


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
    messages: Sequence[Message] = ()
    failure: Exception | None = None
    """The error that ended it, if one did."""


class Phase(StrEnum):
    """What comes next."""

    USER = "user"
    DEVICE = "device"
    POLICY = "policy"
    TOOLS = "tools"
    JUDGE = "judge"


class _Stop(Exception):
    def __init__(
        self, reason: StopReason, why: str | None = None, failure: Exception | None = None
    ) -> None:
        self.reason = reason
        self.why = why
        self.failure = failure


async def run_rollout(setting: Setting, seat: Seat) -> Outcome:
    """Play a task to its end, from where it stands, and have it judged.

    Failures are recorded, not raised. Raises `StoreError` only: without a record there is no run.
    If it is cancelled through the gate it ends as `cancelled`; if from outside, it can go on later.
    """
    return await Conversation(setting, seat).play()


class Conversation:
    """One conversation. `play` it once."""

    def __init__(self, setting: Setting, seat: Seat) -> None:
        self._setting = setting
        self._environment = setting.environment
        self._task = seat.task
        self._id = seat.trajectory_id
        self._facts = seat.facts
        self._ledger: list[CallRecord] = []
        self._voice = setting.policy.voice(setting.environment, self._id, seat.seed)
        self._world = (
            GroundedWorld(setting.environment, seat.facts, self._id)
            if setting.grounded
            else TranscriptWorld()
        )
        self._begun = seat.begun or self._new_record()
        self._history: list[Message] = []
        """What the policy has seen so far, without the system message."""
        self._seen_by_user: list[Message] = []
        """All that happened, what the user did on their device too, but not what the agent only
        thought."""
        self._device = DeviceUse()
        self._made: list[MadeCall] = []
        self._changes: list[dict[str, Any]] = []
        self._pending: deque[ToolCall] = deque()
        self._problem: str | None = None
        self._spoken = 0
        self._stop: _Stop | None = None
        self._phase = Phase.USER
        self._is_new = seat.begun is None
        self._recall(seat)

    async def play(self) -> Outcome:
        """From where it stands to its end."""
        try:
            with self._setting.gate.enter(self._id) as scope:
                await self._setting.store.append(*self._opening())
                return await self._play()
        except BaseException:
            # Stopped from outside: what its last call may have cost is written down.
            await self._keep_ledger()
            raise
        # The scope has caught its own cancellation.
        assert scope.cancelled_caught
        return await self.cancelled()

    async def cancelled(self) -> Outcome:
        """End where it stands, because somebody asked for that."""
        return await self._end(_Stop(StopReason.CANCELLED, "somebody asked for its end"))

    async def _play(self) -> Outcome:
        try:
            while self._phase is not Phase.JUDGE:
                await self._setting.gate.passage()
                if self._setting.gate.is_spent:
                    raise _Stop(StopReason.BUDGET, "the budget of the run is used up")
                self._phase = await self._turn()
            assert self._stop is not None
            return await self._end(self._stop)
        except _Stop as stop:
            return await self._end(stop)

    # --- the phases

    # A table of these methods would be a cycle: conversations that ended would fill the memory
    # until the garbage collector walks through all that are under way.
    async def _turn(self) -> Phase:
        match self._phase:
            case Phase.USER:
                return await self._user_turn()
            case Phase.DEVICE:
                return await self._device_turn()
            case Phase.POLICY:
                return await self._policy_turn()
        return await self._tool_turn()

    async def _user_turn(self) -> Phase:
        try:
            reply = await self._setting.simulator.user(
                self._task, self._seen_by_user, self._ledger, self._id
            )
        except EndpointError as error:
            raise _Stop(StopReason.SIMULATOR_ERROR, str(error), error) from error
        if isinstance(reply, DeviceUserReply) and reply.tool_calls:
            return await self._take(*calling_turn(self._id, reply, len(self._seen_by_user)))
        if not reply.message.strip() and not reply.done:
            raise _Stop(StopReason.SIMULATOR_ERROR, "the user said nothing, and is not done")
        # Who is done before the policy has spoken has not heard it: it tells nothing of it.
        ends = StopReason.USER_DONE if reply.done and self._spoken else ""
        return await self._take(
            TurnRecord(self._id, 0, "user", {}, source="llm", ends=ends),
            Message("user", reply.message),
        )

    async def _policy_turn(self) -> Phase:
        if self._spoken >= self._setting.policy.sampling.max_turns:
            raise _Stop(StopReason.MAX_TURNS)
        try:
            said = await self._voice.speak(self._history, self._spoken, self._ledger)
        except ContextFull as full:
            raise _Stop(StopReason.CONTEXT_FULL, str(full)) from full
        except (EndpointError, RenderError) as error:
            raise _Stop(StopReason.POLICY_ERROR, str(error), error) from error
        return await self._take(_spoken_turn(self._id, said), said.message, said.problem)

    async def _tool_turn(self) -> Phase:
        if not self._pending:
            problem = {"error": self._problem or NOT_A_CALL}
            return await self._observe(None, _in_code(problem))
        call = self._pending[0]
        return await self._observe(call, await self._answered(call, "assistant"))

    async def _device_turn(self) -> Phase:
        call = self._device.pending[0]
        observation = await self._answered(call, "user")
        turn = _observing_turn(self._id, "user_tool", observation)
        message = Message("tool", observation.text, tool_call_id=call.id)
        return await self._take(turn, message, records=observation.records)

    async def _answered(self, call: ToolCall, caller: Literal["user", "assistant"]) -> Observation:
        refusal = answer_in_code(self._environment, call, by_user=caller == "user")
        if refusal is not None:
            return _in_code(refusal)
        try:
            return await self._world.answer(call, self._asker_of(call, caller), self._ledger)
        except EndpointError as error:
            raise _Stop(StopReason.SIMULATOR_ERROR, str(error), error) from error

    def _asker_of(
        self, call: ToolCall, caller: Literal["user", "assistant"]
    ) -> Callable[[dict[str, Any] | None, Callable[[str], ToolReply]], Awaitable[ToolReply]]:
        history = self._seen_by_user
        if history[-1].tool_calls != [call]:
            # Of several calls, the one that is meant stands at the end.
            history = [*history, Message(caller, tool_calls=[call])]

        async def ask(state: dict[str, Any] | None, read: Callable[[str], ToolReply]) -> ToolReply:
            return await self._setting.simulator.tool(
                self._task, state, history, read, self._ledger, self._id
            )

        return ask

    async def _observe(self, call: ToolCall | None, observation: Observation) -> Phase:
        is_ending = call is not None and call.function.name in self._environment.ending_tools
        ends = StopReason.AGENT_DONE if is_ending and not observation.is_error else ""
        turn = _observing_turn(self._id, "tool", observation, ends)
        message = Message("tool", observation.text, tool_call_id=call.id if call else None)
        return await self._take(turn, message, records=observation.records)

    # --- turns, stored and counted

    async def _take(
        self,
        turn: TurnRecord,
        message: Message,
        problem: str | None = None,
        records: Sequence[FactRecord] = (),
    ) -> Phase:
        """Store the turn together with the calls made for it, then let it count."""
        position = len(self._seen_by_user)
        turn = msgspec.structs.replace(turn, position=position, message=message.as_wire())
        # A turn that was committed counts, whoever is cancelled meanwhile.
        with anyio.CancelScope(shield=True):
            calls, self._ledger = self._ledger, []
            await self._setting.store.append(turn, *records, *calls)
        return self._count(turn, message, problem)

    def _count(self, turn: TurnRecord, message: Message, problem: str | None) -> Phase:
        """What comes after a turn."""
        self._seen_by_user.append(without_thoughts(message))
        if turn.is_users_own:
            self._device.count(turn, message)
            self._changes += turn.ops
            return Phase.DEVICE if self._device.pending else Phase.USER
        self._history.append(message)
        if turn.role == "assistant":
            self._spoken += 1
            self._pending = deque(message.tool_calls or ())
            self._problem = problem
        elif turn.role == "tool":
            self._changes += turn.ops
            if self._pending:
                self._made.append(_made(self._pending.popleft(), is_error=turn.is_error))
            self._problem = None
        if turn.ends:
            why = NOT_ENDED if turn.ends == StopReason.CONTEXT_FULL else None
            self._stop = _Stop(StopReason(turn.ends), why)
            return Phase.JUDGE
        if self._pending or self._problem:
            return Phase.TOOLS
        return Phase.USER if turn.role == "assistant" else Phase.POLICY

    def _recall(self, seat: Seat) -> None:
        """Take up the turns of an earlier session."""
        if not seat.turns:
            return
        for turn in seat.turns:
            message = msgspec.convert(turn.message, Message)
            problem = None
            if turn.role == "assistant" and turn.is_error:
                problem = self._setting.policy.problem_of(message.content or "") or NOT_A_CALL
            self._phase = self._count(turn, message, problem)
        heard = [turn for turn in seat.turns if not turn.is_users_own]
        self._voice.remember(heard, seat.tokens)
        self._world.restore(list(seat.turns), list(seat.own_facts))

    # --- the end

    async def _end(self, stop: _Stop) -> Outcome:
        verdict: Verdict | None = None
        case = self._case()
        checks = check_case(case)
        solved = None if checks is None else all(checks.values())
        reason, why, failure = stop.reason, stop.why, stop.failure
        if reason not in UNJUDGED:
            try:
                verdict = await self._setting.judge.judge(case, self._ledger, self._id)
            except EndpointError as error:
                reason, why, failure = StopReason.JUDGE_ERROR, str(error), error
        reward = verdict.reward if verdict else None
        why = why or (verdict.reason if verdict else None)
        detail = {**(verdict.detail if verdict else {}), "solved": solved}
        if self._environment.user_tools:
            detail |= self._device.told
        record = self._ended_record(reason, reward, why, detail)
        records: list[TrajectoryRecord | JudgementRecord] = [record]
        if verdict is not None:
            records.append(JudgementRecord(SCORING, self._id, reward, why, detail))
        with anyio.CancelScope(shield=True):
            calls, self._ledger = self._ledger, []
            await self._setting.store.append(*records, *calls)
        return Outcome(self._id, self._task, reason, reward, solved, why, self._history, failure)

    def _case(self) -> Case:
        ended = self._stop.reason if self._stop is not None else None
        return Case(
            task=self._task,
            history=self._seen_by_user,
            made=self._made,
            initial_state=self._facts.snapshot,
            final_state=self._world.state,
            wanted_state=wanted_state(self._environment, self._task, self._world.facts),
            changes=self._changes,
            finished=ended in FINISHED,
        )

    def _new_record(self) -> TrajectoryRecord:
        return TrajectoryRecord(
            id=self._id,
            environment=self._environment.name,
            task_id=self._task.id,
            status=TrajectoryStatus.RUNNING,
            split=self._task.split,
            group_id=self._facts.group_id,
            policy_version=self._setting.policy.version,
            detail={"needs_action": self._task.needs_action},
        )

    def _opening(self) -> list[TrajectoryRecord]:
        running = TrajectoryStatus.RUNNING
        if not self._is_new and self._begun.status == running:
            return []
        # One that an endpoint had failed goes on: what was said of its end no longer holds.
        return [
            msgspec.structs.replace(
                self._begun,
                status=running,
                stop_reason=None,
                boundary=None,
                reason=None,
                finished_at=None,
            )
        ]

    def _ended_record(
        self, stop: StopReason, reward: float | None, why: str | None, detail: dict[str, Any]
    ) -> TrajectoryRecord:
        scored = reward is not None
        return msgspec.structs.replace(
            self._begun,
            status=TrajectoryStatus.SCORED if scored else TrajectoryStatus.UNSCORED,
            stop_reason=stop,
            reward=reward,
            boundary=None if scored else str(stop).removesuffix("_error"),
            reason=why,
            detail={**self._begun.detail, **detail},
            finished_at=time.time(),
        )

    async def _keep_ledger(self) -> None:
        if self._ledger:
            with anyio.CancelScope(shield=True):
                calls, self._ledger = self._ledger, []
                await self._setting.store.append(*calls)


def _spoken_turn(trajectory_id: int, said: Said) -> TurnRecord:
    return TurnRecord(
        trajectory_id,
        0,
        "assistant",
        {},
        is_error=said.problem is not None,
        prompt_ids=said.prompt_ids,
        token_ids=said.token_ids,
        logprobs=said.logprobs,
        ends=StopReason.CONTEXT_FULL if said.is_cut else "",
    )


def _observing_turn(
    trajectory_id: int, role: str, observation: Observation, ends: str = ""
) -> TurnRecord:
    return TurnRecord(
        trajectory_id,
        0,
        role,
        {},
        source=observation.source,
        is_error=observation.is_error,
        ops=observation.ops,
        facts=observation.facts,
        ends=ends,
    )


def _in_code(refusal: dict[str, str]) -> Observation:
    text = msgspec.json.format(msgspec.json.encode(refusal), indent=0).decode()
    return Observation(refusal, text, is_error=True, source="code")


def _made(call: ToolCall, *, is_error: bool) -> MadeCall:
    return MadeCall(call.function.name, arguments_of(call) or {}, is_error)


def without_thoughts(message: Message) -> Message:
    """The message as the other side reads it."""
    if message.role != "assistant" or not (message.content or message.reasoning_content):
        return message
    content = visible_text(message.content) if message.content else message.content
    return msgspec.structs.replace(message, content=content, reasoning_content=None)
