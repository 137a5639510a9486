"""Export of what a run kept: a directory with data, dataset card and `dataset_info.json`."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from simia_store import Reader, TrajectoryRecord, TrajectoryStatus

from simia_async.errors import UsageError
from simia_async.formats import Conversation, hermes, llama3, openai, sharegpt
from simia_async.formats.parquet import write_parquet
from simia_async.formats.refusals import NotWritable
from simia_async.messages import Message
from simia_async.synthesis.dataset_card import TAG, dataset_card
from simia_async.synthesis.dataset_info import dataset_info
from simia_async.synthesis.export_format import Exported, ExportFormat

W = TypeVar("W")

CARD = "README.md"
INFO = "dataset_info.json"

_REASONS_TOLD = 5

_WRITERS: dict[ExportFormat, Callable[[Conversation], dict[str, Any]]] = {
    ExportFormat.OPENAI: openai.write,
    ExportFormat.HERMES: hermes.write,
    ExportFormat.SHAREGPT: sharegpt.write,
    ExportFormat.LLAMA3: llama3.write,
}


def export(
    run: Path,
    out: Path,
    format: ExportFormat = ExportFormat.OPENAI,  # noqa: A002
) -> Exported:
    """Write every kept trajectory of `run` into the directory `out`, one at a time.

    Each file appears whole or not at all; other files of the directory stay. A trajectory that the
    format cannot hold is left out and told. Raises `StoreError` for a bad run, `UsageError` if
    there is nothing to export or the place cannot be written.
    """
    exported = Exported(ExportFormat(format))
    with Reader(run) as reader:
        if not any(o.status is TrajectoryStatus.KEPT for o in reader.outcomes()):
            raise UsageError(f"{run}: kept no trajectory; there is nothing to export")
        with _appearing(out, (INFO, CARD, exported.format.file_name)) as (info, card, data):
            _write_data(reader, data, exported)
            if not exported.count:
                raise UsageError(
                    f"{run}: {exported.format} holds none of its {exported.left_out} kept "
                    f"trajectories: {exported.reasons[0]}"
                )
            entry = dataset_info(reader.environment().name, exported.format)
            info.write_bytes(msgspec.json.format(msgspec.json.encode(entry), indent=2) + b"\n")
            card.write_text(dataset_card(reader, exported), encoding="utf-8")
    return exported


@contextlib.contextmanager
def _appearing(out: Path, names: tuple[str, ...]) -> Iterator[list[Path]]:
    """Paths to write to, which get their `names` in the directory `out` if all goes well."""
    _check_place(out, names)
    made = [directory for directory in (out, *out.parents) if not directory.exists()]
    partial = [out / f"{name}.partial" for name in names]
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield partial
        for path, name in zip(partial, names, strict=True):
            os.replace(path, out / name)
    except OSError as error:
        raise UsageError(f"{out}: cannot be written: {error.strerror or error}") from error
    finally:
        for path in partial:
            with contextlib.suppress(OSError):
                path.unlink()
        for directory in made:
            with contextlib.suppress(OSError):  # it is not empty if all went well
                directory.rmdir()


def _check_place(out: Path, names: tuple[str, ...]) -> None:
    if _is_database(out):
        raise UsageError(f"{out}: is a run database; name a directory to export to")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; name a directory to export to")
    for name in names:
        if (out / name).is_dir():
            raise UsageError(f"{out / name}: is a directory; export to another place")
    ours = _is_our_card(out / CARD)
    for name in (CARD, INFO):
        if not ours and (out / name).exists():
            raise UsageError(f"{out / name}: was not written by an export; export to another place")


def _is_database(path: Path) -> bool:
    with contextlib.suppress(OSError), path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\x00"
    return False


def _is_our_card(path: Path) -> bool:
    with contextlib.suppress(OSError), path.open("rb") as file:
        return TAG.encode() in file.read(4096).splitlines()
    return False


def _write_data(reader: Reader, path: Path, exported: Exported) -> None:
    kept = _kept(reader)
    if exported.format is ExportFormat.PARQUET:
        write_parquet(path, _written(kept, lambda conversation: conversation, exported))
        return
    with path.open("wb") as file:
        encoder = msgspec.json.Encoder()
        for line in _written(kept, _WRITERS[exported.format], exported):
            file.write(encoder.encode(line) + b"\n")


def _kept(reader: Reader) -> Iterator[tuple[TrajectoryRecord, Conversation]]:
    environment = reader.environment()
    run = reader.run()
    prefix = f"{run.id}:" if run else ""
    system = [Message("system", environment.policy)] if environment.policy else []
    for trajectory in reader.trajectories(status=TrajectoryStatus.KEPT):
        turns = reader.turns(trajectory.id)
        messages = [*system, *(msgspec.convert(turn.message, Message) for turn in turns)]
        name = f"{prefix}{trajectory.id}"
        yield trajectory, Conversation(messages, environment.tools, name, trajectory.reward)


def _written(
    kept: Iterable[tuple[TrajectoryRecord, Conversation]],
    write: Callable[[Conversation], W],
    exported: Exported,
) -> Iterator[W]:
    """What `write` makes of each; counts it, and those that it refuses."""
    for trajectory, conversation in kept:
        try:
            line = write(conversation)
        except NotWritable as error:
            exported.left_out += 1
            exported.reasons = [*exported.reasons, str(error)][:_REASONS_TOLD]
            continue
        exported.count += 1
        exported.repairs.update({each["rule"] for each in trajectory.detail.get("repairs", ())})
        exported.end_with_observation += conversation.messages[-1].role == "tool"
        yield line
