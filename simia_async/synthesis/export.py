"""Export of what a run kept, as JSON lines in OpenAI chat format."""

import contextlib
import os
from pathlib import Path

import msgspec
from simia_store import Reader, TrajectoryStatus

from simia_async.errors import UsageError


def export_jsonl(run: Path, out: Path) -> int:
    """Write `{"messages": …, "tools": …}` a kept trajectory; return how many.

    The file appears whole or not at all. Raises `StoreError` for a bad run and `UsageError` if
    there is nothing to export or the place cannot be written.
    """
    if out.exists() and _is_database(out):
        raise UsageError(f"{out}: is a run database; name another file to export to")
    partial = out.with_name(out.name + ".partial")
    encoder = msgspec.json.Encoder()
    count = 0
    with Reader(run) as reader:
        environment = reader.environment()
        system = {"role": "system", "content": environment.policy}
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                for trajectory in reader.trajectories(status=TrajectoryStatus.KEPT):
                    messages = [system, *(t.message for t in reader.turns(trajectory.id))]
                    line = {"messages": messages, "tools": environment.tools}
                    file.write(encoder.encode(line) + b"\n")
                    count += 1
            if count:
                os.replace(partial, out)
        except OSError as error:
            raise UsageError(f"{out}: cannot be written: {error.strerror}") from error
        finally:
            with contextlib.suppress(OSError):
                partial.unlink()
    if not count:
        raise UsageError(f"{run}: kept no trajectory; there is nothing to export")
    return count


def _is_database(path: Path) -> bool:
    with contextlib.suppress(OSError), path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\x00"
    return False
