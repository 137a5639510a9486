"""7 Errors: what failed, by where and by message; Enter shows the rollouts."""

import re
from collections import Counter
from functools import partial

import msgspec
from rich.style import Style
from simia_store import Browser, Match, TrajectoryStatus
from textual.app import ComposeResult
from textual.widgets import Static

from simia_tui.background import in_background
from simia_tui.feed import Snapshot
from simia_tui.figures import short, table
from simia_tui.palette import Palette
from simia_tui.pane import Pane
from simia_tui.text import clean_line
from simia_tui.widgets.few_rows import FewRows
from simia_tui.widgets.keyset_list import KeysetList
from simia_tui.widgets.rows import Column

_LOOKED_AT = 500
"""The last failures, of which messages are told."""
_DIGITS = re.compile(r"\d+")


class Failure(msgspec.Struct, frozen=True):
    """A kind of failure, or one message of it."""

    id: int
    status: str
    cause: str
    message: str
    count: int

    @property
    def filter_text(self) -> str:
        """What shows its rollouts."""
        status = f"status={self.status}"
        if not self.message:
            return f'{status} {self.field}="{self.cause}"' if self.cause else status
        # The longest part without what differs from one to the next.
        part = max(re.split(r'[\d"]+', self.message), key=len).strip()
        return f'{status} reason:"{part}"' if part else status

    @property
    def field(self) -> str:
        """Where its cause stands."""
        if self.status == TrajectoryStatus.REJECTED:
            return "rule"
        return "at" if self.cause in ("policy", "simulator", "judge", "store", "budget") else "stop"


class Errors(Pane):
    """Failures of conversations above, of calls below."""

    TITLE = "Errors"
    DEFAULT_CSS = """
    Errors { layout: vertical; }
    Errors KeysetList { height: 1fr; }
    Errors #calls { height: auto; max-height: 45%; padding: 0 1; overflow-y: auto; }
    """

    def compose(self) -> ComposeResult:
        """The list and the table."""
        yield KeysetList[Failure](_COLUMNS, id="failure-list")
        yield Static(id="calls")

    @property
    def listing(self) -> KeysetList[Failure]:
        """Failures of conversations."""
        return self.query_one(KeysetList)

    def show(self, snapshot: Snapshot) -> None:
        """Read the last failures, then draw."""
        in_background(self, partial(self._read, snapshot), "errors")

    def copied(self) -> str | None:
        """The failure under the cursor."""
        row = self.listing.row
        return None if row is None else f"{row.status} {row.cause} {row.message}"

    async def on_keyset_list_chosen(self, event: KeysetList.Chosen) -> None:
        """Show its rollouts."""
        if not isinstance(event, KeysetList.Moved):
            await self.board.open_rollouts(event.row.filter_text)

    async def _read(self, snapshot: Snapshot) -> None:
        failures, calls = await self.board.shelf.ask(lambda browser: _read(browser, snapshot))
        self.listing.empty = "no conversation has failed"
        self.listing.replace(FewRows(failures))
        columns = ("role", "error", "calls", "the last message")
        rows = [
            (each.role, each.status, short(each.calls), calls.get((each.role, each.status), "–"))
            for each in sorted(snapshot.usage_counts, key=lambda count: -count.calls)
            if each.status != "ok"
        ]
        drawn = table("calls that failed", columns, rows, self.palette, flexible=3)
        self.query_one("#calls", Static).update(drawn)


def _read(browser: Browser, snapshot: Snapshot) -> tuple[list[Failure], dict[tuple[str, str], str]]:
    failed = (TrajectoryStatus.UNSCORED, TrajectoryStatus.REJECTED)
    messages: dict[tuple[str, str], Counter[str]] = {}
    for status in failed:
        wanted = [Match("status", "=", status)]
        for record in browser.matching(_LOOKED_AT, wanted, descending=True).rows:
            cause = record.rejected_by or record.boundary or record.stop_reason or ""
            said = messages.setdefault((status, cause), Counter())
            said[_DIGITS.sub("0", clean_line(record.reason or "", 300))] += 1
    failures: list[Failure] = []
    for outcome in snapshot.outcomes:
        if outcome.status not in failed:
            continue
        kind = (outcome.status, outcome.cause)
        failures.append(Failure(len(failures), *kind, "", outcome.count))
        for message, count in messages.get(kind, Counter()).most_common(20):
            if message:
                failures.append(Failure(len(failures), *kind, message, count))
    calls: dict[tuple[str, str], str] = {}
    for call in browser.failed_calls(_LOOKED_AT):
        calls.setdefault((call.role, call.status), call.error or "–")
    return failures, calls


def _cause(failure: Failure, palette: Palette) -> tuple[str, Style]:
    if failure.message:
        return "", palette.text
    return f"{failure.status} {failure.cause}", palette.bad


def _message(failure: Failure, palette: Palette) -> tuple[str, Style]:
    return failure.message or "all of them", palette.text if failure.message else palette.dim


_COLUMNS: list[Column[Failure]] = [
    Column("count", 8, lambda failure, palette: (f"{failure.count:,}", palette.text), right=True),
    Column("where", 26, _cause),
    Column("message (of the last ones; digits as 0)", 0, _message),
]
