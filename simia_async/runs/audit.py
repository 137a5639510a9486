"""The hidden judge of RL: it judges a sample of each step's rollouts beside the judge that is
learnt from, so that it is seen when the policy learns to please its judge (Goodhart's law).

What it says is another scoring of the run. Nothing of it reaches the trainer.
"""

import random
from collections.abc import Mapping
from statistics import fmean, stdev

import anyio
import anyio.to_thread
import msgspec
from simia_store import Reader, ScoringRecord, Store, TrajectoryRecord

from simia_async.clients import ChatClient
from simia_async.config import GrpoConfig
from simia_async.config.roles import RoleEndpoint
from simia_async.environments import Environment, Task
from simia_async.errors import EndpointError
from simia_async.judging import Case, Judge, Rubric, check_judgeable, choose_rubric
from simia_async.runs.judging_again import judge_again
from simia_async.runs.plot import Plot
from simia_async.runs.scorings import is_same, next_scoring
from simia_async.runs.stage import Stage
from simia_async.runs.stored_cases import case_of, is_judgeable
from simia_async.supervision.service import Report

ROLE = "audit-judge"
"""Whose client it is asked by; what the flags of its endpoint begin with."""


class Audited(msgspec.Struct, frozen=True):
    """One rollout that both have judged."""

    reward: float
    """That is learnt from."""
    hidden: float

    @property
    def agrees(self) -> bool:
        """Whether both are on the same side of one half."""
        return (self.reward >= 0.5) == (self.hidden >= 0.5)


def audit_rubric(config: GrpoConfig, plot: Plot) -> Rubric | None:
    """What the hidden judge goes by; None if there is none. Raises `UsageError` if the rubric
    cannot judge the tasks.
    """
    if not config.audit_share:
        return None
    rubric = plot.rubric
    if config.audit_rubric is not None:
        rubric = choose_rubric(config.audit_rubric, None)
        check_judgeable(rubric, plot.tasks, keeps_state=config.world != "transcript")
    return rubric


def audit_role(config: GrpoConfig, rubric: Rubric | None) -> dict[str, RoleEndpoint]:
    """The role that is to be connected for it; none where code alone judges."""
    return {ROLE: config.audit_endpoint} if rubric is not None and rubric.asks_llm else {}


async def open_audit(
    config: GrpoConfig, plot: Plot, rubric: Rubric, stage: Stage, report: Report
) -> "Audit":
    """The hidden judge of a run, whose scoring is written down if it is not yet."""
    client = stage.clients.get(ROLE)
    scoring, is_new = await anyio.to_thread.run_sync(_scoring, stage.store, rubric, client)
    if is_new:
        await stage.store.append(scoring)
    judge = Judge(client, plot.environment, rubric)
    return Audit(config, plot.environment, judge, scoring.id, stage.store, report)


class Audit:
    """Judges a share of the rollouts, step by step."""

    def __init__(
        self,
        config: GrpoConfig,
        environment: Environment,
        judge: Judge,
        scoring: int,
        store: Store,
        report: Report,
    ) -> None:
        self._share = config.audit_share
        self._seed = config.seed
        self._grounded = config.world != "transcript"
        self._environment = environment
        self._judge = judge
        self._scoring = scoring
        self._store = store
        self._report = report

    async def measure(
        self, step: int, tasks: Mapping[str, Task], measured: dict[str, float]
    ) -> None:
        """Judge a sample of the step's rollouts, and put what comes of it into `measured`, by the
        names of metrics. A hidden judge that fails is counted and told, and ends nothing.
        """
        drawn, known = await anyio.to_thread.run_sync(self._drawn, step)
        failures: list[EndpointError] = []
        hidden = dict(known)

        async def judge(rollout: TrajectoryRecord) -> None:
            try:
                hidden[rollout.id] = await self._reward_of(rollout, tasks[rollout.task_id])
            except EndpointError as error:
                failures.append(error)

        async with anyio.create_task_group() as judging:
            for rollout in drawn:
                if rollout.id not in known:
                    judging.start_soon(judge, rollout)
        if failures:
            self._report(
                f"step {step}: the hidden judge failed at {len(failures)} of {len(drawn)} "
                f"rollouts: {failures[0]}"
            )
        pairs = [
            Audited(rollout.reward, hidden[rollout.id])
            for rollout in drawn
            if rollout.id in hidden and rollout.reward is not None
        ]
        measured.update(_measures(pairs, failed=len(failures)))

    async def _reward_of(self, rollout: TrajectoryRecord, task: Task) -> float:
        def read_case() -> Case:
            with Reader(self._store.path) as reader:
                return case_of(reader, rollout, task, self._environment, grounded=self._grounded)

        case = await anyio.to_thread.run_sync(read_case)
        verdict = await judge_again(self._store, self._judge, case, self._scoring, rollout.id)
        return verdict.reward

    def _drawn(self, step: int) -> tuple[list[TrajectoryRecord], dict[int, float]]:
        """The sample of a step, the same whenever it is drawn, and what the hidden judge has
        already said of it.
        """
        with Reader(self._store.path) as reader:
            rollouts = [
                rollout
                for group in reader.groups(step)
                for rollout in reader.trajectories(group_id=group.id)
            ]
            drawn = [each for each in rollouts if self._is_drawn(each)]
            said = [
                judgement
                for each in drawn
                for judgement in reader.judgements(trajectory_id=each.id)
                if judgement.scoring_id == self._scoring
            ]
        return drawn, {each.trajectory_id: each.reward for each in said if each.reward is not None}

    def _is_drawn(self, rollout: TrajectoryRecord) -> bool:
        if rollout.reward is None or not is_judgeable(rollout):
            return False
        return random.Random(f"audit/{self._seed}/{rollout.id}").random() < self._share


def _scoring(store: Store, rubric: Rubric, client: ChatClient | None) -> tuple[ScoringRecord, bool]:
    """The scoring of the hidden judge, and whether it is new."""
    told = msgspec.json.decode(msgspec.json.encode(rubric))
    model = (client.endpoint.model or "") if client else ""
    with Reader(store.path) as reader:
        scorings = reader.scorings()
    before = next((each for each in scorings if is_same(each, told, model)), None)
    if before is not None:
        return before, False
    return ScoringRecord(next_scoring(scorings), told, model), True


def _measures(pairs: list[Audited], *, failed: int) -> dict[str, float]:
    measures = {"audit/judged": float(len(pairs)), "audit/failed": float(failed)}
    if not pairs:
        return measures
    gaps = [pair.reward - pair.hidden for pair in pairs]
    return measures | {
        "audit/agreement": fmean(pair.agrees for pair in pairs),
        "audit/reward_mean": fmean(pair.hidden for pair in pairs),
        "audit/reward_gap": fmean(gaps),
        "audit/reward_gap_std": stdev(gaps) if len(gaps) > 1 else 0.0,
    }
