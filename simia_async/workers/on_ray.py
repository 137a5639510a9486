"""Workers in a Ray cluster: an actor each. Ray places them, carries messages to and from them, and
finds out when a node is gone. Extra `ray`.

Actors end with the process that began them, so none is left behind. Their node's environment holds
the keys, and simia-async is installed there.
"""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

import anyio
import anyio.to_thread

from simia_async.errors import ConfigError
from simia_async.workers.frames import FromWorker, ToWorker, body_of, to_worker
from simia_async.workers.host import Host
from simia_async.workers.link import Connect, Link, WorkerLost

AUTO = "auto"
"""The address that means: a cluster that runs here, else a new one on this machine."""

_QUIET = {"include_dashboard": False, "log_to_driver": False, "configure_logging": False}
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # It would print what happens to nodes on standard output; we say it ourselves.
    "RAY_DEDUP_LOGS_SKIP_REGEX": "^",
}
"""Read when Ray is imported."""
_ANSWER_S = 10.0
_LOST = ("RayActorError", "ActorUnavailableError", "RaySystemError", "OwnerDiedError")


class Actor:
    """What runs on a node."""

    def __init__(self, module: str) -> None:
        """`module` holds `JOBS`, what workers can do."""
        self._heard: asyncio.Queue[list[ToWorker]] = asyncio.Queue()
        self._told: list[FromWorker] = []
        self._news = asyncio.Event()
        place = f"pid {os.getpid()} on {socket.gethostname()} (Ray)"
        self._host = Host(import_module(module).JOBS, self._tell, place)
        self._serving: asyncio.Task[None] | None = None

    async def take(self, body: bytes) -> None:
        """A message of the owner's."""
        self._heard.put_nowait(to_worker(body))
        if self._serving is None:
            self._serving = asyncio.create_task(self._host.serve(self._heard.get))

    async def collect(self) -> bytes:
        """What there is to tell, as soon as there is something."""
        while not self._told:
            self._news.clear()
            await self._news.wait()
        frames, self._told = self._told, []
        return body_of(frames)

    def _tell(self, frame: FromWorker) -> None:
        self._told.append(frame)
        self._news.set()


class RayLink:
    """The owner's end of an actor."""

    can_outlive = True

    def __init__(self, name: str, actor: Any) -> None:
        self._name = name
        self._actor = actor

    async def send(self, body: bytes) -> None:
        """One at a time: Ray promises no order among calls of such an actor."""
        await self._outcome(self._actor.take.remote(body))

    async def receive(self) -> list[bytes]:
        """The next message."""
        return [await self._outcome(self._actor.collect.remote())]

    async def _outcome(self, call: Any) -> Any:
        try:
            return await call
        except Exception as error:
            if not any(kind.__name__ in _LOST for kind in type(error).__mro__):
                raise
            why = " ".join(str(error).split("\n")[0].split())
            raise WorkerLost(f"{self._name} was lost: {why}") from None


def connect_ray(module: str) -> Connect:
    """Workers of a cluster that `join` has joined; `module` holds their `JOBS`."""
    import ray

    remote = ray.remote(Actor)

    @asynccontextmanager
    async def connect(name: str) -> AsyncIterator[Link]:
        options = {"num_cpus": 1, "max_restarts": 0, "scheduling_strategy": "SPREAD"}
        actor = remote.options(**options).remote(module)
        try:
            yield RayLink(name, actor)
        finally:
            ray.kill(actor)

    return connect


@asynccontextmanager
async def join(address: str, workers: int) -> AsyncIterator[int]:
    """Join the cluster at `address` as long as the context lasts; how many workers there will be:
    as many as are asked for, and with 0 one a node.

    Raises `ConfigError` if there is no such cluster, or if it has fewer CPUs than workers.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    # In a thread: it takes seconds, and would take over the signals of the main one.
    await anyio.to_thread.run_sync(_join, ray, address)
    try:
        nodes = [node for node in ray.nodes() if node["Alive"]]
        cpus = sum(int(node["Resources"].get("CPU", 0)) for node in nodes)
        count = workers or min(len(nodes), cpus)
        if not 0 < count <= cpus:
            raise ConfigError(
                f"--workers: found {count}; expected at most {cpus}, one for each CPU of the Ray "
                "cluster"
            )
        yield count
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(ray.shutdown)


def _join(ray: Any, address: str) -> None:
    running = {name: value for name, value in _QUIET.items() if name != "include_dashboard"}
    if address == AUTO:
        try:
            ray.init(address=AUTO, **running)
        except ConnectionError:
            ray.init(**_QUIET)
        return
    _check_answers(address)
    try:
        ray.init(address=address, **running)
    except (ConnectionError, ValueError, RuntimeError) as error:
        why = " ".join(str(error).split())[:200]
        raise ConfigError(f"--ray: found {address!r}; no Ray cluster is there: {why}") from error


def _check_answers(address: str) -> None:
    """Raise `ConfigError` if nothing listens there; Ray itself would look for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise ConfigError(
            f"--ray: found {address!r}; expected auto, or HOST:PORT as `ray start --head` tells it"
        )
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(f"--ray: found {address!r}; no Ray cluster is there: {error}") from error
