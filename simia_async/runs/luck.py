"""The meter of luck: rollouts replayed action for action, in worlds that are asked anew.

The policy and the user of a replay say what was recorded; only the tools are asked again, in a
world without the facts of the rollout's group, and the judge judges each replay, several times.
Where the world answers otherwise than it did, the recorded actions go on all the same, whether they
still make sense or not: a policy cannot know what the world will say, so that is luck as well.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio.to_thread
import msgspec
from simia_store import Reader

from simia_async.clients import ChatClient
from simia_async.config import LuckConfig, PlayConfig, RolloutConfig
from simia_async.environments import Task
from simia_async.errors import UsageError
from simia_async.runs.luck_playback import RecordedPolicy
from simia_async.runs.luck_recordings import as_played, in_rounds, read_recordings
from simia_async.runs.luck_replays import LuckProgress, Replays
from simia_async.runs.luck_result import LuckResult
from simia_async.runs.plot import read_plot
from simia_async.runs.policies import PolicyHost
from simia_async.runs.rollout import run_rollouts
from simia_async.runs.spending import already_spent
from simia_async.runs.stage import open_stage
from simia_async.supervision.service import Report


class _LuckRun(LuckConfig, frozen=True, kw_only=True):
    """What the record keeps of the settings."""

    rollouts: str = ""


async def run_luck(
    config: LuckConfig,
    path: Path,
    *,
    rollouts: Path | None = None,
    tasks: Sequence[Task] | None = None,
    report: Report,
    on_progress: Callable[[LuckProgress], None] = lambda _: None,
) -> LuckResult:
    """Replay the rollouts of the run at `rollouts`, or of one that is played first, beside `path`,
    on `tasks` or on those that the settings name. A run that was cut off goes on.

    Raises `UsageError`, `StoreError`, `EndpointError`, `ChildFailed`, or `BudgetSpent` if nothing
    could be told within the budget; what was committed stays.
    """
    await anyio.to_thread.run_sync(_check_place, path)
    source = rollouts or played_beside(path)
    is_own = source == played_beside(path)
    if is_own:
        await _play_first(config, source, tasks, report, on_progress)
    config = await anyio.to_thread.run_sync(as_played, config, source)
    recordings, unended = await anyio.to_thread.run_sync(
        read_recordings, source, config.tasks, config.group_size
    )
    if unended:
        report(f"{source}: {unended} rollouts did not come to an end and are not replayed")
    distinct = list({each.task.id: each.task for each in recordings}.values())
    read = partial(read_plot, config, len(distinct), config.split, tasks=distinct)
    plot = await anyio.to_thread.run_sync(read)
    settings = _LuckRun(**msgspec.structs.asdict(config), rollouts=str(source))
    plan = in_rounds(recordings, config.replays)
    async with open_stage(
        "luck",
        settings,
        path,
        plot.environment,
        plot.rubric,
        adapters={},
        units=len(plan),
        report=report,
        may_continue=True,
        connect=_nobody,
    ) as stage:
        if is_own:
            stage.spending.charge_earlier(await anyio.to_thread.run_sync(already_spent, source))
        return await Replays(config, plot, plan, source, stage, report, on_progress).run()


def _check_place(path: Path) -> None:
    """Raise `UsageError` if another run is at `path`, before anything is played beside it."""
    if not path.exists():
        return
    with Reader(path) as reader:
        run = reader.run()
    if run is not None and run.kind != "luck":
        raise UsageError(
            f"{path}: holds a run of kind {run.kind} already; name another database with --run, "
            "and one whose rollouts are to be replayed with --rollouts"
        )


def played_beside(path: Path) -> Path:
    """Where the rollouts are played that the run at `path` replays, if none were named."""
    return path.with_name(f"{path.stem}-rollouts.db")


async def _play_first(
    config: LuckConfig,
    path: Path,
    tasks: Sequence[Task] | None,
    report: Report,
    on_progress: Callable[[LuckProgress], None],
) -> None:
    shared = set(RolloutConfig.__struct_fields__) & set(LuckConfig.__struct_fields__)
    playing = RolloutConfig(**{name: getattr(config, name) for name in shared})
    await run_rollouts(
        playing,
        path,
        tasks=tasks,
        report=report,
        on_progress=lambda p: on_progress(LuckProgress("playing", p.done, p.wanted, p.spending)),
    )


@asynccontextmanager
async def _nobody(
    config: PlayConfig,  # noqa: ARG001
    adapters: dict[int, Path],  # noqa: ARG001
    simulator: ChatClient,
    report: Report,  # noqa: ARG001
) -> AsyncIterator[PolicyHost]:
    """No policy: what it says is recorded."""
    yield PolicyHost(simulator, lambda _, __: RecordedPolicy([]), {})
