"""Regenerate what the docs show of the program: commands, settings, screenshots and curves.

`make docs` runs it. Screenshots and curves are of a real GRPO run on the embedded default; `--text`
leaves them as they are.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio
from simia_tui.app import Dashboard
from simia_tui.widgets.plot import Plot
from textual.pilot import Pilot

import simia_async
from simia_async.cli.curves_svg import write_svg
from simia_async.config.document import explain, summary
from simia_async.config.fields import fields_of, sections_of
from simia_async.config.settings import KINDS, SHARED

DOCS = Path(__file__).parent
PICTURES = {"dashboard": "", "training": "5", "rollouts": "2", "transcript": ("enter",)}
"""Files of screenshots, and the keys that lead from each to the next."""
COMMANDS = (
    "",
    "demo",
    "generate",
    "rollout",
    "show",
    "judge",
    "meter luck",
    "export",
    "report",
    "env init",
    "env check",
    "env list",
    "env import-tau2",
    "tasks synthesize",
    "train sft",
    "train rl",
    "eval",
    "eval tau2",
    "meter fidelity",
    "meter judge",
    "policy serve",
    "serve",
    "submit",
    "scripted-server",
    "config show",
    "config check",
    "config init",
    "runs list",
    "runs show",
    "runs check",
    "runs upgrade",
    "runs compact",
    "runs delete",
    "runs stop",
    "runs pause",
    "runs resume",
    "runs concurrency",
    "runs cancel",
    "runs checkpoint",
    "runs rejudge",
)


def command_reference() -> str:
    """Every command's help, as it prints it."""
    parts = ["# Command reference\n\nWritten by `make docs` from the program itself.\n"]
    for command in COMMANDS:
        run = [sys.executable, "-c", "from simia_async.cli.main import main; main()"]
        done = subprocess.run(  # noqa: S603
            [*run, *command.split(), "--help"],
            env={**os.environ, "TERM": "dumb", "COLUMNS": "92", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        usage = done.stdout.replace("-c ", "simia ", 1)
        lines = "\n".join(line.rstrip() for line in usage.strip().splitlines())
        parts.append(f"## simia {command}".rstrip() + f"\n\n```\n{lines}\n```\n")
    return "\n".join(parts)


def config_reference() -> str:
    """Every setting, from the Structs that declare them."""
    parts = [
        "# Settings\n\nWritten by `make docs` from the program itself. How they are given: "
        "[configure](../howto/configure.md).\n"
    ]
    for name, settings in (*KINDS.items(), *SHARED.items()):
        takes = ", ".join(f"[`[{section}]`](#{section})" for section in sections_of(settings))
        also = f" It takes {takes} too." if takes else ""
        parts.append(
            f"## {name}\n\n`[{name}]`, `SIMIA_{name.upper()}_…`: {summary(settings)}{also}\n"
        )
        parts.append("| key | flag | default | |\n|---|---|---|---|")
        parts += [
            f"| `{field.name}` | `{field.flag}` | {field.default_words} | {explain(field)} |"
            for field in fields_of(settings)
        ]
        parts.append("")
    return "\n".join(parts)


async def train(directory: Path) -> Path:
    """A run of GRPO after SFT, each with its defaults."""
    tuned = await simia_async.train_sft(run=directory / "sft.db")
    run = directory / "rl.db"
    steps = simia_async.train_rl(run=run, adapter=str(tuned.adapter), eval_every=4)
    async for step in steps:
        print(f"step {step.step}: reward {step.reward_mean}")
    return run


async def pictures(run: Path) -> dict[str, str]:
    """The dashboard on a run, as SVG, by the name of the file."""
    taken = {}
    async with Dashboard(run).run_test(size=(110, 36)) as pilot:
        while not any(plot.display for plot in pilot.app.query(Plot)):
            await pilot.pause(0.05)
        for name, keys in PICTURES.items():
            await pilot.press(*keys)
            taken[name] = await settled(pilot)
    return taken


async def settled(pilot: Pilot[Any]) -> str:
    """The screen, once it stays the same."""
    last, same = "", 0
    while same < 5:
        await pilot.pause(0.1)
        shown = pilot.app.export_screenshot(title="simia-tui runs/rl.db")
        same, last = (same + 1 if shown == last else 0), shown
    return last


def main() -> None:
    """Write the files."""
    (DOCS / "reference" / "cli.md").write_text(command_reference())
    (DOCS / "reference" / "config.md").write_text(config_reference())
    if "--text" in sys.argv:
        return
    with tempfile.TemporaryDirectory() as directory:
        run = anyio.run(train, Path(directory))
        write_svg(run, DOCS / "curves.svg")
        with contextlib.chdir(run.parent):  # so that the picture shows a short path
            taken = anyio.run(pictures, Path(run.name))
    for name, svg in taken.items():
        (DOCS / f"{name}.svg").write_text(svg)


if __name__ == "__main__":
    main()
