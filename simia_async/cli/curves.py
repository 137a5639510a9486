"""Curves of a training run: what it measured over its steps, as small plots of text."""

import math
from collections.abc import Mapping

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text
from simia_store import Reader

_WIDTH, _HEIGHT = 39, 9
"""Of one plot in characters; two stand side by side in a terminal of 80."""
_FLAT = 0.5
"""What is drawn above and below a curve that has only one value."""

_DRAWN = {
    "reward": "rollout/reward_mean",
    "loss": "train/loss",
    "loss, held out": "train/eval_loss",
    "solved, needs action": "rollout/solved_needs_action",
    "solved, no action": "rollout/solved_no_action",
    "held out, needs action, greedy": "eval/needs_action",
    "held out, no action, greedy": "eval/no_action",
    "held out, needs action, T=1": "eval/needs_action@T=1",
    "held out, no action, T=1": "eval/no_action@T=1",
}
"""Metrics that are drawn, by title."""
_SHARES = ("solved", "held out")
"""How titles of what is drawn from 0 to 1 begin."""


class Curve(msgspec.Struct, frozen=True):
    """One metric of a run."""

    title: str
    values: Mapping[int, float]
    """By step; at least one, all finite."""

    @property
    def heading(self) -> str:
        """Title and last value."""
        return f"{self.title}: {list(self.values.values())[-1]:.3g}"

    @property
    def steps(self) -> tuple[float, float]:
        """From where to where it is drawn."""
        return _around(min(self.values), max(self.values))

    @property
    def heights(self) -> tuple[float, float]:
        """The least and the greatest value that has a place."""
        if self.title.startswith(_SHARES):
            return 0.0, 1.0
        return _around(min(self.values.values()), max(self.values.values()))

    @property
    def marked_steps(self) -> list[int]:
        """The first step, one in the midst, and the last."""
        steps = list(self.values)
        return sorted({steps[0], steps[len(steps) // 2], steps[-1]})

    @property
    def marked_heights(self) -> list[tuple[float, str]]:
        """Bottom, middle and top, and how they read."""
        low, high = self.heights
        return [(mark, f"{mark:.2g}") for mark in (low, (low + high) / 2, high)]


def curves_of(reader: Reader) -> list[Curve]:
    """The curves of a run; none if no step of a training was measured."""
    curves = []
    for title, name in _DRAWN.items():
        # What an evaluation that was cut off has measured is measured again: the last one counts.
        values = {metric.step: metric.value for metric in reader.metrics(name)}
        finite = {step: value for step, value in values.items() if math.isfinite(value)}
        if finite:
            curves.append(Curve(title, finite))
    return curves


def print_curves(curves: list[Curve], console: Console) -> None:
    """Draw them, side by side where there is room."""
    columns = 2 if console.width > 2 * _WIDTH else 1
    grid = Table.grid(padding=(0, 1, 0, 0))
    for first in range(0, len(curves), columns):
        grid.add_row(*map(_plot, curves[first : first + columns]))
    if curves:
        console.print(grid)


def _plot(curve: Curve) -> Text:
    # Only a report draws, and every other command begins a tenth of a second sooner without it.
    import plotext

    figure = plotext.figure
    figure.clear()
    figure.theme("simple")
    figure.plot_size(_WIDTH, _HEIGHT)
    figure.title(curve.heading)
    line = figure.signal(list(curve.values), list(curve.values.values()), marker="braille")
    line.lines()
    figure.draw(line)
    marks, words = zip(*curve.marked_heights, strict=True)
    figure.ruler("y").lim(*curve.heights).ticks(list(marks), list(words))
    figure.ruler("x").lim(*curve.steps).ticks(curve.marked_steps)
    return Text.from_ansi(str(figure.build()))


def _around(least: float, most: float) -> tuple[float, float]:
    return (least, most) if least < most else (least - _FLAT, most + _FLAT)
