"""Options that several commands share."""

import functools
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from simia_async.cli.output import fail
from simia_async.config import Endpoint
from simia_async.errors import SimiaError

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
MaxTurns = Annotated[
    int, typer.Option("--max-turns", help="How often the policy may speak in a conversation.")
]
MaxTokens = Annotated[int, typer.Option("--max-tokens", help="Tokens of one turn of the policy.")]
Context = Annotated[int, typer.Option("--context", help="Tokens of a whole conversation.")]


def simulator_config(
    simulator_model: Annotated[
        str | None,
        typer.Option(
            help="Model that plays the world. Default: the embedded scripted simulator, no LLM."
        ),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            envvar="OPENAI_BASE_URL", help="OpenAI-compatible endpoint of --simulator-model."
        ),
    ] = None,
    api_key_env: Annotated[
        str, typer.Option(help="Environment variable that holds its key.")
    ] = "OPENAI_API_KEY",
    max_in_flight: Annotated[int, typer.Option(min=1, help="Calls to the simulator at once.")] = 64,
    rpm: Annotated[
        float | None, typer.Option(min=1, help="Requests a minute to it. Default: no limit.")
    ] = None,
    usd_in: Annotated[
        float | None, typer.Option(min=0, help="Its price of a million tokens in.")
    ] = None,
    usd_out: Annotated[
        float | None, typer.Option(min=0, help="Its price of a million tokens out.")
    ] = None,
) -> Endpoint:
    """The simulator's settings. A base URL that only the environment gives changes nothing."""
    from_environment = base_url is not None and base_url == os.environ.get("OPENAI_BASE_URL")
    return Endpoint(
        base_url=None if from_environment and not simulator_model else base_url,
        model=simulator_model,
        api_key_env=api_key_env,
        max_in_flight=max_in_flight,
        requests_per_minute=rpm,
        usd_per_million_in=usd_in,
        usd_per_million_out=usd_out,
    )


def takes_simulator(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `simulator_config`, and its result as `simulator`."""
    options = inspect.signature(simulator_config).parameters
    own = dict(inspect.signature(command).parameters)
    del own["simulator"]

    @functools.wraps(command)
    def with_options(**given: Any) -> None:
        try:
            config = simulator_config(**{name: given.pop(name) for name in options})
        except SimiaError as error:
            fail(error)
        command(**given, simulator=config)

    # typer learns a command's options from its signature and its annotations.
    parameters = {**own, **options}
    with_options.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    with_options.__annotations__ = {name: p.annotation for name, p in parameters.items()}
    return with_options
