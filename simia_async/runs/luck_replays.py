"""One session of replaying rollouts: what is lacking is played and judged, within the budget."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import anyio.to_thread
import msgspec
from simia_store import GroupRecord, Reader, ScoringRecord, TaskRecord

from simia_async.clients import SpendingStatistics
from simia_async.config import LuckConfig
from simia_async.errors import BudgetSpent, EndpointError, UsageError
from simia_async.evaluation.variance import TooFewReplays, split_variance
from simia_async.judging import Case
from simia_async.rollouts.conversation import SCORING, Outcome, Setting
from simia_async.rollouts.groups import GroupPlan, run_group
from simia_async.rollouts.scheduler import Group
from simia_async.runs.judging_again import judge_again
from simia_async.runs.luck_cost import estimate, in_words
from simia_async.runs.luck_playback import PlaybackSimulator, RecordedPolicy
from simia_async.runs.luck_recordings import Recording
from simia_async.runs.luck_result import (
    LuckResult,
    Replayed,
    luck_of_tasks,
    new_metrics,
    read_rewards,
)
from simia_async.runs.plot import Plot
from simia_async.runs.rollout_recall import Recalled, recall
from simia_async.runs.stage import Stage
from simia_async.runs.stored_cases import case_of
from simia_async.supervision.service import Report


class LuckProgress(msgspec.Struct, frozen=True):
    """How far the meter is, in conversations."""

    doing: str
    """`playing` or `replaying`."""
    done: int
    wanted: int
    spending: SpendingStatistics


class Replays:
    """One session of a run of replays. The replay of number n is group and trajectory n."""

    def __init__(
        self,
        config: LuckConfig,
        plot: Plot,
        plan: Sequence[Recording],
        source: Path,
        stage: Stage,
        report: Report,
        on_progress: Callable[[LuckProgress], None],
    ) -> None:
        self._config = config
        self._plot = plot
        self._plan = plan
        self._source = source
        self._stage = stage
        self._store = stage.store
        self._report = report
        self._on_progress = on_progress
        self._judgings = config.judgings if plot.rubric.asks_llm else 0
        self._grounded = config.world != "transcript"
        self._recalled = Recalled({}, {}, [], [], set())
        self._known: set[tuple[int, int]] = set()
        """Judgements that are there: scoring and trajectory."""
        self._done = 0
        self._setting = msgspec.structs.replace(
            stage.setting(0),
            simulator=PlaybackSimulator(
                stage.clients["simulator"],
                plot.environment,
                dict(enumerate(plan, 1)),
                tool=stage.clients["tool"],
                joint=config.mode == "joint",
            ),
        )

    async def run(self) -> LuckResult:
        """Replay and judge what has not been yet, as far as the budget goes."""
        await anyio.to_thread.run_sync(self._recall)
        stored = await anyio.to_thread.run_sync(self._stored)
        tasks = [task for task in self._plot.tasks if task.id not in stored]
        plot = msgspec.structs.replace(self._plot, tasks=tasks)
        await self._stage.take_up(plot, self._recalled, 1, self._report)
        await self._store.append(*await anyio.to_thread.run_sync(self._more_scorings))
        left = [number for number in range(1, len(self._plan) + 1) if self._lacks(number)]
        self._done = len(self._plan) - len(left)
        if left:
            self._tell_cost([self._plan[number - 1] for number in left])
        begun = await self._stage.scheduler.run(self._groups(left))
        return await self._result(budget_spent=begun < len(left))

    def _recall(self) -> None:
        """What earlier sessions have left. Raises `UsageError` if they replayed other rollouts."""
        path = self._store.path
        with Reader(path) as reader:
            for group in reader.all(GroupRecord):
                # A group's step is the rollout that it replays.
                if group.id <= len(self._plan) and group.step != self._plan[group.id - 1].id:
                    raise UsageError(
                        f"{path}: its replay {group.id} was of rollout {group.step}, and would be "
                        f"of rollout {self._plan[group.id - 1].id} now; name as many --tasks as "
                        "then, or another database with --run"
                    )
            self._known = {(each.scoring_id, each.trajectory_id) for each in reader.judgements()}
        recalled = recall(path, [each.task for each in self._plan], 1)
        asked = [(number, role) for number, role in recalled.killed if role in ("tool", "judge")]
        self._recalled = msgspec.structs.replace(recalled, killed=asked)

    def _stored(self) -> set[str]:
        with Reader(self._store.path) as reader:
            return {record.id for record in reader.all(TaskRecord)}

    def _more_scorings(self) -> list[ScoringRecord]:
        """A scoring for every judging after the first, where it is not there yet."""
        with Reader(self._store.path) as reader:
            scorings = reader.scorings()
        first = next(each for each in scorings if each.id == SCORING)
        there = {each.id for each in scorings}
        wanted = range(SCORING + 1, SCORING + self._judgings)
        return [
            ScoringRecord(number, first.rubric, first.judge)
            for number in wanted
            if number not in there
        ]

    def _lacks(self, number: int) -> bool:
        """Whether a replay is to be played or judged."""
        return number not in self._recalled.done or any(
            (scoring, number) not in self._known for scoring in self._scorings
        )

    @property
    def _scorings(self) -> range:
        return range(SCORING, SCORING + max(self._judgings, 1))

    def _tell_cost(self, left: Sequence[Recording]) -> None:
        clients = self._stage.clients
        expected = estimate(left, self._judgings, clients["tool"], clients["judge"])
        self._report(in_words(expected, len(left)))

    def _groups(self, left: Sequence[int]) -> Iterator[Group]:
        for number in left:
            yield partial(self._replay, number)

    async def _replay(self, number: int, placed: Callable[[], None]) -> None:
        async with self._stage.scheduler.slot():
            placed()
            if number not in self._recalled.done:
                await run_group(self._plan_of(number), self._setting_of(number), self._watch)
            is_whole = await self._judge_again(number)
        self._done += is_whole
        progress = LuckProgress("replaying", self._done, len(self._plan), self._stage.spent())
        self._on_progress(progress)

    def _plan_of(self, number: int) -> GroupPlan:
        recording = self._plan[number - 1]
        return self._recalled.plan(number, recording.task, 1, self._config.seed, recording.id)

    def _setting_of(self, number: int) -> Setting:
        policy = RecordedPolicy(self._plan[number - 1].turns)
        return msgspec.structs.replace(self._setting, policy=policy)

    def _watch(self, outcome: Outcome) -> None:
        self._stage.watch(outcome)
        if outcome.reward is not None:
            self._known.add((SCORING, outcome.trajectory_id))

    async def _judge_again(self, number: int) -> bool:
        """Judge a replay as often as is still lacking; whether all its judgements are there."""
        lacking = [each for each in self._scorings if (each, number) not in self._known]
        if SCORING in lacking:
            return False  # It has no reward: something failed.
        if not lacking:
            return True
        case = await anyio.to_thread.run_sync(self._case, number)
        try:
            for scoring in lacking:
                await judge_again(self._store, self._setting.judge, case, scoring, number)
        except EndpointError:
            return False
        return True

    def _case(self, number: int) -> Case:
        task, environment = self._plan[number - 1].task, self._plot.environment
        with Reader(self._store.path) as reader:
            trajectory = reader.trajectory(number)
            assert trajectory is not None, "it was replayed"
            return case_of(reader, trajectory, task, environment, grounded=self._grounded)

    async def _result(self, *, budget_spent: bool) -> LuckResult:
        result = await anyio.to_thread.run_sync(self._read_result, budget_spent)
        metrics = partial(new_metrics, self._store.path, result, self._config.replays)
        await self._store.append(*await anyio.to_thread.run_sync(metrics))
        return result

    def _read_result(self, budget_spent: bool) -> LuckResult:
        path = self._store.path
        numbers = range(1, len(self._plan) + 1)
        rewards = read_rewards(path, numbers, self._judgings)
        replayed = Replayed(dict(enumerate(self._plan, 1)), rewards)
        try:
            variance = split_variance(list(replayed.by_task().values()), self._config.seed)
        except TooFewReplays:
            if budget_spent:
                raise BudgetSpent(
                    f"{path}: the budget is spent before any rollout could be replayed twice"
                ) from None
            raise EndpointError(
                f"{path}: no rollout has two replays with a reward; `simia report` says why"
            ) from None
        tasks = luck_of_tasks(replayed)
        played = [each.reward_played for each in tasks if each.reward_played is not None]
        whole = max(self._judgings, 1)
        return LuckResult(
            run=path,
            rollouts=self._source,
            variance=variance,
            tasks=tasks,
            judgings=self._judgings,
            reward_played=sum(played) / len(played) if played else None,
            reward_replayed=sum(each.reward_replayed for each in tasks) / len(tasks),
            wanted=len(self._plan),
            replayed=sum(len(given) == whole for given in rewards.values()),
            budget_spent=budget_spent,
            spending=self._stage.spent(),
        )
