"""What the steps of RL give reason to fear: said loudly, and an alarm written down."""

from collections.abc import Mapping

import anyio.to_thread
from simia_store import MetricRecord, Store

from simia_async.runs.audit_guard import ALARM, AuditGuard
from simia_async.runs.collapse import CollapseGuard
from simia_async.supervision.service import Report


class Alarms:
    """Looks at every step of one session, beside those before it."""

    def __init__(self, store: Store, report: Report) -> None:
        self._store = store
        self._report = report
        self._collapse = CollapseGuard()
        self._audit = AuditGuard()

    async def recall(self) -> None:
        """Take up what earlier sessions of the run have measured."""
        await anyio.to_thread.run_sync(self._collapse.recall, self._store.path)
        await anyio.to_thread.run_sync(self._audit.recall, self._store.path)

    async def look(self, step: int, values: Mapping[str, float]) -> str | None:
        """What is wrong after a step, if anything is."""
        warning, alarm = self._collapse.warning(values), self._audit.warning(values)
        if warning:
            self._report(f"step {step}: {warning}")
        if alarm:
            self._report(f"step {step}: ALARM: {alarm}")
            await self._store.append(MetricRecord(step, ALARM, 1.0))
        return alarm or warning
