"""What SFT learns from where no run is named: `mini-retail`, re-told by the scripted simulator."""

from collections.abc import Callable
from pathlib import Path

import anyio.to_thread

from simia_async.config import GenerateConfig, SftConfig
from simia_async.runs.generate import GenerateProgress, run_generate
from simia_async.runs.sft import check_sft
from simia_async.supervision.service import Report

DEMO_TRAJECTORIES = 192


async def make_demo_data(
    sft: SftConfig,
    run: Path,
    adapters: Path,
    *,
    report: Report,
    on_progress: Callable[[GenerateProgress], None] = lambda _: None,
) -> Path:
    """A generate run beside the SFT run at `run`; its database. It goes on if it was cut off.

    Raises what `run_generate` does, and before anything is made what that SFT run would.
    """
    await anyio.to_thread.run_sync(check_sft, sft, run, adapters)
    path = run.with_name(f"{run.stem}-data.db")
    config = GenerateConfig(n=DEMO_TRAJECTORIES)
    await run_generate(config, path, report=report, on_progress=on_progress)
    return path
