"""Judging one stored conversation once more, as another scoring of its run."""

import anyio
from simia_store import CallRecord, JudgementRecord, Store

from simia_async.judging import Case, Judge, Verdict


async def judge_again(
    store: Store, judge: Judge, case: Case, scoring: int, trajectory: int
) -> Verdict:
    """The verdict, which is stored with the calls that were made for it; the reward of the
    trajectory itself stays as it is. Raises `EndpointError`; the calls are stored then too.
    """
    ledger: list[CallRecord] = []
    records: list[JudgementRecord] = []
    try:
        verdict = await judge.judge(case, ledger, trajectory)
        detail = {**verdict.detail, "solved": verdict.solved}
        records.append(JudgementRecord(scoring, trajectory, verdict.reward, verdict.reason, detail))
    finally:
        # Stopped from outside too: what its calls may have cost is written down.
        with anyio.CancelScope(shield=True):
            await store.append(*records, *ledger)
    return verdict
