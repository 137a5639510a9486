"""What a run works from: an environment, and seeds."""

from pathlib import Path

import msgspec

from simia_async.config import SeedsConfig
from simia_async.environments import Environment, Seed, load_environment, load_seeds
from simia_async.environments.seeds import declare_from_seeds, successful
from simia_async.errors import UsageError


class Material(msgspec.Struct, frozen=True):
    """What a run works from, read and checked before anything is written."""

    environment: Environment
    seeds: list[Seed]
    """Those not known to have failed."""
    failed: list[Seed]
    """The others, which are left out."""

    @property
    def seeds_read(self) -> int:
        """How many conversations the file holds."""
        return len(self.seeds) + len(self.failed)


def read_material(config: SeedsConfig) -> Material:
    """Environment and seeds. Raises `UsageError` naming the file and what is wrong with it."""
    environment = load_environment(config.environment)
    path = Path(config.seeds) if config.seeds else environment.seeds_file
    if path is None:
        raise UsageError(f"environment {environment.name!r} comes without seeds; pass --seeds FILE")
    seeds = load_seeds(path)
    used = seeds if config.keep_failed else successful(seeds)
    if not used:
        raise UsageError(
            f"{path}: all {len(seeds)} conversations failed their task (`reward` is 0); pass "
            "--keep-failed to use them all the same"
        )
    environment = declare_from_seeds(environment, used, config.declare_tools, path)
    ids = {seed.id for seed in used}
    return Material(environment, used, [seed for seed in seeds if seed.id not in ids])
