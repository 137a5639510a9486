"""The meter of the judge: it judges recorded conversations whose true rewards are known."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import anyio.to_thread
import msgspec
from simia_store import (
    CallRecord,
    JudgementRecord,
    TrajectoryRecord,
    TrajectoryStatus,
    TurnRecord,
)

from simia_async.clients import ChatClient
from simia_async.config import AgreementConfig
from simia_async.environments import Environment, Scenario, Task, load_environment
from simia_async.errors import EndpointError, UsageError
from simia_async.judging import Case, Judge, MadeCall, Rubric, check_judgeable, choose_rubric
from simia_async.meters.labels import Labelled, read_labelled
from simia_async.meters.steps import answered_calls
from simia_async.meters.values import read_observation, tells_error
from simia_async.rollouts.conversation import SCORING, without_thoughts
from simia_async.runs.agreement_result import AgreementResult, read_result
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
from simia_async.runs.world import check_same_world, record_scoring, record_world
from simia_async.simulation import arguments_of
from simia_async.simulation.prompts import words_of
from simia_async.supervision.service import Report

_ANSWER_BYTES = 400
"""What a judge says of one conversation, about; each criterion adds some."""


class AgreementPlan(msgspec.Struct, frozen=True):
    """What is judged, read and checked before anything is asked or written."""

    config: AgreementConfig
    path: Path
    environment: Environment
    rubric: Rubric
    labelled: list[Labelled]
    """The conversations to be judged."""
    stored: Mapping[int, TrajectoryRecord]
    """What earlier sessions left, by number of the conversation."""
    without_reward: int
    """Conversations of the file that have no true reward; they are left out."""
    incomplete: int
    """Conversations of which the file does not tell all; they are left out too."""
    estimate: CostEstimate
    """Of the conversations that are still to be judged."""

    @property
    def left(self) -> list[Labelled]:
        """The conversations that are still to be judged."""
        return [each for each in self.labelled if not is_settled(self.stored.get(each.number))]


class _AgreementRun(AgreementConfig, frozen=True, kw_only=True):
    """What the record keeps of the settings."""

    recorded_sha256: str = ""


def plan_agreement(config: AgreementConfig, path: Path) -> AgreementPlan:
    """Read what is to be judged in the run at `path`, which may have begun earlier.

    Raises `UsageError` that names file and field, also where nothing can be judged.
    """
    environment = load_environment(config.environment)
    file = recorded_file(environment, config.recorded)
    rubric = choose_rubric(config.rubric, config.votes)
    labelled, without_reward = read_labelled(file)
    whole = [each for each in labelled if each.conversation.incomplete is None]
    if not whole:
        raise UsageError(
            f"{file}: none of its {len(labelled)} conversations with a `reward` is told whole; of "
            f"one it says: {labelled[0].conversation.incomplete}"
        )
    check_judgeable(rubric, [_task(each, config, environment) for each in whole[:1]])
    stored = stored_trajectories(path, "agreement")
    if stored:
        check_same_world(path, environment)
    plan = AgreementPlan(
        config=config,
        path=path,
        environment=environment,
        rubric=rubric,
        labelled=sample(whole, config.conversations, config.seed),
        stored=stored,
        without_reward=without_reward,
        incomplete=len(labelled) - len(whole),
        estimate=CostEstimate("", 0, 0, 0, None, is_embedded=True),
    )
    return msgspec.structs.replace(plan, estimate=_estimate(plan))


async def run_agreement(
    plan: AgreementPlan,
    *,
    report: Report,
    on_progress: Callable[[MeterProgress], None] = lambda _: None,
) -> AgreementResult:
    """Judge every conversation that is lacking, and compare all. A run that was cut off goes on.

    Raises `UsageError`, `StoreError`, `EndpointError` or `ChildFailed`; what was committed stays.
    """
    config = plan.config
    file = recorded_file(plan.environment, config.recorded)
    digest = await anyio.to_thread.run_sync(digest_of, file)
    settings = _AgreementRun(**msgspec.structs.asdict(config), recorded_sha256=digest)
    opened = open_meter("agreement", "judge", settings, config.judge_endpoint, plan.path, report)
    async with opened as (_, client, store):
        await record_world(store, plan.environment, "judge")
        await record_scoring(store, plan.rubric, client)
        questions = _Verdicts(plan, client)
        session = MeterSession(questions, client, store, len(plan.labelled), on_progress)
        read = partial(
            read_result,
            plan.path,
            plan.labelled,
            threshold=config.threshold,
            model=client.endpoint.model or "",
        )
        return await session.measure(plan.left, plan.stored.values(), report, "judge", read)


def _task(labelled: Labelled, config: AgreementConfig, environment: Environment) -> Task:
    return Task(
        id=labelled.conversation.id,
        environment=environment.name,
        split="heldout",
        scenario=Scenario(labelled.scenario),
        initial_state={},
        needs_action=False,
        goal=labelled.goal if config.goal else "",
    )


def _estimate(plan: AgreementPlan) -> CostEstimate:
    config, environment = plan.config, plan.environment
    fixed = len(words_of("judge", environment.prompts)) + len(environment.policy.encode())
    fixed += len(msgspec.json.encode([environment.tools, plan.rubric]))
    answer = _ANSWER_BYTES * (1 + len(plan.rubric.criteria) // 4)
    sizes = [
        (
            fixed
            + len(msgspec.json.encode(each.conversation.messages))
            + len(each.scenario.encode())
            + len(each.goal.encode()) * config.goal,
            answer,
        )
        for each in plan.left
        for _ in range(plan.rubric.votes)
    ]
    return estimate_cost(config.judge_endpoint.over(config.simulator), sizes)


class _Verdicts:
    """Asks for verdicts. Each conversation is a trajectory with all its turns."""

    role = "judge"

    def __init__(self, plan: AgreementPlan, client: ChatClient) -> None:
        self._plan = plan
        self._judge = Judge(client, plan.environment, plan.rubric)

    def begun(self, item: Labelled) -> TrajectoryRecord:
        """The record of a conversation before it is judged."""
        return TrajectoryRecord(
            item.number,
            self._plan.environment.name,
            item.task,
            TrajectoryStatus.RUNNING,
            split="heldout",
            detail={"kind": item.kind, "true_reward": item.reward},
        )

    async def ask(self, item: Labelled, ledger: list[CallRecord]) -> Answered:
        """Have it judged, as a rollout is."""
        history = [
            without_thoughts(message)
            for message in item.conversation.messages
            if message.role != "system"
        ]
        case = Case(
            task=_task(item, self._plan.config, self._plan.environment),
            history=history,
            made=[
                MadeCall(
                    call.function.name,
                    arguments_of(call) or {},
                    tells_error(read_observation(history[position].content)),
                )
                for position, call in answered_calls(history)
            ],
            initial_state={},
            final_state=None,
            wanted_state=None,
            changes=(),
            finished=True,
        )
        verdict = await self._judge.judge(case, ledger, item.number)
        ended = settled(self.begun(item), verdict.reward, {**verdict.detail})
        ended = msgspec.structs.replace(ended, reason=verdict.reason)
        judgement = JudgementRecord(
            SCORING, item.number, verdict.reward, verdict.reason, ended.detail
        )
        turns = [
            TurnRecord(item.number, position, message.role, message.as_wire(), source="recorded")
            for position, message in enumerate(history)
        ]
        return Answered(ended, [judgement, *turns])

    def unusable(self, item: Labelled, error: EndpointError) -> Answered:
        """No verdict came that could be used, which is no reward."""
        return Answered(answered_in_vain(self.begun(item), self.role, error, {}))
