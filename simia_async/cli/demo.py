"""`simia demo`: generate → SFT → GRPO → held-out table, all on the embedded default."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.rule import Rule

from simia_async.cli.curves_svg import write_svg
from simia_async.cli.demo_watched import watch_demo
from simia_async.cli.evaluate import print_scores
from simia_async.cli.generate import print_result, show_progress
from simia_async.cli.output import progress_bar, report, run, stdout
from simia_async.cli.report import print_report
from simia_async.cli.train import print_rl, print_sft, print_step
from simia_async.config import EvalConfig, GenerateConfig, GrpoConfig, SftConfig
from simia_async.runs.demo_data import DEMO_TRAJECTORIES
from simia_async.runs.evaluate import run_evaluate
from simia_async.runs.generate import run_generate
from simia_async.runs.rl import run_rl
from simia_async.runs.rl_loop import RlStep
from simia_async.runs.sft import run_sft

_HELDOUT_TASKS = 60


def demo(
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Where it goes. Default: runs/demo-<time>.")
    ] = None,
    tui: Annotated[
        bool, typer.Option("--tui", help="Watch its runs in the dashboard while they go on.")
    ] = False,
) -> None:
    """The whole loop, small and real, offline.

    The world is `mini-retail` and its simulator is scripted, not an LLM; the policy is a
    1M-parameter model.
    """
    place = directory or Path("runs") / f"demo-{time.strftime('%Y%m%d-%H%M%S')}"
    if tui:
        watch_demo(place)
        return
    started = time.monotonic()
    run(lambda: _demo(place))
    for name in ("generate", "rl"):
        stdout.print(Rule(f"report: {name}"))
        print_report(place / f"{name}.db")
    write_svg(place / "rl.db", place / "curves.svg")
    stdout.print(
        f"\nDone in {time.monotonic() - started:.0f} s. The simulator was scripted and the policy "
        "tiny: what the table shows was learnt in this small world.\n"
        f"Everything is in {place}; look at it with: simia-tui {place}/rl.db\n"
        f"The curves of GRPO as a picture: {place}/curves.svg",
        soft_wrap=True,
        highlight=False,
    )


async def _demo(place: Path) -> None:
    stdout.print(Rule("1. generate: a few seeds in, many trajectories out"))
    generated = GenerateConfig(n=DEMO_TRAJECTORIES)
    with progress_bar("generate") as bar:
        result = await run_generate(
            generated,
            place / "generate.db",
            report=report,
            on_progress=lambda p: show_progress(bar, p),
        )
    print_result(result, generated.n)

    stdout.print(Rule("2. train sft: LoRA on what was kept"))
    with progress_bar("train sft") as bar:
        tuned = await run_sft(
            SftConfig(),
            [place / "generate.db"],
            place / "sft.db",
            place / "sft-adapters",
            on_metrics=lambda m: bar.update(
                m.step, round(m.step / m.values["progress"]), f"loss {m.values['loss']:.4f}"
            ),
        )
    print_sft(tuned)

    stdout.print(Rule("3. train rl: GRPO in the simulated world"))
    with progress_bar("train rl") as bar:

        async def tell(step: RlStep) -> None:
            print_step(step)

        trained = await run_rl(
            GrpoConfig(adapter=str(tuned.adapter)),
            place / "rl.db",
            place / "rl-adapters",
            report=report,
            on_progress=lambda p: bar.update(p.rollouts_done, p.rollouts, f"step {p.step}"),
            on_step=tell,
        )
    print_rl(trained)

    stdout.print(Rule("4. eval: base, SFT and GRPO on held-out tasks"))
    with progress_bar("evaluate") as bar:
        scores = await run_evaluate(
            EvalConfig(adapters=(str(tuned.adapter), str(trained.adapter)), tasks=_HELDOUT_TASKS),
            place / "eval.db",
            report=report,
            on_progress=lambda p: bar.update(p.done, p.total, "conversations"),
        )
    print_scores(scores)
