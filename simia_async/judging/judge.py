"""The judge of conversations: code where code can tell, an LLM for the rest."""

from collections.abc import Collection, Sequence
from copy import copy
from functools import partial
from typing import Any

import anyio
import msgspec
from simia_store import CallRecord

from simia_async.clients import ChatClient
from simia_async.environments import Criterion, Environment
from simia_async.errors import EndpointError, single_error
from simia_async.judging.case import Case, Verdict
from simia_async.judging.checks import check_case
from simia_async.judging.rubric import Rubric, combined
from simia_async.judging.votes import Vote, read_vote, tally
from simia_async.simulation.asking import Asker
from simia_async.simulation.grounding import fits
from simia_async.simulation.prompts import Tag


class Judge:
    """Judges conversations in one environment by one rubric."""

    def __init__(self, client: ChatClient | None, environment: Environment, rubric: Rubric) -> None:
        """`client` may be None where `rubric.asks_llm` is false."""
        self.rubric = rubric
        self._asker = Asker(client, environment) if client else None
        self._dropped: frozenset[str] = frozenset()

    def without(self, criteria: Collection[str]) -> "Judge":
        """The same judge, which does not look at the criteria of these names."""
        judge = copy(self)
        judge._dropped = frozenset(criteria)
        return judge

    async def judge(
        self, case: Case, ledger: list[CallRecord], trajectory_id: int | None
    ) -> Verdict:
        """The verdict. Raises `EndpointError` if not more than half of the votes came.

        Then there is no reward, which is not a reward of 0.
        """
        checks = check_case(case)
        solved = None if checks is None else all(checks.values())
        if checks is not None and self.rubric.is_settled_by(checks):
            return Verdict(float(all(checks.values())), _in_words(checks), solved, _told(checks))
        all_criteria = self.rubric.criteria_of(case.task)
        criteria = [each for each in all_criteria if each.name not in self._dropped]
        votes = await self._votes(case, criteria, ledger, trajectory_id)
        judged = tally(votes, criteria)
        detail = {"criteria": judged.criteria, **_told(checks)}
        if len(criteria) < len(all_criteria):
            detail["dropped"] = [c.name for c in all_criteria if c.name in self._dropped]
        if self.rubric.votes > 1:
            detail["votes"] = [msgspec.structs.asdict(vote) for vote in votes]
            detail["agreement"] = judged.agreement
        reward = combined(self.rubric, judged.reward, solved)
        return Verdict(reward, judged.reasoning, solved, detail)

    async def _votes(
        self,
        case: Case,
        criteria: Sequence[Criterion],
        ledger: list[CallRecord],
        trajectory_id: int | None,
    ) -> list[Vote]:
        """The votes that came, in their order; more than half of those that were asked for."""
        assert self._asker is not None, "see `check_judgeable`"
        votes: dict[int, Vote] = {}
        failures: list[EndpointError] = []
        ask = partial(
            self._asker.ask,
            "judge",
            self._sections(self._asker, case, criteria),
            partial(read_vote, criteria=criteria),
            ledger,
            trajectory_id,
        )

        async def vote(number: int) -> None:
            # One that is asked once need not differ from anything.
            seed = {"seed": number} if self.rubric.votes > 1 else {}
            try:
                votes[number] = await ask(**seed)
            except EndpointError as error:
                failures.append(error)

        with single_error():
            async with anyio.create_task_group() as asking:
                for number in range(self.rubric.votes):
                    asking.start_soon(vote, number)
        if len(votes) <= len(failures):
            raise failures[-1]
        return [votes[number] for number in sorted(votes)]

    def _sections(self, asker: Asker, case: Case, criteria: Sequence[Criterion]) -> dict[Tag, Any]:
        task: dict[str, Any] = {
            "scenario": case.task.scenario,
            "goal": case.task.goal,
            "rubric": criteria,
            "check": _shown_check(case),
        }
        if self.rubric.instructions:
            task["instructions"] = self.rubric.instructions
        final = case.final_state
        if final is not None and not fits(final):
            final = None
        return {
            "environment": asker.named("judge", policy=True),
            "tools": asker.tools,
            "task": task,
            "state": {"changes": case.changes, "final": final},
            "history": case.history,
        }


def _shown_check(case: Case) -> Any:
    """The task's check, with the whole state that it wants where that is small."""
    check, wanted = case.task.check, case.wanted_state
    if check is None or wanted is None or not fits(wanted):
        return check
    return msgspec.structs.replace(check, final_state=wanted)


def _in_words(checks: dict[str, bool]) -> str:
    failed = [name for name, holds in checks.items() if not holds]
    return f"not as wanted: {', '.join(failed)}" if failed else "all as wanted"


def _told(checks: dict[str, bool] | None) -> dict[str, Any]:
    return {} if checks is None else {"checks": checks}
