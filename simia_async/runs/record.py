"""The record of a run, from its first line to its last."""

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import anyio
import anyio.to_thread
import msgspec
from simia_store import Reader, RunRecord, RunStatus, Store, open_store

from simia_async.config import (
    AgreementConfig,
    FidelityConfig,
    PlayConfig,
    RolloutConfig,
    RunKind,
    SeedsConfig,
    SftConfig,
    Tau2Config,
)
from simia_async.errors import RunStopped, UsageError, single_error
from simia_async.runs.obedience import Commands, last_answers, obey

SERVED_FILE, JOB_FILE = "run.db", "job.json"
"""Of a run that a server does, in a directory of its own: the database, and what was submitted."""


def run_name(path: Path) -> str:
    """What people call the run at `path`: its file, or its directory where a server named that."""
    is_served = path.name == SERVED_FILE and path.with_name(JOB_FILE).exists()
    return path.parent.name if is_served else path.name


def default_path(kind: RunKind) -> Path:
    """Where a run goes that was given no place: `runs/<kind>-<time>.db`."""
    return Path("runs") / f"{kind}-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:4]}.db"


@asynccontextmanager
async def record_run(
    path: Path,
    kind: RunKind,
    config: SeedsConfig
    | PlayConfig
    | RolloutConfig
    | SftConfig
    | Tau2Config
    | FidelityConfig
    | AgreementConfig,
    *,
    may_continue: bool = False,
    commands: Commands = MappingProxyType({}),
) -> AsyncIterator[Store]:
    """Own the database at `path` and write the run's beginning and end. Meanwhile do as `commands`
    say what others ask for.

    With `may_continue`, a run of the same configuration goes on. Raises `UsageError` if there is
    another run at `path` already, and `RunStopped` if another process asks for the run's end.
    """
    # As they will be read back: JSON knows no tuples.
    settings = msgspec.json.decode(msgspec.json.encode(config))
    with single_error():
        async with open_store(path, durable=config.store.durable) as store:
            before = await anyio.to_thread.run_sync(_earlier_run, path)
            if before is not None and not (
                may_continue
                and before.kind == kind
                and _shapes_data(before.config, config) == _shapes_data(settings, config)
            ):
                raise UsageError(
                    f"{path}: holds a run of kind {before.kind} already"
                    + (", with other settings" if before.kind == kind and may_continue else "")
                    + "; name another database with --run"
                )
            run = before or RunRecord(uuid.uuid4().hex, kind, settings)
            run = msgspec.structs.replace(
                run, config=settings, status=RunStatus.RUNNING, reason=None, finished_at=None
            )
            await store.append(run)
            try:
                async with obey(store, commands):
                    yield store
            except BaseException as error:
                cause = _cause(error)
                stopped = isinstance(cause, RunStopped | anyio.get_cancelled_exc_class())
                status = RunStatus.STOPPED if stopped else RunStatus.FAILED
                await _end(store, run, status, _why(cause))
                raise
            await _end(store, run, RunStatus.DONE, None)


async def _end(store: Store, run: RunRecord, status: RunStatus, reason: str | None) -> None:
    """The run's last line, and with it the answers that others wait for."""
    with anyio.CancelScope(shield=True):
        run = msgspec.structs.replace(run, status=status, reason=reason, finished_at=time.time())
        await store.append(run, *last_answers(await store.waiting_commands(), status))


_MAY_CHANGE = (
    *("n", "tasks", "concurrency", "workers", "ray", "launch", "keep", "budget", "store"),
    *("steps", "eval_every", "eval_tasks", "stop_on_collapse", "baseline", "replays"),
    *("calls", "conversations"),
)


def _shapes_data(settings: dict[str, Any], config: msgspec.Struct) -> dict[str, Any]:
    """The settings without those that may change when a run goes on: how many are wanted and at
    once, and in which processes; where, how hard, with which key and at what price models are
    asked; what may be spent; how the record is written. What an earlier version did not know stands
    at its default.
    """
    defaults = msgspec.json.decode(msgspec.json.encode(type(config)()))
    known = {**defaults, **settings}
    models = {
        name: {"model": value.get("model"), "calls": value.get("calls")}
        for name, value in known.items()
        if isinstance(value, dict) and "model" in value
    }
    return {**known, **models, **dict.fromkeys(_MAY_CHANGE)}


def _cause(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _why(error: BaseException) -> str:
    if isinstance(error, anyio.get_cancelled_exc_class()):
        return "stopped from outside"
    return str(error) or type(error).__name__


def _earlier_run(path: Path) -> RunRecord | None:
    with Reader(path) as reader:
        return reader.run()
