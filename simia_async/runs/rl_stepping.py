"""What others may ask of the steps of an RL run: to end after one, and where it may go on from."""

from collections.abc import Sequence
from typing import Any

from simia_store import CHECKPOINT, STOP_AFTER_STEP, AdapterRecord

from simia_async.errors import RunStopped
from simia_async.runs.obedience import Done, Promise, until_the_end
from simia_async.runs.stage import Stage


class Stepping:
    """Knows which step is under way, and whether it is to be the last of this session."""

    def __init__(self, stage: Stage) -> None:
        self.step = 0
        """The one that is played or trained."""
        self.is_last = False
        """Whether the run was asked to end after it."""
        self._stage = stage
        self._steps = 0
        self._published: Sequence[AdapterRecord] = ()
        stage.commands[STOP_AFTER_STEP] = self._stop
        stage.commands[CHECKPOINT] = self._checkpoint

    def begin(self, step: int, steps: int, published: Sequence[AdapterRecord]) -> None:
        """A step of so many begins, on what is `published`."""
        self.step, self._steps, self._published = step, steps, published

    def end(self) -> None:
        """A step is trained and written down. Raises `RunStopped` if it was to be the last, and
        others would follow.
        """
        if self.is_last and self.step < self._steps:
            raise RunStopped(f"stopped after step {self.step} by `simia runs stop --after-step`")

    def _stop(self, _: dict[str, Any]) -> Done:
        if self.step > self._steps:
            return f"all {self._steps} steps are taken; the run is ending"
        self.is_last = True
        held = "; it is paused, and comes to that when it is resumed"
        return Promise(
            f"the run ends when step {self.step} of {self._steps} is trained and published"
            f"{held if self._stage.scheduler.gate.is_paused else ''}",
            until_the_end,
        )

    def _checkpoint(self, _: dict[str, Any]) -> Done:
        if not self._published:
            return "no step is trained yet; every turn is stored, and --resume goes on after them"
        last = self._published[-1]
        return (
            f"every step is one: version {last.version}, of step {last.step}, stands in "
            f"{last.path}, and --resume goes on from it with what was played since"
        )
