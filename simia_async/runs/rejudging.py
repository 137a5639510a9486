"""Judging conversations of a run that goes on once more, because somebody asked its owner to.

It is another scoring of the run, by the run's own rubric and judge, as `simia judge` adds one. The
rewards that the run trains on stay as they are.
"""

from collections.abc import Iterable
from functools import partial
from statistics import fmean
from typing import Any, NamedTuple

import anyio
import anyio.to_thread
import msgspec
from simia_store import Reader, ScoringRecord, Store, TrajectoryRecord

from simia_async.clients import ChatClient
from simia_async.environments import Environment, Task
from simia_async.errors import BudgetSpent, EndpointError, UsageError, single_error
from simia_async.judging import Case, Judge
from simia_async.runs.judging_again import judge_again
from simia_async.runs.obedience import Promise, Tell
from simia_async.runs.outage import OutageWatch
from simia_async.runs.scorings import next_scoring
from simia_async.runs.stored_cases import case_of, is_judgeable

_AT_ONCE = 8
"""Conversations that are judged at once: those that are played are judged by the same judge."""
_LOOK_AGAIN_S = 0.2
_LARGEST = 2**63 - 1
_NAMED = 5
"""Conversations that are left out are named up to so many."""


class _Found(NamedTuple):
    """What was asked for, as the record knows it."""

    cases: list[tuple[TrajectoryRecord, Task]]
    left_out: dict[int, str]
    """Why, by number."""


class Rejudging:
    """Judges again what others ask for."""

    def __init__(
        self,
        store: Store,
        judge: Judge,
        client: ChatClient,
        environment: Environment,
        *,
        grounded: bool,
    ) -> None:
        """`client` is the judge's; what it spends is the run's."""
        self._store = store
        self._judge = judge
        self._client = client
        self._environment = environment
        self._grounded = grounded

    async def obey(self, arguments: dict[str, Any]) -> Promise:
        """Begin a scoring, and promise the judgements of `trajectories`. Raises `UsageError` if
        none of them can be judged.
        """
        numbers = _numbers(arguments.get("trajectories"))
        found = await anyio.to_thread.run_sync(self._find, numbers)
        left_out = _named(found.left_out)
        if not found.cases:
            raise UsageError(f"none of them can be judged: {left_out}")
        scoring = await self._begin()
        note = f"; left out: {left_out}" if left_out else ""
        return Promise(
            f"{_rollouts(len(found.cases))} judged again as scoring {scoring}, beside the run; no "
            f"reward that it trains on changes{note}",
            partial(self._judge_all, found.cases, scoring, note),
        )

    def _find(self, numbers: Iterable[int]) -> _Found:
        found = _Found([], {})
        with Reader(self._store.path) as reader:
            tasks = {
                record.id: msgspec.convert(record.task, Task)
                for record in reader.tasks()
                if record.task
            }
            for number in numbers:
                trajectory = reader.trajectory(number)
                if trajectory is None:
                    found.left_out[number] = "there is none"
                elif trajectory.finished_at is None:
                    found.left_out[number] = "it has not ended"
                elif not is_judgeable(trajectory) or trajectory.task_id not in tasks:
                    found.left_out[number] = f"it ended by {trajectory.stop_reason}"
                else:
                    found.cases.append((trajectory, tasks[trajectory.task_id]))
        return found

    async def _begin(self) -> int:
        rubric = msgspec.json.decode(msgspec.json.encode(self._judge.rubric))
        model = (self._client.endpoint.model or "") if self._judge.rubric.asks_llm else ""

        def next_number() -> int:
            with Reader(self._store.path) as reader:
                return next_scoring(reader.scorings())

        number = await anyio.to_thread.run_sync(next_number)
        await self._store.append(ScoringRecord(number, rubric, model))
        return number

    async def _judge_all(
        self, cases: list[tuple[TrajectoryRecord, Task]], scoring: int, note: str, tell: Tell
    ) -> str:
        """Judge all, within the run's budget, and say what came of it. Raises `EndpointError` if
        the judge's endpoint is out, `BudgetSpent` if the budget is.
        """
        rewards: list[tuple[float | None, float]] = []
        failures: list[EndpointError] = []
        outage, room = OutageWatch(), anyio.CapacityLimiter(_AT_ONCE)

        async def judge(rollout: TrajectoryRecord, task: Task) -> None:
            async with room:
                await self._wait_for_budget(len(rewards), len(cases), scoring)
                try:
                    # Counted apart: it says nothing of what a group costs.
                    with self._client.spending.begin(preparatory=True):
                        reward = await self._reward_of(rollout, task, scoring)
                except EndpointError as error:
                    if outage.is_outage(error):
                        raise
                    failures.append(error)
                else:
                    outage.answered()
                    rewards.append((rollout.reward, reward))
                    await tell(f"{len(rewards)} of {len(cases)} judged again as scoring {scoring}")

        with single_error():
            async with anyio.create_task_group() as judging:
                for case in cases:
                    judging.start_soon(judge, *case)
        failed = f"; {len(failures)} failed: {failures[-1]}" if failures else ""
        return f"judged {len(rewards)} again as scoring {scoring}{_means(rewards)}{failed}{note}"

    async def _wait_for_budget(self, judged: int, wanted: int, scoring: int) -> None:
        spending = self._client.spending
        while not spending.allows_another():
            if not spending.active:
                raise BudgetSpent(
                    f"the budget is spent; {judged} of {wanted} judged again as scoring {scoring}"
                )
            await anyio.sleep(_LOOK_AGAIN_S)

    async def _reward_of(self, rollout: TrajectoryRecord, task: Task, scoring: int) -> float:
        def read_case() -> Case:
            with Reader(self._store.path) as reader:
                return case_of(reader, rollout, task, self._environment, grounded=self._grounded)

        case = await anyio.to_thread.run_sync(read_case)
        verdict = await judge_again(self._store, self._judge, case, scoring, rollout.id)
        return verdict.reward


def _numbers(given: Any) -> list[int]:
    """Raises `UsageError` if they are no numbers of trajectories."""
    numbers = given if isinstance(given, list) else []
    if not numbers or not all(type(each) is int and 0 <= each <= _LARGEST for each in numbers):
        raise UsageError(f"trajectories: found {given!r}; expected a list of numbers of rollouts")
    return list(dict.fromkeys(numbers))


def _named(left_out: dict[int, str]) -> str:
    named = [f"{number} ({why})" for number, why in list(left_out.items())[:_NAMED]]
    more = len(left_out) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def _rollouts(count: int) -> str:
    return f"{count} rollout{' is' if count == 1 else 's are'}"


def _means(rewards: list[tuple[float | None, float]]) -> str:
    """Mean rewards now and, where all have one, before."""
    if not rewards:
        return ""
    now = f": mean reward {fmean(now for _, now in rewards):.3f}"
    before = [was for was, _ in rewards if was is not None]
    return now + (f", was {fmean(before):.3f}" if len(before) == len(rewards) else "")
