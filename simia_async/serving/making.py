"""What is made of a run for whoever fetches it: `python -m simia_async.serving.making WHAT …`.

    export FORMAT DATABASE FILE       its data set, as a tar: data, card, LLaMA-Factory's entry
    card DATABASE FILE EVALS METERS   its page; EVALS and METERS are JSON lists of databases
    adapter DIRECTORY FILE            an adapter of it, as a tar

A process of its own, because it takes long and the server has others to answer. FILE must not be
there; it is whole when the exit code is 0. Else a sentence is left on standard error.
"""

import sys
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

import msgspec

from simia_async.errors import SimiaError
from simia_async.runs.card import run_card
from simia_async.synthesis.export import export
from simia_async.synthesis.export_format import ExportFormat

EXIT_REFUSED = 2
EXIT_NO_ROOM = 3


def main() -> None:
    """Make what the command line names."""
    try:
        _make(sys.argv[1], sys.argv[2:])
    except OSError as error:
        _end(EXIT_NO_ROOM, error.strerror or str(error))
    except SimiaError as error:
        _end(EXIT_NO_ROOM if isinstance(error.__cause__, OSError) else EXIT_REFUSED, str(error))


def _make(what: str, given: list[str]) -> None:
    match what, given:
        case "export", [form, database, file]:
            with tempfile.TemporaryDirectory(dir=Path(file).parent) as place:
                made = Path(place) / "export"
                export(Path(database), made, ExportFormat(form))
                write_tar(Path(file), made, sorted(made.iterdir()))
        case "card", [database, file, evaluations, meters]:
            page = run_card(Path(database), _paths(evaluations), _paths(meters))
            Path(file).write_text(page, encoding="utf-8", errors="replace")
        case "adapter", [directory, file]:
            write_tar(Path(file), Path(directory), sorted(Path(directory).rglob("*")))


def write_tar(file: Path, directory: Path, members: Iterable[Path]) -> None:
    """The plain files among `members`, by their places in `directory`. It tells nothing of when and
    by whom they were made, so the same files are the same bytes.
    """
    with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in members:
            if path.is_file() and not path.is_symlink():
                about = tarfile.TarInfo(str(path.relative_to(directory)))
                about.size = path.stat().st_size
                with path.open("rb") as content:
                    tar.addfile(about, content)


def _paths(listed: str) -> list[Path]:
    return [Path(each) for each in msgspec.json.decode(listed, type=list[str])]


def _end(code: int, sentence: str) -> None:
    print(sentence, file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
