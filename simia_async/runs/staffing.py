"""The workers of a run, as its settings ask for them."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec

import msgspec

from simia_async.clients.governor import Governor
from simia_async.config import GenerateConfig, RolloutConfig
from simia_async.errors import ConfigError
from simia_async.supervision.service import Report
from simia_async.workers.local import connect_local
from simia_async.workers.on_ray import connect_ray, join
from simia_async.workers.pool import Pool, open_pool

_MODULE = "simia_async.runs.worker"


def is_staffed(config: GenerateConfig | RolloutConfig) -> bool:
    """Whether others than the owner hold its conversations."""
    return bool(config.workers) or config.ray is not None


def check_places(workers: int, most_in_flight: Iterable[int]) -> None:
    """Raise `ConfigError` if an endpoint takes so few calls at once that not every worker, and the
    owner beside them, could have one.
    """
    fewest = min(most_in_flight)
    if workers and fewest <= workers:
        raise ConfigError(
            f"--workers: found {workers}; expected at most {fewest - 1}, since an endpoint takes "
            f"{fewest} calls at once (--max-in-flight) and each worker needs one, as does the "
            "process that plans and writes"
        )


def check_ray(address: str | None) -> None:
    """Raise `ConfigError` if a cluster is named and Ray is not installed."""
    if address is not None and find_spec("ray") is None:
        raise ConfigError(
            "--ray: needs the extra `ray`; install it with: pip install 'simia-async[ray]'"
        )


@asynccontextmanager
async def open_workers(
    config: GenerateConfig | RolloutConfig,
    job: str,
    given: msgspec.Raw,
    governors: Mapping[str, Governor],
    report: Report,
) -> AsyncIterator[Pool]:
    """As many as the settings say, and where they say; raises as `open_pool` and `join` do."""
    if config.ray is None:
        connect = connect_local(_MODULE)
        async with open_pool(config.workers, connect, job, given, governors, report) as pool:
            yield pool
        return
    async with join(config.ray, config.workers) as count:
        check_places(count, (each.statistics().max_in_flight for each in governors.values()))
        connect = connect_ray(_MODULE)
        async with open_pool(count, connect, job, given, governors, report) as pool:
            yield pool
