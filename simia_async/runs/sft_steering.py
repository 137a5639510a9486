"""What others may ask of an SFT run: a checkpoint, and its end after the step under way."""

from typing import Any

import anyio
from simia_store import CHECKPOINT, STOP_AFTER_STEP

from simia_async.errors import RunStopped
from simia_async.runs.obedience import Done, Obey, Promise, Tell
from simia_async.supervision.frames import Checkpointed, TakeCheckpoint
from simia_async.supervision.process import ChildProcess

_OVER = "all steps are taken and their adapters published; the run is ending"


class SftSteering:
    """Hands wishes on to the trainer, and hears what became of them."""

    def __init__(self, trainer: ChildProcess, commands: dict[str, Obey]) -> None:
        self._trainer = trainer
        self._ends = self._is_over = False
        self._told = ""
        """What became of the last wish."""
        self._news = anyio.Event()
        commands[CHECKPOINT] = self._checkpoint
        commands[STOP_AFTER_STEP] = self._stop

    def taken(self, checkpoint: Checkpointed) -> None:
        """A checkpoint stands. Raises `RunStopped` if the run was to end with it."""
        self._tell(f"the checkpoint of step {checkpoint.step} stands in {checkpoint.path}")
        if self._ends:
            raise RunStopped(
                f"stopped after step {checkpoint.step} by `simia runs stop --after-step`, with a "
                "checkpoint to go on from"
            )

    def over(self) -> None:
        """All steps are taken."""
        self._is_over = True
        self._tell(_OVER)

    def _tell(self, said: str) -> None:
        self._told = said
        self._news.set()
        self._news = anyio.Event()

    def _checkpoint(self, _: dict[str, Any]) -> Done:
        if self._is_over:
            return _OVER
        return Promise("a checkpoint is written when the step under way is taken", self._write)

    async def _write(self, _: Tell) -> str:
        news = self._news
        await self._trainer.send(TakeCheckpoint())
        await news.wait()
        return self._told

    def _stop(self, _: dict[str, Any]) -> Done:
        if self._is_over:
            return _OVER
        self._ends = True
        return Promise(
            "the run ends when the step under way is taken and its checkpoint written; --resume "
            "goes on from there",
            self._ask_for_the_last,
        )

    async def _ask_for_the_last(self, _: Tell) -> None:
        await self._trainer.send(TakeCheckpoint())
