"""The server itself: its directory, its listener, and its end."""

import fcntl
import os
import signal
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import msgspec
from aiohttp import web

from simia_async.errors import ConfigError
from simia_async.serving.admission import Allowed, Places
from simia_async.serving.app import ControlApi
from simia_async.serving.guards import server_token
from simia_async.serving.log import library_logger
from simia_async.serving.supervisor import Supervisor
from simia_async.serving.uploads import sweep
from simia_async.supervision.listening import is_loopback, listen

_DRAIN_S = 20.0
_ASK_WITHIN_S = 30.0
"""A connection on which no request comes for so long, or only a part of its headers, is closed."""


class ServerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a server is to be."""

    root: Path
    """Where runs, uploads and the token stand."""
    host: str = "127.0.0.1"
    port: int = 8600
    """0 picks one."""
    token_env: str = ""
    """Variable with the token; empty: the file `token` under the root."""
    allowed: Allowed = Allowed()
    parallel: int = 2
    """Runs at once."""
    queue: int = 100
    """Runs that may wait."""
    certificate: Path | None = None
    key: Path | None = None
    """Of TLS, both in PEM."""


async def serve(options: ServerOptions, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `on_ready` hears the URL. Then nothing more is taken, and the
    runs' processes end politely and wait for the next start.

    Raises `ConfigError`.
    """
    options.root.mkdir(parents=True, exist_ok=True)
    with _owned(options.root):
        await _serve(options, on_ready)


async def _serve(options: ServerOptions, on_ready: Callable[[str], None]) -> None:
    token = server_token(options.root, options.token_env)
    tls = _tls(options)
    supervisor = Supervisor(options.root / "runs", parallel=options.parallel, queue=options.queue)
    places = Places(options.root, options.allowed)
    supervisor.take_up()
    sweep(places.uploads)
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with anyio.create_task_group() as background:
            api = ControlApi(supervisor, places, background)
            # What a request began is finished, whether its client waits or not: a run that was
            # kept is known, so that the client's next try finds it.
            runner = web.AppRunner(
                api.app(token),
                access_log=None,
                logger=library_logger(),
                shutdown_timeout=1,
                keepalive_timeout=_ASK_WITHIN_S,
            )
            await runner.setup()
            listener = listen(options.host, options.port)
            await web.SockSite(runner, listener, ssl_context=tls).start()
            try:
                background.start_soon(supervisor.run)
                background.start_soon(api.watch_lag)
                scheme = "https" if tls else "http"
                on_ready(f"{scheme}://{_shown(options.host)}:{listener.getsockname()[1]}")
                async for _ in signals:
                    break
                await supervisor.drain(_DRAIN_S)
            finally:
                with anyio.CancelScope(shield=True):
                    await runner.cleanup()
                background.cancel_scope.cancel()


@contextmanager
def _owned(root: Path) -> Iterator[None]:
    """One server at a time does the runs of a directory. Raises `ConfigError`."""
    fd = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ConfigError(f"{root}: another server does the runs there") from None
    finally:
        os.close(fd)


def _tls(options: ServerOptions) -> ssl.SSLContext | None:
    if (options.certificate is None) != (options.key is None):
        raise ConfigError("--tls-cert and --tls-key: give both, or neither")
    if options.certificate is None:
        if not is_loopback(options.host):
            raise ConfigError(
                f"a server that listens on {options.host} sends its token in the clear; give "
                "--tls-cert and --tls-key, or listen on loopback behind a proxy that has them"
            )
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.certificate, options.key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{options.certificate}: cannot be used for TLS: {error}") from error
    return context


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
