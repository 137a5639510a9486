"""The judge of conversations: code where code can tell, an LLM for the rest."""

from typing import Any

import anyio
import msgspec
from simia_store import CallRecord

from simia_async.clients import ChatClient
from simia_async.environments import Environment
from simia_async.errors import EndpointError
from simia_async.judging.case import Case, Verdict
from simia_async.judging.checks import check_case
from simia_async.judging.rubric import Rubric, combined
from simia_async.judging.votes import missing, tally
from simia_async.simulation.asking import Asker, read_json
from simia_async.simulation.prompts import Tag
from simia_async.simulation.replies import Judgement

_SHOWN_BYTES = 6000
"""A final state of more JSON than this is told by its changes alone."""


class Judge:
    """Judges conversations in one environment by one rubric."""

    def __init__(self, client: ChatClient, environment: Environment, rubric: Rubric) -> None:
        self.client = client
        self.rubric = rubric
        self._asker = Asker(client, environment)

    async def judge(
        self, case: Case, ledger: list[CallRecord], trajectory_id: int | None
    ) -> Verdict:
        """The verdict. Raises `EndpointError` if not even half of the votes came.

        Then there is no reward, which is not a reward of 0.
        """
        checks = check_case(case)
        solved = None if checks is None else all(checks.values())
        if self.rubric.combine == "check":
            assert checks is not None, "see `check_judgeable`"
            failed = [name for name, holds in checks.items() if not holds]
            reason = f"not as wanted: {', '.join(failed)}" if failed else "all as wanted"
            return Verdict(float(not failed), reason, solved, {"checks": checks})
        criteria = self.rubric.criteria_of(case.task)
        votes = await self._votes(case, ledger, trajectory_id)
        told = tally(votes, criteria)
        detail: dict[str, Any] = {"criteria": told.criteria}
        if checks is not None:
            detail["checks"] = checks
        if self.rubric.votes > 1:
            detail["votes"] = [{"reward": v.reward, "reasoning": v.reasoning} for v in votes]
            detail["agreement"] = told.agreement
        return Verdict(combined(self.rubric, told.reward, solved), told.reasoning, solved, detail)

    async def _votes(
        self, case: Case, ledger: list[CallRecord], trajectory_id: int | None
    ) -> list[Judgement]:
        """The votes that came, in their order; more than half of those that were asked for."""
        votes: dict[int, Judgement] = {}
        failures: list[EndpointError] = []
        sections = self._sections(case)

        async def ask(number: int) -> None:
            try:
                votes[number] = await self._ask(case, sections, number, ledger, trajectory_id)
            except EndpointError as error:
                failures.append(error)

        async with anyio.create_task_group() as asking:
            for number in range(self.rubric.votes):
                asking.start_soon(ask, number)
        if len(votes) * 2 <= self.rubric.votes:
            raise failures[-1]
        return [votes[number] for number in sorted(votes)]

    async def _ask(
        self,
        case: Case,
        sections: dict[Tag, Any],
        number: int,
        ledger: list[CallRecord],
        trajectory_id: int | None,
    ) -> Judgement:
        criteria = self.rubric.criteria_of(case.task)

        def read(text: str) -> Judgement:
            vote = read_json(Judgement, text)
            if lacking := missing(vote, criteria):
                raise msgspec.ValidationError(
                    f"`criteria` lacks {', '.join(lacking)}: true, false or a number from 0 to 1"
                )
            return vote

        # One that is asked once need not differ from anything.
        seed = {"seed": number} if self.rubric.votes > 1 else {}
        return await self._asker.ask("judge", sections, read, ledger, trajectory_id, **seed)

    def _sections(self, case: Case) -> dict[Tag, Any]:
        task = case.task
        told = {
            "scenario": task.scenario,
            "goal": task.goal,
            "rubric": self.rubric.criteria_of(task),
            "check": _told_check(case),
        }
        if self.rubric.instructions:
            told["instructions"] = self.rubric.instructions
        final = msgspec.json.encode(case.final_state)
        return {
            "environment": self._asker.named("judge", policy=True),
            "tools": self._asker.tools,
            "task": told,
            "state": {
                "changes": case.changes,
                "final": msgspec.Raw(final) if len(final) <= _SHOWN_BYTES else None,
            },
            "history": case.history,
        }


def _told_check(case: Case) -> Any:
    """The task's check, with the whole state that it wants where that is small."""
    check = case.task.check
    wanted = case.wanted_state
    if check is None or wanted is None or len(msgspec.json.encode(wanted)) > _SHOWN_BYTES:
        return check
    return msgspec.structs.replace(check, final_state=wanted)
