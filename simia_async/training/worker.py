"""The trainer process: does what the owner's frames say, and reports over the pipe."""

import argparse
from collections.abc import Callable
from pathlib import Path

import msgspec

from simia_async.config import GrpoConfig, SftConfig
from simia_async.errors import SimiaError
from simia_async.supervision.child import CommandPipe, OwnerPipe
from simia_async.supervision.frames import (
    Checkpointed,
    FromChild,
    Metrics,
    Published,
    SftDone,
    TakeCheckpoint,
    TrainGrpo,
    TrainSft,
)
from simia_async.training.grpo import GrpoTrainer
from simia_async.training.launched import PassOn, enlist, fail_together
from simia_async.training.processes import ALONE, Processes
from simia_async.training.sft import Wishes, train_sft


class _OwnersWishes(Wishes):
    """Reads them from the pipe."""

    def __init__(self, pipe: CommandPipe) -> None:
        self._pipe = pipe

    def take_checkpoint(self) -> bool:
        is_wished = False
        while self._pipe.has_command():
            is_wished |= isinstance(self._pipe.receive(), TakeCheckpoint)
        return is_wished

    def taken(self, checkpoint: Checkpointed) -> None:
        self._pipe.send(checkpoint)


class _Place(msgspec.Struct, frozen=True):
    """Where this process stands between the owner and the other processes."""

    processes: Processes
    pipe: CommandPipe
    pass_on: PassOn

    @property
    def tell(self) -> Callable[[FromChild], None]:
        """Tells the owner, if it is this process that does."""
        return self.pipe.send if self.processes.is_first else lambda _: None


def _do_sft(command: TrainSft, out: Path, place: _Place) -> None:
    config = msgspec.convert(command.config, SftConfig)
    data = [Path(run) for run in command.data]
    wishes = _OwnersWishes(place.pipe)
    trained = train_sft(config, data, out, place.tell, wishes, place.processes)
    for adapter in {each.version: each for each in (trained.best, trained.last)}.values():
        place.tell(Published(adapter.version, str(adapter.path), None, adapter.step))
    place.tell(SftDone(trained.best.version, trained.last.version, trained.steps))


class _Grpo:
    """The GRPO trainer, made at the first command and kept."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._trainer: GrpoTrainer | None = None

    def do(self, command: TrainGrpo, place: _Place) -> None:
        if self._trainer is None:
            config = msgspec.convert(command.config, GrpoConfig)
            began = Path(command.resume_from) if command.resume_from else None
            self._trainer = GrpoTrainer(config, self._out, began, place.processes)
        values = self._trainer.step(Path(command.data), command.step, command.version)
        place.tell(Metrics(command.step, values))
        path, parent = self._trainer.publish(command.version)
        place.tell(Published(command.version, str(path), parent, command.step))


def _alone() -> _Place:
    return _Place(ALONE, OwnerPipe(), lambda _: None)


def main() -> None:
    """Serve commands until the owner is gone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="directory of the adapters")
    parser.add_argument("--launched", action="store_true", help="a launcher started several")
    arguments = parser.parse_args()
    out: Path = arguments.out
    place = _Place(*enlist()) if arguments.launched else _alone()
    grpo = _Grpo(out)
    while True:
        try:
            match place.pipe.receive():
                case TrainSft() as command:
                    place.pass_on(command)
                    _do_sft(command, out, place)
                case TrainGrpo() as command:
                    place.pass_on(command)
                    grpo.do(command, place)
                case TakeCheckpoint():
                    pass  # it came after the last step, and all is published
        except SimiaError as error:
            if arguments.launched:
                fail_together(place.processes, place.pipe, error)
            place.pipe.fail(error)
            return


if __name__ == "__main__":
    main()
