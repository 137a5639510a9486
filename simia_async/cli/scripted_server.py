"""`simia scripted-server`."""

from pathlib import Path
from typing import Annotated

import anyio
import typer

from simia_async.builtin.server.completions import ShowReasoning
from simia_async.builtin.server.options import ServerOptions
from simia_async.builtin.server.scripted import ScriptedServer
from simia_async.cli.output import run, show


def scripted_server(
    port: Annotated[int, typer.Option(help="0 picks one.")] = 8080,
    host: Annotated[
        str, typer.Option(help="Beyond loopback only together with --api-key-env.")
    ] = "127.0.0.1",
    latency: Annotated[
        str,
        typer.Option(
            help="none, fixed:S, uniform:A,B, lognormal:MEAN,SIGMA or exponential:MEAN; seconds."
        ),
    ] = "none",
    rpm: Annotated[float | None, typer.Option(help="Requests a minute. Default: no limit.")] = None,
    tpm: Annotated[float | None, typer.Option(help="Tokens a minute. Default: no limit.")] = None,
    burst_s: Annotated[
        float, typer.Option(help="Seconds' worth of --rpm and --tpm that pass at once.")
    ] = 1.0,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="<text>", help="NAME=SHARE, such as rate_limit=0.2 or hang=0.01; repeatable."
        ),
    ] = None,
    wrong_observations: Annotated[
        float, typer.Option(help="Share of what the simulator's tools return that is untrue.")
    ] = 0.0,
    flipped_judgements: Annotated[
        float, typer.Option(help="Share of the simulator's judgements that are turned round.")
    ] = 0.0,
    retry_after_s: Annotated[float, typer.Option(help="What the fault rate_limit asks for.")] = 1.0,
    slow_body_s: Annotated[float, typer.Option(help="How long the fault slow_body takes.")] = 1.0,
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything random.")] = 0,
    log: Annotated[Path | None, typer.Option(help="Write a JSON line a request to it.")] = None,
    log_bodies: Annotated[bool, typer.Option(help="Whether what was asked is in the log.")] = True,
    api_key_env: Annotated[
        str, typer.Option(help="Environment variable with the key that clients must send.")
    ] = "",
    reasoning_model: Annotated[
        bool,
        typer.Option(
            "--reasoning-model", help="Refuse max_tokens and temperature, as reasoning models do."
        ),
    ] = False,
    show_reasoning: Annotated[
        str | None, typer.Option(help="Show reasoning: reasoning_content or think.")
    ] = None,
) -> None:
    """An OpenAI-compatible endpoint to test against. Rule-based, not an LLM.

    Ctrl-C ends it.
    """
    options = ServerOptions(
        latency=latency,
        rpm=rpm,
        tpm=tpm,
        burst_s=burst_s,
        fault=tuple(fault or ()),
        wrong_observations=wrong_observations,
        flipped_judgements=flipped_judgements,
        retry_after_s=retry_after_s,
        slow_body_s=slow_body_s,
        seed=seed,
        log=str(log or ""),
        log_bodies=log_bodies,
        api_key_env=api_key_env,
        reasoning_model=reasoning_model,
        show_reasoning=_shown(show_reasoning),
    )

    async def main() -> None:
        server = options.apply_to(ScriptedServer)
        await server.start(host, port)
        try:
            show("endpoint", server.base_url)
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await server.stop()

    run(main)


def _shown(name: str | None) -> ShowReasoning | None:
    match name:
        case None | "reasoning_content" | "think":
            return name
    raise typer.BadParameter("--show-reasoning is reasoning_content or think")
