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
from simia_async.messages import Message, messages_for_policy
from simia_async.synthesis.card_signature import signed, signed_format
from simia_async.synthesis.dataset_card import dataset_card
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

    Each file appears whole or not at all. An earlier export in the same format is replaced; every
    other file of the directory stays. A trajectory that the format cannot hold is left out and
    told. Raises `StoreError` for a bad run, `UsageError` if there is nothing to export, the place
    cannot be written or something else would be lost.
    """
    exported = Exported(ExportFormat(format))
    with Reader(run) as reader:
        if not any(o.status is TrajectoryStatus.KEPT for o in reader.outcomes()):
            raise UsageError(f"{run}: kept no trajectory; there is nothing to export")
        with _appearing(out, exported.format) as (card, info, data):
            _write_data(reader, data, exported)
            if not exported.count:
                raise UsageError(
                    f"{run}: {exported.format} holds none of its {exported.left_out} kept "
                    f"trajectories: {exported.reasons[0]}"
                )
            entry = dataset_info(reader.environment().name, exported.format)
            info.write_bytes(msgspec.json.format(msgspec.json.encode(entry), indent=2) + b"\n")
            text = signed(dataset_card(reader, exported), exported.format)
            card.write_text(text, encoding="utf-8")
    return exported


@contextlib.contextmanager
def _appearing(out: Path, format: ExportFormat) -> Iterator[list[Path]]:  # noqa: A002
    """Paths to write to, which get their names in the directory `out` if all goes well.

    The card comes first: beside it the others can be replaced if this is killed in between.
    """
    names = (CARD, INFO, format.file_name)
    _check_place(out, names, format)
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


def _check_place(
    out: Path,
    names: Iterable[str],
    format: ExportFormat,  # noqa: A002
) -> None:
    if _is_database(out):
        raise UsageError(f"{out}: is a run database; name a directory to export to")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; name a directory to export to")
    for name in names:
        if (out / name).is_dir():
            raise UsageError(f"{out / name}: is a directory; export to another place")
    before = _format_before(out / CARD)
    for name in names:
        if before is None and (out / name).exists():
            edited = ", or was edited since" if name == CARD else ""
            raise UsageError(
                f"{out / name}: was not written by an export{edited}; export to another place"
            )
    if before not in (None, format):
        raise UsageError(
            f"{out}: holds an export as {before}; name another directory to export as {format}"
        )


def _format_before(card: Path) -> ExportFormat | None:
    """The format of the export that a card is of; None if it is none of ours, or was edited."""
    with (
        contextlib.suppress(OSError, UnicodeError),
        card.open(encoding="utf-8", newline="") as file,
    ):
        return signed_format(file.read())
    return None


def _is_database(path: Path) -> bool:
    with contextlib.suppress(OSError), path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\x00"
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
        messages = [*system, *messages_for_policy(reader.turns(trajectory.id))]
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
