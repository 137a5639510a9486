"""What to do where a loss or a gradient is not finite: nothing is learnt, and the cause is kept."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from simia_async.errors import UsageError
from simia_async.training.processes import ALONE, Processes


@contextmanager
def keep_offending(
    out: Path,
    step: int,
    batches: Sequence[Sequence[msgspec.Struct]],
    processes: Processes = ALONE,
) -> Iterator[None]:
    """A `UsageError` of the block is raised with the step's number and where its `batches` are
    written down: `out`/not-finite-step-<step>.json. All `processes` come to know of it together.
    """
    try:
        yield
    except UsageError as error:
        path = out / f"not-finite-step-{step}.json"
        if processes.is_first:
            _write(path, msgspec.json.encode(batches))
        raise UsageError(f"step {step}: {error}; what it was to learn is in {path}") from error


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error
