"""`simia train sft` and `simia train rl`."""

from pathlib import Path
from typing import Annotated

import typer

from simia_async.api import adapters_directory
from simia_async.cli import options
from simia_async.cli.generate import show_progress
from simia_async.cli.output import AsJson, print_json, progress_bar, report, run, show
from simia_async.config import GrpoConfig, SftConfig
from simia_async.runs.demo_data import make_demo_data
from simia_async.runs.record import default_path
from simia_async.runs.rl import RlProgress, RlResult, RlStep, run_rl
from simia_async.runs.sft import SftResult, run_sft
from simia_async.supervision.frames import Metrics

app = typer.Typer(no_args_is_help=True, help="Train a LoRA adapter: supervised, or by GRPO.")


@app.command()
@options.takes_settings(SftConfig)
def sft(
    data: Annotated[
        Path | None,
        typer.Option(
            help="Database of a run that kept trajectories. Default: one that is made of "
            "mini-retail, beside the run.",
            show_default=False,
        ),
    ] = None,
    path: options.Run = None,
    out: options.Out = None,
    as_json: AsJson = False,
    *,
    config: SftConfig,
) -> None:
    """LoRA fine-tuning on the kept trajectories of a run."""

    async def main() -> SftResult:
        place = path or default_path("sft")
        source = data or await _demo_data(place, hidden=as_json)
        with progress_bar("train sft", hidden=as_json) as bar:

            def show(metrics: Metrics) -> None:
                total = round(metrics.step / metrics.values["progress"])
                bar.update(metrics.step, total, f"loss {metrics.values['loss']:.4f}")

            adapters = adapters_directory(place, out)
            return await run_sft(config, source, place, adapters, on_metrics=show)

    result = run(main)
    if as_json:
        print_json(result)
    else:
        print_sft(result)


async def _demo_data(place: Path, *, hidden: bool) -> Path:
    with progress_bar("generate", hidden=hidden) as bar:
        return await make_demo_data(
            place, report=report, on_progress=lambda p: show_progress(bar, p)
        )


def print_sft(result: SftResult) -> None:
    """What SFT came to."""
    show("steps", f"{result.steps}, loss {result.first_loss:.4f} → {result.last_loss:.4f}")
    show("adapter", result.adapter)
    show("run", result.run)


@app.command()
@options.takes_settings(GrpoConfig)
def rl(
    path: options.Run = None,
    out: options.Out = None,
    as_json: AsJson = False,
    *,
    config: GrpoConfig,
) -> None:
    """GRPO on rollouts in the simulated world (Simia-RL)."""

    async def main() -> RlResult:
        place = path or default_path("rl")
        with progress_bar("train rl", hidden=as_json) as bar:

            def show(p: RlProgress) -> None:
                bar.update(p.rollouts_done, p.rollouts, f"rollouts, step {p.step} of {p.steps}")

            def tell(step: RlStep) -> None:
                if not as_json:
                    print_step(step)

            return await run_rl(
                config,
                place,
                adapters_directory(place, out),
                report=report,
                on_progress=show,
                on_step=tell,
            )

    result = run(main)
    if as_json:
        print_json(result)
    else:
        print_rl(result)


def print_step(step: RlStep) -> None:
    """One line a step, with what was left out in plain sight."""
    values = step.values
    reward = "none" if step.reward_mean is None else f"{step.reward_mean:.3f}"
    left_out = {
        "without reward": values["masked"],
        "in groups without variance": values["zero_variance"],
        "without a word": values["unspoken"],
    }
    counted = ", ".join(f"{count:.0f} {why}" for why, count in left_out.items())
    show(
        f"step {step.step}",
        f"reward {reward}  trained on {values['trained']:.0f} of {values['rollouts']:.0f} rollouts "
        f"({counted})  loss {values['loss']:+.4f}  kl {values['kl']:.4f}  "
        f"→ policy@{step.policy_version}",
    )


def print_rl(result: RlResult) -> None:
    """Where RL's results are."""
    show("adapter", result.adapter)
    show("run", result.run)
