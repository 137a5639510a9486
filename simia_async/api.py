"""The functions of `import simia_async`: what the `simia` command does, for scripts.

Each takes the fields of its configuration as keywords, and where the run's database goes. What no
keyword says, `SIMIA_*` variables and the settings file do (SIMIA_CONFIG, or `simia.toml` in the
working directory), as for the command. A section is given whole, `simulator=Endpoint(…)`, or in
part, `simulator={"max_in_flight": 8}`. All raise `SimiaError`s
(`simia_async.errors`) with one sentence that says what is wrong.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

from simia_async.config import (
    EvalConfig,
    GenerateConfig,
    GrpoConfig,
    JudgeConfig,
    LuckConfig,
    RolloutConfig,
    SftConfig,
    configure,
    keywords_layer,
)
from simia_async.environments import Environment, Task
from simia_async.environments.environment import place_of
from simia_async.runs.demo_data import make_demo_data
from simia_async.runs.evaluate import EvalResult, run_evaluate
from simia_async.runs.generate import GenerateResult, KeptTrajectory, run_generate
from simia_async.runs.judge import JudgeResult, run_judge
from simia_async.runs.luck import run_luck
from simia_async.runs.luck_result import LuckResult
from simia_async.runs.record import default_path
from simia_async.runs.rl import run_rl
from simia_async.runs.rl_loop import RlStep
from simia_async.runs.rollout import PlayedGroup, run_rollouts
from simia_async.runs.sft import SftResult, run_sft

Report = Callable[[str], None]

_STREAM_AHEAD = 64
"""Items that a stream holds for its reader."""

Item = TypeVar("Item")


def _ignore(_: str) -> None: ...


async def generate(
    *, run: str | Path | None = None, report: Report = _ignore, **settings: Any
) -> GenerateResult:
    """Amplify seeds into kept trajectories.

    `settings` are those of `GenerateConfig`; with none, 64 trajectories from the seeds of
    `mini-retail` by the embedded scripted simulator. `run` is the database, by default
    `runs/generate-<time>.db`. `report` hears of children that died and were started again.
    """
    config = configure(GenerateConfig, keywords_layer(GenerateConfig, settings))
    return await run_generate(config, _place(run) or default_path("generate"), report=report)


async def generate_stream(
    *, run: str | Path | None = None, report: Report = _ignore, **settings: Any
) -> AsyncGenerator[KeptTrajectory]:
    """The kept trajectories of `generate`, each as soon as it is kept, in the order of their ids.

    A slow reader slows the run down: few are made ahead. Leaving the loop ends the run as a signal
    would, when the generator is closed (`contextlib.aclosing`); the same call goes on with it, and
    yields what it keeps from then on. Raises what `generate` raises.
    """
    config = configure(GenerateConfig, keywords_layer(GenerateConfig, settings))
    path = _place(run) or default_path("generate")

    def begin(on_kept: Callable[[KeptTrajectory], Awaitable[None]]) -> Coroutine[Any, Any, object]:
        return run_generate(config, path, report=report, on_kept=on_kept)

    async with aclosing(_streamed(begin, "generate")) as kept:
        async for trajectory in kept:
            yield trajectory


async def rollout(
    *,
    run: str | Path | None = None,
    report: Report = _ignore,
    environment: str | Environment = "mini-retail",
    tasks: int | Sequence[Task] | None = None,
    **settings: Any,
) -> AsyncGenerator[PlayedGroup]:
    """Play tasks in the simulated world; each group of rollouts as soon as all of it has ended.

    `settings` are those of `RolloutConfig`; with none, the embedded policy plays `mini-retail`.
    `environment` may be one made in Python, with functions bound to its tools, and `tasks` may be
    tasks. A slow reader slows the run down; leaving the loop ends it as in `generate_stream`, and
    the same call goes on with it.
    """
    own = environment if isinstance(environment, Environment) else None
    settings["environment"] = place_of(own) if own else environment
    given = None if tasks is None or isinstance(tasks, int) else list(tasks)
    if tasks is not None:
        settings["tasks"] = tasks if given is None else len(given)
    config = configure(RolloutConfig, keywords_layer(RolloutConfig, settings))
    path = _place(run) or default_path("rollout")

    def begin(on_group: Callable[[PlayedGroup], Awaitable[None]]) -> Coroutine[Any, Any, object]:
        return run_rollouts(
            config, path, environment=own, tasks=given, report=report, on_group=on_group
        )

    async with aclosing(_streamed(begin, "rollout")) as groups:
        async for group in groups:
            yield group


async def judge(
    run: str | Path,
    *,
    trajectories: Sequence[int] = (),
    report: Report = _ignore,
    **settings: Any,
) -> JudgeResult:
    """Judge the stored conversations of `run` once more, or only those `trajectories`: a scoring
    beside the others.

    `settings` are those of `JudgeConfig`, such as `rubric`, a TOML file.
    """
    config = configure(JudgeConfig, keywords_layer(JudgeConfig, settings))
    return await run_judge(config, Path(run), only=trajectories, report=report)


async def _streamed(
    begin: Callable[[Callable[[Item], Awaitable[None]]], Coroutine[Any, Any, object]], name: str
) -> AsyncGenerator[Item]:
    """What a run tells while it goes on; closing this ends it."""
    items: asyncio.Queue[Item] = asyncio.Queue(_STREAM_AHEAD)
    working = asyncio.create_task(begin(items.put), name=name)
    coming = asyncio.ensure_future(items.get())
    try:
        while coming.done() or not (working.done() and items.empty()):
            await asyncio.wait([working, coming], return_when=asyncio.FIRST_COMPLETED)
            if coming.done():
                yield coming.result()
                coming = asyncio.ensure_future(items.get())
    finally:
        coming.cancel()
        working.cancel()
        await asyncio.wait([working, coming])
    await working


async def train_sft(
    data: str | Path | Sequence[str | Path] | None = None,
    *,
    report: Report = _ignore,
    run: str | Path | None = None,
    out: str | Path | None = None,
    **settings: Any,
) -> SftResult:
    """LoRA SFT on the kept trajectories of the run `data`, or of several; without one, on 192 that
    are made of `mini-retail` first, in a run beside this one.

    `settings` are those of `SftConfig`. The adapter is published in the directory `out`, by
    default beside the run's database. The same call goes on with a run that was cut off.
    """
    config = configure(SftConfig, keywords_layer(SftConfig, settings))
    path = _place(run) or default_path("sft")
    adapters = adapters_directory(path, out)
    named = [data] if isinstance(data, str | Path) else data
    sources = [Path(each) for each in named or ()]
    if not sources:
        sources = [await make_demo_data(config, path, adapters, report=report)]
    return await run_sft(config, sources, path, adapters)


async def train_rl(
    *,
    run: str | Path | None = None,
    out: str | Path | None = None,
    report: Report = _ignore,
    **settings: Any,
) -> AsyncGenerator[RlStep]:
    """GRPO in the simulated world; each step as soon as it is trained and published.

    `settings` are those of `GrpoConfig`; `out` as in SFT. A slow reader slows the run down;
    leaving the loop ends it, and the same call goes on with it.
    """
    config = configure(GrpoConfig, keywords_layer(GrpoConfig, settings))
    path = _place(run) or default_path("rl")

    def begin(on_step: Callable[[RlStep], Awaitable[None]]) -> Coroutine[Any, Any, object]:
        adapters = adapters_directory(path, out)
        return run_rl(config, path, adapters, report=report, on_step=on_step)

    async with aclosing(_streamed(begin, "train_rl")) as steps:
        async for step in steps:
            yield step


async def evaluate(
    *, run: str | Path | None = None, report: Report = _ignore, **settings: Any
) -> EvalResult:
    """Held-out evaluation of the base and of adapters. `settings` are those of `EvalConfig`."""
    config = configure(EvalConfig, keywords_layer(EvalConfig, settings))
    return await run_evaluate(config, _place(run) or default_path("eval"), report=report)


async def measure_luck(
    *,
    rollouts: str | Path | None = None,
    run: str | Path | None = None,
    report: Report = _ignore,
    **settings: Any,
) -> LuckResult:
    """How much of the reward is the world's luck, by replaying the run at `rollouts`, or one that
    is played first.

    `settings` are those of `LuckConfig`. The models that they name are asked, whichever played.
    """
    config = configure(LuckConfig, keywords_layer(LuckConfig, settings))
    place = _place(run) or default_path("luck")
    return await run_luck(config, place, rollouts=_place(rollouts), report=report)


def adapters_directory(run: Path, out: str | Path | None) -> Path:
    """Where a run publishes adapters: `out`, or `<run>-adapters` beside its database."""
    return Path(out) if out else run.with_name(f"{run.stem}-adapters")


def _place(run: str | Path | None) -> Path | None:
    return Path(run) if run else None
