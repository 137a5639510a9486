"""Options that several commands share."""

import os
from pathlib import Path
from typing import Annotated

import typer

from simia_async.config import SimulatorConfig

Env = Annotated[
    str, typer.Option("--env", help="Environment: a name of the library, or a directory.")
]
Run = Annotated[
    Path | None, typer.Option("--run", help="Database of the run. Default: runs/<kind>-<time>.db.")
]
Out = Annotated[
    Path | None, typer.Option("--out", help="Directory of adapters. Default: beside the run.")
]
Model = Annotated[
    str, typer.Option("--model", help="Base model: builtin/tiny, or a local model directory.")
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.")]
SimulatorModel = Annotated[
    str | None,
    typer.Option(
        "--simulator-model",
        help="Model that plays the world. Default: the embedded scripted simulator, no LLM.",
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        envvar="OPENAI_BASE_URL",
        help="OpenAI-compatible endpoint of --simulator-model.",
    ),
]
ApiKeyEnv = Annotated[
    str, typer.Option("--api-key-env", help="Environment variable that holds its key.")
]
MaxInFlight = Annotated[
    int, typer.Option("--max-in-flight", min=1, help="Calls to the simulator at once.")
]
Rpm = Annotated[
    float | None,
    typer.Option("--rpm", min=1, help="Requests a minute to the simulator. Default: no limit."),
]
UsdIn = Annotated[
    float | None, typer.Option("--usd-in", min=0, help="Its price of a million tokens in.")
]
UsdOut = Annotated[
    float | None, typer.Option("--usd-out", min=0, help="Its price of a million tokens out.")
]


def simulator(
    model: str | None,
    base_url: str | None,
    key_env: str,
    in_flight: int,
    rpm: float | None,
    usd_in: float | None,
    usd_out: float | None,
) -> SimulatorConfig:
    """The simulator's settings. A base URL from the environment alone changes nothing."""
    return SimulatorConfig(
        base_url=base_url if model or not _from_environment(base_url) else None,
        model=model,
        api_key_env=key_env,
        max_in_flight=in_flight,
        requests_per_minute=rpm,
        usd_per_million_in=usd_in,
        usd_per_million_out=usd_out,
    )


def _from_environment(base_url: str | None) -> bool:
    return base_url is not None and base_url == os.environ.get("OPENAI_BASE_URL")
