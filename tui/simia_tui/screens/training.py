"""5 Training: every metric over steps, one crosshair through all; Enter shows a step's rollouts."""

from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, VerticalScroll
from textual.widgets import Static

from simia_tui.feed import Points, Snapshot
from simia_tui.pane import Pane
from simia_tui.text import clean_line
from simia_tui.widgets.plot import Curve, Plot

_TWO_COLUMNS_FROM = 100

_PLOTS: dict[str, dict[str, str]] = {
    "reward": {"rollout/reward_mean": "mean"},
    "solved": {
        "rollout/solved_needs_action": "needs action",
        "rollout/solved_no_action": "no action",
    },
    "held out": {"eval/needs_action": "needs action", "eval/no_action": "no action"},
    "loss": {"train/loss": "", "loss": "", "held_out_loss": "held out"},
    "KL": {"train/kl": "to behaviour", "train/kl_reference": "to reference"},
    "entropy": {"train/entropy": ""},
    "clip fraction": {"train/clip_fraction": ""},
    "gradient norm": {"train/grad_norm": ""},
    "tokens of a rollout": {"rollout/tokens": "sampled", "train/response_tokens": "learnt from"},
    "turns": {"rollout/turns": ""},
    "staleness": {"rollout/staleness": "mean", "train/staleness_max": "most"},
}
"""Plots in order, their metrics and what these are called there. Others follow, a plot each."""
_BAND = ("rollout/reward_mean", "rollout/reward_std")


class Training(Pane, can_focus=True):
    """A grid of plots."""

    TITLE = "Training"
    DEFAULT_CSS = """
    Training { layout: vertical; }
    Training #step { height: 1; padding: 0 1; }
    Training Grid { grid-size: 1; grid-rows: 9; grid-gutter: 0 2; height: auto; padding: 0 1; }
    Training Grid.wide { grid-size: 2; }
    Training Plot { height: 9; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l,right", "step(1)", "Next step"),
        Binding("h,left", "step(-1)", "Step before"),
        Binding("L", "step(10)", "Ten steps on", show=False),
        Binding("H", "step(-10)", "Ten steps back", show=False),
        Binding("0", "step(-1000000)", "First step", show=False),
        Binding("dollar_sign", "step(1000000)", "Last step", show=False),
        Binding("enter", "rollouts", "Its rollouts"),
        Binding("escape", "no_step", "No crosshair", show=False),
        Binding("j,down", "scroll(4)", "Down", show=False),
        Binding("k,up", "scroll(-4)", "Up", show=False),
        Binding("ctrl+d,pagedown", "scroll(18)", "Page down", show=False),
        Binding("ctrl+u,pageup", "scroll(-18)", "Page up", show=False),
        Binding("g,home", "scroll(-100000)", "Top", show=False),
        Binding("G,end", "scroll(100000)", "Bottom", show=False),
    ]

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._step: int | None = None
        self._plots: dict[str, Plot] = {}

    def compose(self) -> ComposeResult:
        """The step, and plots as metrics come."""
        yield Static(id="step")
        with VerticalScroll(can_focus=False):
            yield Grid()

    def on_resize(self) -> None:
        """Two plots side by side where there is room."""
        self.query_one(Grid).set_class(self.size.width >= _TWO_COLUMNS_FROM, "wide")

    def show(self, snapshot: Snapshot) -> None:
        """Draw `snapshot`."""
        for title, names in self._titles(snapshot).items():
            curves = self._curves(snapshot, names)
            if curves:
                self._plot(title).show(curves, self._step)
        self._tell(snapshot)

    def copied(self) -> str | None:
        """The values at the crosshair, or the last ones."""
        if self.snapshot is None:
            return None
        lines = []
        for name, points in sorted(self.snapshot.series.items()):
            at = [value for step, value in points if self._step is None or step <= self._step]
            if at:
                lines.append(f"{name}\t{at[-1]:g}")
        return "\n".join(lines) or None

    def focus_inside(self) -> None:
        """The pane has the keyboard."""
        self.screen.set_focus(self)

    def action_step(self, steps: int) -> None:
        """Move the crosshair over the steps there are."""
        known = self._steps()
        if not known:
            return
        # Without a crosshair the last values are told: it comes from the right.
        at = len(known)
        if self._step is not None:
            at = max((i for i, step in enumerate(known) if step <= self._step), default=0)
        self._step = known[max(0, min(at + steps, len(known) - 1))]
        self._redraw()

    def action_no_step(self) -> None:
        """Take the crosshair away."""
        self._step = None
        self._redraw()

    async def action_rollouts(self) -> None:
        """Show the rollouts of the step."""
        if self._step is None:
            self.notify("choose a step with h and l first")
        else:
            await self.board.open_rollouts(f"step:{self._step}")

    def action_scroll(self, lines: int) -> None:
        """Scroll."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    def _titles(self, snapshot: Snapshot) -> dict[str, dict[str, str]]:
        drawn = {name for names in _PLOTS.values() for name in names} | set(_BAND)
        rest = {name: {name: ""} for name in sorted(snapshot.series) if name not in drawn}
        return {**_PLOTS, **rest}

    def _curves(self, snapshot: Snapshot, names: dict[str, str]) -> list[Curve]:
        series = snapshot.series
        curves = [Curve(label, series[name]) for name, label in names.items() if name in series]
        for other, theirs in self.board.others.items():
            curves += [Curve(clean_line(other, 40), theirs[n]) for n in names if n in theirs]
        if _BAND[0] in names and all(name in series for name in _BAND):
            curves += _band(series[_BAND[0]], dict(series[_BAND[1]]))
        return curves

    def _plot(self, title: str) -> Plot:
        if title not in self._plots:
            self._plots[title] = Plot(title)
            self.query_one(Grid).mount(self._plots[title])
        return self._plots[title]

    def _steps(self) -> list[int]:
        series = self.snapshot.series if self.snapshot else {}
        return sorted({step for points in series.values() for step, _ in points})

    def _redraw(self) -> None:
        if self.snapshot is not None:
            self.show(self.snapshot)

    def _tell(self, snapshot: Snapshot) -> None:
        if not snapshot.series:
            text = "nothing is measured yet"
        elif self._step is None:
            text = "last values · h l move a crosshair over the steps"
        else:
            text = f"step {self._step} · enter shows its rollouts"
        if self.board.others:
            text += f" · compared with {len(self.board.others)} other runs"
        self.query_one("#step", Static).update(Text(text))


def _band(mean: Points, std: dict[int, float]) -> list[Curve]:
    """One standard deviation above and below."""
    return [
        Curve("", [(step, value + sign * std[step]) for step, value in mean if step in std], True)
        for sign in (1, -1)
    ]
