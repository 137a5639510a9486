"""The dashboard of one run: what its keys do, the controls of the run among them."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, ClassVar

from simia_store import (
    CANCEL,
    CHECKPOINT,
    CONCURRENCY,
    PAUSE,
    REJUDGE,
    RESUME,
    STOP,
    STOP_AFTER_STEP,
    StoreError,
)
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from simia_tui.board import Board
from simia_tui.feed import Snapshot
from simia_tui.panes import PANES

_STEP = 1.25
"""How many times as many conversations `+` proposes."""


class Dashboard(Board):
    """A board with keys. What it asks of the run goes through the table `commands`.

    Returns "runs" where somebody wants to choose another run, else None.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number), f"open_pane({number})", entry.name, show=False)
            for number, entry in enumerate(PANES, 1)
        ),
        Binding("question_mark", "help", "Help"),
        Binding("P", "pause", "Pause or resume the run", show=False),
        Binding("plus", "concurrency(1)", "More conversations at once", show=False),
        Binding("minus", "concurrency(-1)", "Fewer conversations at once", show=False),
        Binding("S", "stop", "Stop the run", show=False),
        Binding("F", "stop_after_step", "Finish the training step, then stop", show=False),
        Binding("C", "checkpoint", "Write a checkpoint after this step", show=False),
        Binding("p", "freeze", "Freeze the view, or go on", show=False),
        Binding("y", "copy", "Copy", show=False),
        Binding("E", "export", "Export as JSONL, a pane of figures as SVG", show=False),
        Binding("ctrl+e", "picture", "Save the screen as SVG", show=False),
        Binding("r", "runs", "Other runs", show=False),
        Binding("q", "quit", "Quit"),
    ]

    async def action_open_pane(self, number: int) -> None:
        """Open a pane."""
        await self.open(number)

    def action_help(self) -> None:
        """Tell the keys."""
        from simia_tui.widgets.help import Help, keys_of

        self.push_screen(Help(PANES[self._pane - 1].name, keys_of(self.focused, self.pane)))

    def action_freeze(self) -> None:
        """Stop drawing what is new, or go on."""
        self._frozen = not self._frozen
        self._draw_status()
        if not self._frozen and self.snapshot is not None:
            self.pane.receive(self.snapshot)

    def action_runs(self) -> None:
        """Back to the list of runs, where there is one."""
        if self._pick:
            self.exit("runs")
        else:
            self.notify("start simia-tui with a directory to choose among its runs")

    def action_copy(self) -> None:
        """Copy what the pane's cursor is on."""
        from simia_tui.text import clean

        text = self.pane.copied()
        if text is None:
            self.notify("nothing here to copy")
        else:
            self.copy_to_clipboard(clean(text, 1_000_000))
            self.notify("copied")

    async def action_export(self) -> None:
        """Write the marked conversations, or the one under the cursor, or a picture."""
        from simia_tui import exporting

        numbers = self.pane.exported()
        if not numbers:
            self.action_picture()
            return
        try:
            path = await self.shelf.ask(
                lambda browser: exporting.write_lines(
                    self.path, exporting.conversations(browser, numbers)
                )
            )
        except (OSError, StoreError) as error:
            self.notify(f"not exported: {error}", severity="error", markup=False)
        else:
            self.notify(f"{len(numbers)} conversations → {path}", markup=False)

    def action_picture(self) -> None:
        """Write the screen as it is."""
        from simia_tui import exporting

        try:
            svg = self.export_screenshot(title=f"simia-tui {self.path}")
            path = exporting.write_picture(self.path, PANES[self._pane - 1].name.lower(), svg)
        except OSError as error:
            self.notify(f"not written: {error}", severity="error", markup=False)
        else:
            self.notify(f"screen → {path}", markup=False)

    def action_pause(self) -> None:
        """Hold the run, or let it go on."""
        if self.snapshot is not None and self.snapshot.is_paused:
            self.steer(RESUME, "Let the run go on?")
        else:
            self.steer(PAUSE, "Pause the run? Calls in flight end and are stored.")

    def action_stop(self) -> None:
        """End the run."""
        self.steer(STOP, "Stop the run? What is committed stays; it can be resumed later.")

    def action_stop_after_step(self) -> None:
        """End the run when its training step is taken."""
        self.steer(
            STOP_AFTER_STEP,
            "Stop the run after the training step under way? The step is taken, published and "
            "written down; it can be resumed later.",
        )

    def action_checkpoint(self) -> None:
        """Have a checkpoint written."""
        self.steer(CHECKPOINT, "Write a checkpoint when the training step under way is taken?")

    def action_concurrency(self, direction: int) -> None:
        """Have more or fewer conversations at once."""
        from simia_tui.widgets.asking import AskNumber

        if self._refused():
            return
        said = self.snapshot.statistics.get("scheduler", {}) if self.snapshot else {}
        present = int(said.get("concurrency") or 64)
        proposed = present * _STEP if direction > 0 else present / _STEP
        self.push_screen(
            AskNumber(
                f"Conversations at once, at most? Now: {present}.",
                max(1, round(proposed), present + 1 if direction > 0 else 1),
            ),
            lambda number: self._send(CONCURRENCY, conversations=number) if number else None,
        )

    def cancel(self, number: int) -> None:
        """End one conversation."""
        self.steer(
            CANCEL, f"Cancel rollout {number}? It gets no reward and is not played again.",
            trajectory=number,
        )  # fmt: skip

    def rejudge(self, numbers: Sequence[int]) -> None:
        """Have rollouts judged again: by the run while it goes on, else by a command that can be
        copied.
        """
        what = f"rollout {numbers[0]}" if len(numbers) == 1 else f"{len(numbers)} rollouts"
        snapshot = self.snapshot
        if self.readonly or snapshot is None or snapshot.run is None or snapshot.is_live:
            self.steer(
                REJUDGE,
                f"Judge {what} again? By the run's own judge, within its budget, as another "
                "scoring; no reward that is trained on changes.",
                trajectories=list(numbers),
            )
        else:
            self._offer_command(what, snapshot, numbers)

    def _offer_command(self, what: str, snapshot: Snapshot, numbers: Sequence[int]) -> None:
        """A run that nobody owns is judged by a command."""
        from simia_tui.steering import judge_command
        from simia_tui.widgets.asking import Confirm

        command = judge_command(snapshot, numbers)
        if command is None or self._ask is not None:
            where = "on its server" if command else "and holds no rollouts of a policy to judge"
            self.notify(f"the run is {snapshot.standing} {where}", severity="warning")
            return

        def copy(yes: bool | None) -> None:
            if yes:
                self.copy_to_clipboard(command)
                self.notify("copied")

        self.push_screen(
            Confirm(
                f"The run is {snapshot.standing}. This judges {what} again, as another scoring:\n\n"
                f"{command}\n\nCopy it?"
            ),
            copy,
        )

    def steer(self, name: str, question: str, **arguments: Any) -> None:
        """Ask the user, then the run."""
        from simia_tui.widgets.asking import Confirm

        if not self._refused():
            self.push_screen(
                Confirm(question), lambda yes: self._send(name, **arguments) if yes else None
            )

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """What the palette offers: panes, controls of the run, and what Textual has."""
        for number, entry in enumerate(PANES, 1):
            yield SystemCommand(entry.name, f"Open pane {number}", self._opener(number))
        yield SystemCommand("Pause or resume", "Hold every conversation", self.action_pause)
        yield SystemCommand(
            "Concurrency", "Conversations at once", lambda: self.action_concurrency(1)
        )
        yield SystemCommand("Stop the run", "End it politely", self.action_stop)
        yield SystemCommand(
            "Stop after this step", "Once it is trained", self.action_stop_after_step
        )
        yield SystemCommand("Checkpoint", "After this step", self.action_checkpoint)
        yield SystemCommand("Save as SVG", "The screen as a picture", self.action_picture)
        for command in super().get_system_commands(screen):
            if command.title in ("Theme", "Quit"):
                yield command

    def _opener(self, number: int) -> Callable[[], Any]:
        return lambda: self.call_later(self.open, number)

    def _refused(self) -> bool:
        """Whether nothing can be asked of the run; says why."""
        from simia_tui.steering import obstacle

        reason = obstacle(self.snapshot, readonly=self.readonly)
        if reason:
            self.notify(reason, severity="warning", markup=False)
        return reason is not None

    def _send(self, name: str, **arguments: Any) -> None:
        from simia_tui import steering

        number, ask = next(self._commands), self._ask or partial(steering.ask, self.path)

        def tell(answer: steering.Answer) -> None:
            if not self._over.is_set():
                self.call_from_thread(self._answered, number, answer)

        def send() -> None:
            try:
                for answer in ask(name, arguments):
                    if answer is not None:
                        tell(answer)
                    if self._over.is_set():
                        return
            except StoreError as error:
                tell(steering.Answer(f"{steering.spoken(name)}: {error}", is_good=False))

        self._asked[number] = f"{steering.spoken(name)}: waiting for the run's answer…"
        self._draw_status()
        self.run_worker(send, thread=True, group="steering")

    def _answered(self, number: int, answer: Any) -> None:
        is_first = self._asked[number].endswith("…")
        if answer.is_last:
            del self._asked[number]
        else:
            self._asked[number] = answer.text
        self._draw_status()
        if not (answer.is_last or is_first):
            return
        if answer.is_good:
            self.notify(answer.text, markup=False)
        else:
            self.notify(answer.text, severity="warning", markup=False)
