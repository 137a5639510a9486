"""`simia train sft` and `simia train rl`."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from simia_async.api import adapters_directory
from simia_async.cli import options
from simia_async.cli.evaluate import shown
from simia_async.cli.generate import show_progress
from simia_async.cli.output import (
    AsJson,
    Bar,
    print_json,
    progress_bar,
    report,
    run,
    show,
)
from simia_async.cli.trackers import TensorBoardDirectory, WandbProject, open_trackers
from simia_async.config import GrpoConfig, SftConfig
from simia_async.runs.demo_data import make_demo_data
from simia_async.runs.record import default_path
from simia_async.runs.rl import RlResult, run_rl, stored_adapters
from simia_async.runs.rl_loop import RlProgress, RlStep
from simia_async.runs.sft import SftResult, run_sft, stored_places
from simia_async.runs.trackers import shown_in
from simia_async.supervision.frames import Metrics

app = typer.Typer(no_args_is_help=True, help="Train a LoRA adapter: supervised, or by GRPO.")


Resume = Annotated[
    Path | None,
    typer.Option(
        "--resume",
        help="Database of a run to go on with, with its settings, data and --out.",
        show_default=False,
    ),
]


@app.command()
@options.takes_settings(SftConfig, resume="resume")
def sft(
    data: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="<path>",
            help="Database of a run that kept trajectories; repeatable, each of an environment of "
            "its own. Default: one that is made of mini-retail, beside the run.",
            show_default=False,
        ),
    ] = None,
    path: options.Run = None,
    resume: Resume = None,
    out: options.Out = None,
    tensorboard: TensorBoardDirectory = None,
    wandb: WandbProject = None,
    as_json: AsJson = False,
    *,
    config: SftConfig,
) -> None:
    """LoRA fine-tuning on the kept trajectories of runs.

    Run it again on the same database, or with --resume, to go on from the last checkpoint where it
    was cut off: what comes out is the same, bit for bit.
    """

    async def main() -> SftResult:
        place = resume or path or default_path("sft")
        trackers = open_trackers(tensorboard, wandb, place)
        if resume is not None:
            sources, adapters = stored_places(resume)
            sources, adapters = data or sources, out or adapters
        else:
            adapters = adapters_directory(place, out)
            sources = data or [await _demo_data(config, place, adapters, hidden=as_json)]
        with progress_bar("train sft", hidden=as_json) as bar:
            async with shown_in(trackers, place, report):
                return await run_sft(config, sources, place, adapters, on_metrics=show_losses(bar))

    result = run(main)
    if as_json:
        print_json(result)
    else:
        print_sft(result)


def show_losses(bar: Bar) -> Callable[[Metrics], None]:
    """Tell a bar of each step: its loss, and the last one on what is held out."""
    evaluated = ""

    def show(metrics: Metrics) -> None:
        nonlocal evaluated
        values = metrics.values
        if "eval_loss" in values:
            evaluated = f", held out {values['eval_loss']:.4f}"
        total = round(metrics.step / values["progress"])
        bar.update(metrics.step, total, f"loss {values['loss']:.4f}{evaluated}")

    return show


async def _demo_data(config: SftConfig, place: Path, adapters: Path, *, hidden: bool) -> Path:
    with progress_bar("generate", hidden=hidden) as bar:
        return await make_demo_data(
            config, place, adapters, report=report, on_progress=lambda p: show_progress(bar, p)
        )


def print_sft(result: SftResult) -> None:
    """What SFT came to."""
    show("steps", f"{result.steps}, loss {result.first_loss:.4f} → {result.last_loss:.4f}")
    if result.eval_loss is not None:
        show("held out", f"loss {result.eval_loss:.4f} at best")
    show("adapter", result.adapter)
    if result.last_adapter != result.adapter:
        show("last", result.last_adapter)
    show("run", result.run)


@app.command()
@options.takes_settings(GrpoConfig, resume="resume")
def rl(
    path: options.Run = None,
    resume: Resume = None,
    out: options.Out = None,
    tensorboard: TensorBoardDirectory = None,
    wandb: WandbProject = None,
    as_json: AsJson = False,
    *,
    config: GrpoConfig,
) -> None:
    """GRPO on rollouts in the simulated world (Simia-RL).

    Run it again on the same database, or with --resume, to go on where it was cut off: no
    conversation is played and no group learnt from twice.
    """

    async def main() -> RlResult:
        place = resume or path or default_path("rl")
        trackers = open_trackers(tensorboard, wandb, place)
        adapters = out or (stored_adapters(resume) if resume else adapters_directory(place, None))
        with progress_bar("train rl", hidden=as_json) as bar:

            def show(p: RlProgress) -> None:
                bar.update(p.rollouts_done, p.rollouts, f"rollouts, step {p.step} of {p.steps}")

            async def tell(step: RlStep) -> None:
                if not as_json:
                    print_step(step)

            async with shown_in(trackers, place, report):
                return await run_rl(
                    config, place, adapters, report=report, on_progress=show, on_step=tell
                )

    result = run(main)
    if as_json:
        print_json(result)
    else:
        print_rl(result)


def print_step(step: RlStep) -> None:
    """What a step came to, with what was left out in plain sight."""
    values = step.values
    reward = "none" if step.reward_mean is None else f"{step.reward_mean:.3f}"
    counted = ", ".join(
        f"{values[name]:.0f} {why}" for name, why in _LEFT_OUT.items() if values.get(name)
    )
    solved = "/".join(
        f"{values[name]:.2f}" if name in values else "–"
        for name in ("solved_needs_action", "solved_no_action")
    )
    show(
        f"step {step.step}",
        f"reward {reward}  solved {solved}  trained on {values['trained']:.0f} of "
        f"{values['rollouts']:.0f} rollouts{f' ({counted})' if counted else ''}  loss "
        f"{step.loss:+.4f}  kl {values['kl']:.4f}  → policy@{step.policy_version}",
    )
    if values.get("audit/judged"):
        show(
            "  audit",
            f"hidden judge {values['audit/reward_mean']:.3f}, gap "
            f"{values['audit/reward_gap']:+.3f}, same side of ½ "
            f"{values['audit/agreement']:.0%} of {values['audit/judged']:.0f} rollouts",
        )
    if step.held_out:
        for score in (step.held_out.greedy, step.held_out.sampled):
            shares = f"needs action {shown(score.needs_action)}, no action {shown(score.no_action)}"
            show("  held out", f"{score.sampled}: {shares}")


_LEFT_OUT = {
    "masked": "without reward",
    "zero_variance": "in groups without variance",
    "unspoken": "without a word",
    "overflow": "too long",
    "stale": "too stale",
}
"""Why rollouts are not trained on, by the name of their count."""


def print_rl(result: RlResult) -> None:
    """Where RL's results are."""
    if result.collapsed:
        show("ended early", result.collapsed)
    if result.budget_spent:
        show("ended early", "the budget is spent")
    show("adapter", result.adapter)
    if result.best_adapter != result.adapter:
        show("best", f"{result.best_adapter} on held-out tasks")
    show("run", result.run)
