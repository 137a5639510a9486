"""`simia serve`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from simia_async.cli.output import fail, report, run, show
from simia_async.errors import ConfigError

_NEEDS = "simia serve needs prometheus-client: pip install 'simia-async[serve]'"


def serve(
    root: Annotated[Path, typer.Option(help="Directory of runs, uploads and the token.")] = Path(
        "runs/server"
    ),
    port: Annotated[int, typer.Option(help="0 picks one.")] = 8600,
    host: Annotated[str, typer.Option(help="Beyond loopback only with TLS.")] = "127.0.0.1",
    token_env: Annotated[
        str,
        typer.Option(help="Variable with the token. Default: the file `token` under --root."),
    ] = "",
    endpoint: Annotated[
        list[str] | None,
        typer.Option(
            metavar="<text>",
            help="URL or URL=VARIABLE: an endpoint that submissions may name, and the variable "
            "with its key; repeatable.",
            show_default=False,
        ),
    ] = None,
    models: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="<path>", help="Directory of models that submissions may name; repeatable."
        ),
    ] = None,
    parallel: Annotated[int, typer.Option(min=1, help="Runs at once.")] = 2,
    queue: Annotated[int, typer.Option(min=1, help="Runs that may wait.")] = 100,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, PEM.")] = None,
) -> None:
    """Take runs from elsewhere, do them, and tell how they go. SIGTERM ends it politely.

    Runs are processes of their own. They outlive the server, and go on where they were when it
    starts again.
    """
    try:
        from simia_async.serving.admission import Allowed
        from simia_async.serving.server import ServerOptions
        from simia_async.serving.server import serve as serve_runs
    except ImportError as error:
        if error.name != "prometheus_client":
            raise
        fail(ConfigError(_NEEDS))
    try:
        allowed = Allowed(_endpoints(endpoint or []), tuple(models or ()))
    except ConfigError as error:
        fail(error)
    options = ServerOptions(
        root=root,
        host=host,
        port=port,
        token_env=token_env,
        allowed=allowed,
        parallel=parallel,
        queue=queue,
        certificate=tls_cert,
        key=tls_key,
    )

    def ready(url: str) -> None:
        show("server", url)
        show("token", f"in ${token_env}" if token_env else root / "token")

    async def main() -> None:
        await serve_runs(options, ready)
        report("no more runs are taken; those that ran go on at the next start")

    run(main)


def _endpoints(given: list[str]) -> dict[str, str]:
    """Variables of keys by base URL. Raises `ConfigError`."""
    endpoints: dict[str, str] = {}
    for each in given:
        url, _, variable = each.rpartition("=") if "=" in each else (each, "", "")
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"--endpoint: found {each!r}; it must be a URL, or URL=VARIABLE")
        if variable and not os.environ.get(variable):
            raise ConfigError(f"--endpoint: the environment variable {variable} holds no key")
        endpoints[url] = variable
    return endpoints
