"""`simia-tui RUN`: watch, understand and steer a run, live or finished."""

import argparse
import sys
from pathlib import Path

from simia_store import Reader, StoreError

from simia_tui.app import Dashboard


def run() -> None:
    """Watch the run that the command line names, or one that is picked in a directory."""
    parser = argparse.ArgumentParser(prog="simia-tui", description=__doc__)
    parser.add_argument("run", type=Path, help="a run's database, or a directory to pick one in")
    parser.add_argument("--readonly", action="store_true", help="only watch: steer nothing")
    parser.add_argument(
        "--compare", type=Path, nargs="+", default=[], metavar="RUN",
        help="other runs, whose curves are drawn beside this one's",
    )  # fmt: skip
    given = parser.parse_args()
    try:
        if given.run.is_dir():
            watch_directory(given.run, readonly=given.readonly)
        else:
            _watch(given.run, given.compare, readonly=given.readonly)
    except StoreError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def watch_directory(directory: Path, *, readonly: bool = False) -> None:
    """Let runs of a directory be picked and watched, until somebody quits. Raises `StoreError`."""
    from simia_tui.screens.picker import Picker

    while True:
        picked = Picker(directory).run()
        if not picked:
            return
        if _watch(picked[0], picked[1:], readonly=readonly, pick=True) != "runs":
            return


def _watch(path: Path, others: list[Path], *, readonly: bool, pick: bool = False) -> str | None:
    for each in (path, *others):
        with Reader(each):
            pass
    return Dashboard(path, readonly=readonly, others=others, pick=pick).run()
