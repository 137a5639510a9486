"""The trainer process: does what the owner's frames say, and reports over the pipe."""

import argparse
from pathlib import Path

import msgspec

from simia_async.config import GrpoConfig, SftConfig
from simia_async.errors import SimiaError
from simia_async.supervision.child import OwnerPipe
from simia_async.supervision.frames import Metrics, Published, SftDone, TrainGrpo, TrainSft
from simia_async.training.grpo import GrpoTrainer
from simia_async.training.sft import train_sft


def _do_sft(command: TrainSft, out: Path, pipe: OwnerPipe) -> None:
    config = msgspec.convert(command.config, SftConfig)
    trained = train_sft(config, [Path(run) for run in command.data], out, pipe.send)
    for adapter in {each.version: each for each in (trained.best, trained.last)}.values():
        pipe.send(Published(adapter.version, str(adapter.path), None, adapter.step))
    pipe.send(SftDone(trained.best.version, trained.last.version, trained.steps))


class _Grpo:
    """The GRPO trainer, made at the first command and kept."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._trainer: GrpoTrainer | None = None

    def do(self, command: TrainGrpo, pipe: OwnerPipe) -> None:
        if self._trainer is None:
            config = msgspec.convert(command.config, GrpoConfig)
            began = Path(command.resume_from) if command.resume_from else None
            self._trainer = GrpoTrainer(config, self._out, began)
        values = self._trainer.step(Path(command.data), command.step, command.version)
        pipe.send(Metrics(command.step, values))
        path, parent = self._trainer.publish(command.version)
        pipe.send(Published(command.version, str(path), parent, command.step))


def main() -> None:
    """Serve commands until the owner is gone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="directory of the adapters")
    out: Path = parser.parse_args().out
    pipe = OwnerPipe()
    grpo = _Grpo(out)
    while True:
        try:
            match pipe.receive():
                case TrainSft() as command:
                    _do_sft(command, out, pipe)
                case TrainGrpo() as command:
                    grpo.do(command, pipe)
        except SimiaError as error:
            pipe.fail(error)
            return


if __name__ == "__main__":
    main()
