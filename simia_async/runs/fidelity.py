"""The meter of fidelity: the simulator plays the tools of recorded conversations, call by call.

Every call is asked for with the recorded history before it, whatever the simulator answered to
earlier ones, and with the prompt that rollouts use. What code answers in rollouts it answers here.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
import msgspec
from simia_store import CallRecord, TrajectoryRecord, TrajectoryStatus, TurnRecord

from simia_async.clients import ChatClient
from simia_async.config import FidelityConfig
from simia_async.environments import Environment, Scenario, Task, load_environment
from simia_async.errors import EndpointError, UsageError
from simia_async.meters.observations import Measured, measure
from simia_async.meters.steps import (
    Recorded,
    Step,
    count_unanswered,
    read_recorded,
    read_steps,
)
from simia_async.meters.tool_kinds import ToolKind, is_declared, kind_of_tool
from simia_async.meters.values import read_observation, tells_error
from simia_async.runs.fidelity_result import BY_CODE, MEASURED, FidelityResult, read_result
from simia_async.runs.meter_plan import (
    CostEstimate,
    digest_of,
    estimate_cost,
    is_settled,
    recorded_file,
    sample,
    stored_trajectories,
)
from simia_async.runs.meter_session import (
    Answered,
    MeterProgress,
    MeterSession,
    answered_in_vain,
    open_meter,
    settled,
)
from simia_async.runs.world import check_same_world, record_world
from simia_async.simulation import Simulator, answer_in_code, arguments_of
from simia_async.simulation.asking import read_json
from simia_async.simulation.grounding import state_slice
from simia_async.simulation.grounding.observation import shown, text_of
from simia_async.simulation.prompts import words_of
from simia_async.simulation.replies import ToolReply
from simia_async.supervision.service import Report

_AROUND_AN_ANSWER = len('{"observation":,"is_error":false,"ops":[]}')


class FidelityPlan(msgspec.Struct, frozen=True):
    """What is measured, read and checked before anything is asked or written."""

    config: FidelityConfig
    path: Path
    environment: Environment
    steps: list[Step]
    """The calls to be measured."""
    stored: Mapping[int, TrajectoryRecord]
    """What earlier sessions left, by number of the call."""
    kinds: dict[str, ToolKind]
    by_name: list[str]
    """Tools whose kind only their name tells."""
    unanswered: int
    """Calls of the file that no observation answers."""
    undeclared: dict[str, int]
    """Calls of tools that the environment does not declare, by tool; they are left out."""
    estimate: CostEstimate
    """Of the calls that are still to be asked."""

    @property
    def left(self) -> list[Step]:
        """The calls that are still to be measured."""
        return [step for step in self.steps if not is_settled(self.stored.get(step.number))]


class _FidelityRun(FidelityConfig, frozen=True, kw_only=True):
    """What the record keeps of the settings."""

    recorded_sha256: str = ""


def plan_fidelity(config: FidelityConfig, path: Path) -> FidelityPlan:
    """Read what is to be measured in the run at `path`, which may have begun earlier.

    Raises `UsageError` that names file and field, also where nothing can be measured.
    """
    environment = load_environment(config.environment)
    file = recorded_file(environment, config.recorded)
    recorded = read_recorded(file, environment)
    answered = list(read_steps(recorded, environment))
    undeclared: dict[str, int] = {}
    for step in answered:
        if step.tool not in environment.validators:
            undeclared[step.tool] = undeclared.get(step.tool, 0) + 1
    known = [step for step in answered if step.tool not in undeclared]
    if not known:
        raise UsageError(_nothing_to_measure(file, environment, recorded, undeclared))
    stored = stored_trajectories(path, "fidelity")
    if stored:
        check_same_world(path, environment)
    steps = sample(known, config.calls, config.seed)
    tools = sorted({step.tool for step in steps})
    plan = FidelityPlan(
        config=config,
        path=path,
        environment=environment,
        steps=steps,
        stored=stored,
        kinds={name: kind_of_tool(environment, name) for name in tools},
        by_name=[name for name in tools if not is_declared(environment, name)],
        unanswered=count_unanswered(recorded),
        undeclared=undeclared,
        estimate=CostEstimate("", 0, 0, 0, None, is_embedded=True),
    )
    return msgspec.structs.replace(plan, estimate=_estimate(plan))


async def run_fidelity(
    plan: FidelityPlan,
    *,
    report: Report,
    on_progress: Callable[[MeterProgress], None] = lambda _: None,
) -> FidelityResult:
    """Ask for every observation that is lacking, and measure all. A run that was cut off goes on.

    Raises `UsageError`, `StoreError`, `EndpointError` or `ChildFailed`; what was committed stays.
    """
    config = plan.config
    file = recorded_file(plan.environment, config.recorded)
    digest = await anyio.to_thread.run_sync(digest_of, file)
    settings = _FidelityRun(**msgspec.structs.asdict(config), recorded_sha256=digest)
    opened = open_meter("fidelity", "tool", settings, config.tool_endpoint, plan.path, report)
    async with opened as (simulator, client, store):
        await record_world(store, plan.environment, "tool")
        questions = _Observations(plan, simulator, client)
        session = MeterSession(questions, client, store, len(plan.steps), on_progress)
        read = partial(read_result, plan.path, plan.steps, plan.kinds)
        return await session.measure(plan.left, plan.stored.values(), report, "simulator", read)


def _nothing_to_measure(
    file: Path, environment: Environment, recorded: Sequence[Recorded], undeclared: Collection[str]
) -> str:
    why = ""
    if undeclared:
        why = f"; it calls {', '.join(sorted(undeclared))}: name their environment with --env"
    reasons = {each.conversation.incomplete for each in recorded} - {None}
    if not undeclared and reasons:
        why = f"; of a conversation it says: {min(map(str, reasons))}"
    return (
        f"{file}: holds no answered call of a tool that environment {environment.name!r} declares"
        f"{why}"
    )


def _estimate(plan: FidelityPlan) -> CostEstimate:
    config, environment = plan.config, plan.environment
    fixed = len(words_of("tool", environment.prompts)) + _size(environment.tools)
    asked = [step for step in plan.left if answer_in_code(environment, step.call) is None]
    sizes = [
        (
            fixed + _size(step.history) + _size(_told_state(plan, step)),
            len(step.recorded.encode()) + _AROUND_AN_ANSWER,
        )
        for step in asked
    ]
    return estimate_cost(config.tool_endpoint.over(config.simulator), sizes)


def _size(value: Any) -> int:
    return len(msgspec.json.encode(value))


def _told_state(plan: FidelityPlan, step: Step) -> dict[str, Any] | None:
    if plan.config.world == "transcript":
        return None
    return state_slice(step.state, arguments_of(step.call) or {})


class _Observations:
    """Asks for observations. Each is a trajectory of three turns: the call, what was recorded, and
    what the simulator says.
    """

    role = "tool"

    def __init__(self, plan: FidelityPlan, simulator: ChatClient, tool: ChatClient) -> None:
        self._plan = plan
        self._simulator = Simulator(simulator, plan.environment, tool=tool)

    def begun(self, item: Step) -> TrajectoryRecord:
        """The record of a call before it is asked."""
        return TrajectoryRecord(
            item.number,
            self._plan.environment.name,
            f"{item.conversation}/{item.position}",
            TrajectoryStatus.RUNNING,
            detail={
                "conversation": item.conversation,
                "tool": item.tool,
                "kind": self._plan.kinds[item.tool],
            },
        )

    async def ask(self, item: Step, ledger: list[CallRecord]) -> Answered:
        """Ask for the observation, unless code tells it."""
        refusal = answer_in_code(self._plan.environment, item.call)
        if refusal is not None:
            text, is_error, source = text_of(refusal), True, "code"
        else:
            reply = await self._simulator.tool(
                _task(item),
                _told_state(self._plan, item),
                item.history,
                partial(read_json, ToolReply),
                ledger,
                item.number,
            )
            text, is_error, source = shown(reply.observation), reply.is_error, "llm"
        measured = measure(
            item.truth, read_observation(text), item.request, item.known, said_error=is_error
        )
        detail = _told(measured) | {BY_CODE: source == "code"}
        ended = settled(self.begun(item), float(measured.exact), detail)
        said = {"role": "tool", "content": text, "tool_call_id": item.call.id}
        simulated = TurnRecord(item.number, 2, "tool", said, source=source, is_error=is_error)
        return Answered(ended, [*_recorded_turns(item), simulated])

    def unusable(self, item: Step, error: EndpointError) -> Answered:
        """Nothing came that could be used: it is right in nothing."""
        detail = _told(Measured.nothing(item.truth))
        ended = answered_in_vain(self.begun(item), self.role, error, detail)
        return Answered(ended, _recorded_turns(item))


def _task(step: Step) -> Task:
    """The role `tool` is told nothing of a task but its reference, and there is none."""
    return Task(
        id=step.conversation,
        environment="",
        split="train",
        scenario=Scenario(""),
        initial_state={},
        needs_action=False,
    )


def _told(measured: Measured) -> dict[str, Any]:
    return {MEASURED: msgspec.to_builtins(measured)}


def _recorded_turns(step: Step) -> list[TurnRecord]:
    call: dict[str, Any] = msgspec.to_builtins(step.history[-1])
    told = {"role": "tool", "content": step.recorded, "tool_call_id": step.call.id}
    failed = tells_error(step.truth)
    return [
        TurnRecord(step.number, 0, "assistant", call),
        TurnRecord(step.number, 1, "tool", told, source="recorded", is_error=failed),
    ]
