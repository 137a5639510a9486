"""`simia policy serve`."""

import os
from pathlib import Path
from typing import Annotated

import anyio
import typer

from simia_async.cli.output import report, run, show
from simia_async.config import TINY
from simia_async.models import check_adapter, model_directory, policy_name
from simia_async.rendering.renderer import Renderer
from simia_async.supervision.service import run_service

app = typer.Typer(no_args_is_help=True, help="The policy as an endpoint.")


@app.callback()
def _policy() -> None:
    """The policy as an endpoint."""


def _thread_flags(threads: int | None) -> list[str]:
    """An endpoint that stands alone has every CPU, unless its environment says otherwise."""
    if threads is None and os.environ.get("OMP_NUM_THREADS"):
        return []
    return ["--threads", str(threads or 0)]


@app.command()
def serve(
    model: Annotated[str, typer.Option(help="The tiny base, or a model directory.")] = TINY,
    adapter: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="<path>",
            help="A LoRA adapter: the first is policy@1, and so on; repeatable.",
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="0 picks one.")] = 8700,
    host: Annotated[
        str, typer.Option(help="Beyond loopback only together with --api-key-env.")
    ] = "127.0.0.1",
    api_key_env: Annotated[
        str, typer.Option(help="Environment variable with the key that clients must send.")
    ] = "",
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="CPU threads of the model. Default: OMP_NUM_THREADS, or one for each CPU. "
            "Fewer where other processes compute too.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """An OpenAI-compatible endpoint of a model and its adapters. policy@0 is the base.

    Ctrl-C ends it.
    """

    async def main() -> None:
        directory = model_directory(model)
        Renderer(directory)  # says what is wrong with the model before anything is started
        paths = [check_adapter(path) for path in adapter or ()]
        named = [f"{policy_name(number)}={path}" for number, path in enumerate(paths, 1)]
        flags = ["--host", host, "--api-key-env", api_key_env]
        flags += ["--model", str(directory), *_thread_flags(threads)]
        flags += [part for name in named for part in ("--adapter", name)]
        async with run_service(
            "policy engine", "simia_async.inference.server", report, lambda: flags, port
        ) as service:
            shown = f"[{host}]" if ":" in host else host
            show("endpoint", f"http://{shown}:{service.port}/v1")
            show("models", ", ".join(policy_name(number) for number in range(len(paths) + 1)))
            await anyio.sleep_forever()

    run(main)
