"""A worker's program: `python -m simia_async.runs.worker`, started by the owner of a run."""

from collections.abc import Mapping
from types import MappingProxyType

from simia_async.runs import actors_abroad, authors_abroad
from simia_async.workers.child import run_child
from simia_async.workers.host import OpenJob

JOBS: Mapping[str, OpenJob] = MappingProxyType(
    {
        authors_abroad.JOB: authors_abroad.open_authors,
        actors_abroad.JOB: actors_abroad.open_stand,
    }
)
"""What workers can do, by the name that owners call it."""

if __name__ == "__main__":
    run_child(JOBS)
