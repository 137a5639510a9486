"""The scripted server as a child process: `python -m simia_async.builtin.server --port N`.

Serves loopback only, tells its owner the port over the pipe, and ends with its owner.
"""

import argparse
import asyncio
from collections.abc import Callable, Coroutine
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from simia_async.builtin.server.app import build_app
from simia_async.builtin.server.conduct import Conduct
from simia_async.builtin.server.options import add_arguments, options_from
from simia_async.errors import ConfigError
from simia_async.supervision.child import OwnerPipe
from simia_async.supervision.http_child import serve_on_loopback


def main() -> None:
    """Serve until the owner goes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    add_arguments(parser)
    arguments = parser.parse_args()
    pipe = OwnerPipe()
    try:
        app = build_app(options_from(arguments).apply_to(Conduct))
    except ConfigError as error:
        pipe.fail(error)
        return
    _runner()(serve_on_loopback(app, arguments.port, pipe))


def _runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    """The loop of uvloop where that is installed, for it serves more requests."""
    if find_spec("uvloop") is None:
        return asyncio.run
    run: Callable[[Coroutine[Any, Any, None]], None] = import_module("uvloop").run
    return run


if __name__ == "__main__":
    main()
