"""Options that say where a run's measured values are shown beside its record."""

from pathlib import Path
from typing import Annotated

import typer

from simia_async.runs.trackers import TensorBoard, Tracker, WeightsAndBiases

TensorBoardDirectory = Annotated[
    Path | None,
    typer.Option(
        "--tensorboard",
        metavar="<path>",
        help="Directory for TensorBoard, one for each run. Needs the extra tensorboard.",
        show_default=False,
    ),
]
WandbProject = Annotated[
    str | None,
    typer.Option(
        "--wandb",
        metavar="<project>",
        help="Project of Weights & Biases to show the run in. Needs the extra wandb.",
        show_default=False,
    ),
]


def open_trackers(tensorboard: Path | None, wandb: str | None, database: Path) -> list[Tracker]:
    """The trackers that are asked for. Raises `UsageError` if one cannot be used."""
    trackers: list[Tracker] = []
    if tensorboard is not None:
        trackers.append(TensorBoard(tensorboard, database))
    if wandb is not None:
        trackers.append(WeightsAndBiases(wandb, database))
    return trackers
