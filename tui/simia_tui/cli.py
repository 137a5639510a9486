"""`simia-tui RUN`: watch, understand and steer a run, live or finished."""

import argparse
import sys
from pathlib import Path

from simia_store import Reader, StoreError

from simia_tui.starting import FirstLook, collect_no_garbage_yet


def run() -> None:
    """Watch the run that the command line names, or one that is picked in a directory."""
    parser = argparse.ArgumentParser(prog="simia-tui", description=__doc__)
    parser.add_argument(
        "run",
        help="a run's database, a directory to pick one in, or a server's URL (its newest run, or "
        "http://host:port/RUN)",
    )
    parser.add_argument(
        "--token-file", type=Path, help="file with the server's token; default: $SIMIA_SERVER_TOKEN"
    )
    parser.add_argument("--readonly", action="store_true", help="only watch: steer nothing")
    parser.add_argument(
        "--compare", type=Path, nargs="+", default=[], metavar="RUN",
        help="other runs, whose curves are drawn beside this one's",
    )  # fmt: skip
    parser.add_argument(
        "--web", action="store_true", help="show it in a browser of this machine, on loopback"
    )
    parser.add_argument("--port", type=int, default=0, help="of --web; default: a free one")
    given = parser.parse_args()
    collect_no_garbage_yet()
    try:
        place = Path(given.run)
        if given.web:
            _serve(given, place)
        elif _is_url(given.run):
            _watch_remote(given.run, given.token_file, readonly=given.readonly)
        elif place.is_dir():
            watch_directory(place, readonly=given.readonly)
        else:
            _watch(place, given.compare, readonly=given.readonly)
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


def _watch_remote(url: str, token_file: Path | None, *, readonly: bool) -> None:
    from simia_tui.app import Dashboard
    from simia_tui.remote import RemoteCopy, RemoteServer, split_url

    address, number = split_url(url)
    server = RemoteServer(address, token_file)
    copy = RemoteCopy(server, number or server.newest())
    try:
        dashboard = Dashboard(copy.path, readonly=readonly, ask=copy.ask)
        with copy.followed(dashboard.warn):
            dashboard.run()
    finally:
        copy.close()


def _is_url(run: str) -> bool:
    return run.startswith(("http://", "https://"))


def _serve(given: argparse.Namespace, place: Path) -> None:
    from simia_tui.web import serve

    if not _is_url(given.run) and not place.is_dir():
        with Reader(place):
            pass
    arguments = [given.run, *(["--readonly"] if given.readonly else [])]
    if given.token_file:
        arguments += ["--token-file", str(given.token_file)]
    if given.compare:
        arguments += ["--compare", *map(str, given.compare)]
    serve(arguments, given.port)


def _watch(path: Path, others: list[Path], *, readonly: bool, pick: bool = False) -> str | None:
    for each in others:
        with Reader(each):
            pass
    first = FirstLook(path)
    # Textual takes most of the time of a start, in which the run is read.
    from simia_tui.app import Dashboard

    return Dashboard(path, readonly=readonly, others=others, pick=pick, first=first).run()
