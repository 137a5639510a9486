"""8 Simulator: who made the observations, what could not be used, and what was repaired."""

from collections import Counter

from rich.console import RenderableType
from simia_store import Browser

from simia_tui.feed import Snapshot
from simia_tui.figures import bar, short, table
from simia_tui.pane import TextPane

_TURNS = 5000
"""The last turns, of which shares are told."""
_REPAIRED = 300
"""The last conversations whose repairs are counted."""

_MEANING = {
    "code": "computed from the state",
    "fact": "told before, told again",
    "llm": "made up by the model",
    "function": "a function of the environment",
}


class SimulatorPane(TextPane):
    """Shares and counts over the last turns."""

    TITLE = "Simulator"

    async def parts(self, snapshot: Snapshot) -> list[RenderableType]:
        """Tables of the last turns."""

        def read(browser: Browser) -> tuple[list[tuple[str | None, bool]], Counter[str]]:
            return browser.last_observations(_TURNS), _repairs(browser)

        observations, repairs = await self.board.shelf.ask(read)
        parts: list[RenderableType] = [self._sources(observations), "", self._roles(snapshot), ""]
        rows = [(rule, str(count)) for rule, count in repairs.most_common(20)]
        title = f"repairs in the last {_REPAIRED} conversations"
        parts += [table(title, ("rule", "count"), rows, self.palette), "", self._meters(snapshot)]
        return parts

    def _sources(self, observations: list[tuple[str | None, bool]]) -> RenderableType:
        total = len(observations)
        counts = Counter(source or "not told" for source, _ in observations)
        failed = Counter(source or "not told" for source, is_error in observations if is_error)
        rows = [
            (
                source,
                f"{bar(count, total, 20)} {count / total:.1%}",
                short(count),
                f"{failed[source] / count:.1%}",
                _MEANING.get(source, ""),
            )
            for source, count in counts.most_common()
        ]
        title = f"who made the last {total} observations of tools"
        columns = ("source", "share", "count", "errors", "meaning")
        return table(title, columns, rows, self.palette, flexible=4)

    def _roles(self, snapshot: Snapshot) -> RenderableType:
        """Answers of the simulator's roles that could not be used, of all."""
        totals: dict[str, Counter[str]] = {}
        for count in snapshot.usage_counts:
            totals.setdefault(count.role, Counter())[count.status] += count.calls
        rows = []
        for role, counts in sorted(totals.items()):
            asked = counts.total()
            bad = ", ".join(f"{status} {n}" for status, n in counts.most_common() if status != "ok")
            rows.append((role, short(asked), f"{1 - counts['ok'] / asked:.1%}", bad or "–"))
        columns = ("role", "asked", "unusable", "why")
        return table("answers", columns, rows, self.palette, flexible=3)

    def _meters(self, snapshot: Snapshot) -> RenderableType:
        wanted = ("tool_error_rate", "criterion/", "simulator", "grounding", "no_reward", "stop/")
        rows = [
            (name, f"{points[-1][1]:.3g}", f"step {points[-1][0]}")
            for name, points in sorted(snapshot.series.items())
            if points and any(part in name for part in wanted)
        ]
        return table("meters", ("metric", "value", "at"), rows, self.palette)


def _repairs(browser: Browser) -> Counter[str]:
    counts: Counter[str] = Counter()
    for record in browser.matching(_REPAIRED, descending=True).rows:
        repairs = record.detail.get("repairs")
        for repair in repairs if isinstance(repairs, list) else []:
            counts[str(repair.get("rule")) if isinstance(repair, dict) else str(repair)] += 1
    return counts
