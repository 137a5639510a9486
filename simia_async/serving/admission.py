"""What a client may ask a server for: settings that fit, files that it sent or that are ready, runs
that are here, and endpoints that the server's owner has named.

A submission may name no other place of the file system, and no variable of the environment that
holds a key for an endpoint of its own choice.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from simia_async.config import TINY, RunKind, configure, keywords_layer
from simia_async.config.settings import KINDS
from simia_async.environments.environment import library_names
from simia_async.errors import UsageError
from simia_async.runs.record import SERVED_FILE
from simia_async.serving.jobs import TASKS_FILE
from simia_async.serving.meanings import (
    OF_SECTIONS,
    OWN,
    Meaning,
    endpoints_of,
    served_kind,
    undecided,
)

_DATA: Mapping[RunKind, tuple[int, int, str]] = {
    "sft": (0, 1000, "the runs that it learns from"),
    "judge": (1, 1, "the run that is judged again"),
    "luck": (0, 1, "the run whose rollouts are replayed"),
}
"""Of kinds that are about other runs: how many at least and at most, and what they are."""


class Allowed(msgspec.Struct, frozen=True):
    """What a server's owner lets submissions name."""

    endpoints: Mapping[str, str] = {}
    """Base URLs of endpoints, and the variable that holds each one's key; empty for none."""
    models: tuple[Path, ...] = ()
    """Directories of models, or directories that hold such."""


class Places:
    """The directories of a server, and what in them a submission means."""

    def __init__(self, root: Path, allowed: Allowed) -> None:
        self.runs = root / "runs"
        self.uploads = root / "uploads"
        self._allowed = allowed

    def admitted(self, kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings as the run gets them. Raises `UsageError` for the first that is wrong."""
        served = served_kind(kind)
        endpoints = endpoints_of(served)
        admitted = {
            name: self._endpoint(name, value)
            if name in endpoints
            else self._named(OWN.get(name, Meaning.WORD), name, value)
            for name, value in settings.items()
        }
        for name in undecided(KINDS[served]):
            if _is_stated(name, settings):
                raise UsageError(f"{name}: cannot be set by a client of a server")
        config = configure(KINDS[served], keywords_layer(KINDS[served], admitted))
        _check_workers(getattr(config, "workers", 0))
        return admitted

    def data(self, kind: str, runs: Iterable[Any]) -> tuple[str, ...]:
        """Databases of the runs that a run is about. Raises `UsageError`."""
        named = list(runs)
        least, most, what = _DATA.get(served_kind(kind), (0, 0, ""))
        if not most and named:
            raise UsageError(f"data: is only for {', '.join(_DATA)} runs")
        if not least <= len(named) <= most:
            wanted = f"{least}" if least == most else f"{least} to {most}"
            raise UsageError(f"data: found {len(named)} runs; it must be {wanted}: {what}")
        return tuple(str(self.run("data", each)) for each in named)

    def run(self, name: str, given: Any) -> Path:
        """The database of a run here. Raises `UsageError` that begins with the setting's name."""
        return self._within(self.runs, name, given, f"/{SERVED_FILE}")

    def _named(self, meaning: Meaning, name: str, given: Any) -> Any:
        """A text setting, or each of a list of them, as the run gets it."""
        if given is None or meaning is Meaning.WORD:
            return given
        if isinstance(given, list):
            return [self._named(meaning, name, each) for each in given]
        match meaning:
            case Meaning.FILE:
                return str(self._uploaded(name, given))
            case Meaning.TASKS:
                return str(self._tasks(name, given))
            case Meaning.ENVIRONMENT:
                return self._environment(given)
            case Meaning.MODEL:
                return self._model(name, given)
            case Meaning.ADAPTER:
                return self._adapter(name, given)
            case Meaning.RUN:
                return str(self.run(name, given))
            case Meaning.TRAINING_DATA:
                return str(self._training_data(name, given))
        raise UsageError(f"{name}: cannot be set by a client of a server")

    def _uploaded(self, name: str, given: Any) -> Path:
        return self._within(self.uploads / "files", name, given)

    def _tasks(self, name: str, given: Any) -> Path:
        run, _, file = given.partition("/") if isinstance(given, str) else ("", "", "")
        if file == TASKS_FILE:
            return self._within(self.runs, name, run, f"/{TASKS_FILE}")
        return self._uploaded(name, given)

    def _training_data(self, name: str, given: Any) -> Path:
        if isinstance(given, str) and (given.endswith((".jsonl", ".json"))):
            return self._tasks(name, given)
        return self.run(name, given)

    def _environment(self, given: Any) -> str:
        if isinstance(given, str) and given in library_names():
            return given
        return str(self._within(self.uploads / "environments", "environment", given))

    def _model(self, name: str, given: Any) -> str:
        if given == TINY:
            return TINY
        place = Path(given) if isinstance(given, str) else None
        if place is None or not any(_is_below(place, root) for root in self._allowed.models):
            raise UsageError(
                f"{name}: found {given!r}; it must be {TINY}, or below a directory that the server "
                "was started with --models"
            )
        return str(place)

    def _adapter(self, name: str, given: Any) -> str:
        """An adapter of a run here, as `RUN/vNNNNN`."""
        run, _, version = given.partition("/") if isinstance(given, str) else ("", "", "")
        if not version or "/" in version:
            raise UsageError(f"{name}: found {given!r}; it must be an adapter of a run, RUN/v00001")
        return str(self._within(self.runs, name, run, f"/adapters/{version}"))

    def _endpoint(self, name: str, given: Any) -> Any:
        if not isinstance(given, Mapping):
            raise UsageError(f"{name}: found {given!r}; it must be an object of its settings")
        endpoint = {
            field: self._model(f"{name}.{field}", value)
            if OF_SECTIONS.get(field) is Meaning.MODEL and value is not None
            else value
            for field, value in given.items()
        }
        url, key = endpoint.get("base_url"), endpoint.get("api_key_env")
        if url is None:
            if key:
                raise UsageError(f"{name}.api_key_env: is only for a base_url that is named too")
            return endpoint
        known = self._allowed.endpoints
        if not isinstance(url, str) or url not in known:
            raise UsageError(
                f"{name}.base_url: found {url!r}; it must be one of those that the server was "
                f"started with --endpoint: {', '.join(known) or 'none'}"
            )
        if key not in (None, known[url]):
            raise UsageError(f"{name}.api_key_env: found {key!r}; leave it to the server")
        return endpoint | {"api_key_env": known[url]}

    def _within(self, place: Path, name: str, given: Any, inside: str = "") -> Path:
        """What a name means in a directory of the server's: it, or something `inside` it."""
        if not isinstance(given, str) or not (is_plain(given) and is_plain(given + inside)):
            kind = "the id of a run" if inside else "the name of something uploaded"
            raise UsageError(f"{name}: found {given!r}; it must be {kind}")
        path = (place / (given + inside)).resolve()
        if not path.is_relative_to(place.resolve()) or not path.exists():
            raise UsageError(f"{name}: {given!r} is not here")
        return path


def is_plain(name: str) -> bool:
    """Whether a name can only mean something below the directory that it is looked for in."""
    parts = PurePosixPath(name).parts
    return (
        name.isprintable()
        and 0 < len(name.encode()) <= 200
        and "\\" not in name
        and not name.startswith(("/", "~"))
        and all(part not in ("..", ".") and not part.startswith(".") for part in parts)
    )


def _check_workers(workers: int) -> None:
    """Raise `UsageError` for more processes than this machine has CPUs: it is not the client's."""
    cpus = os.cpu_count() or 1
    if workers > cpus:
        raise UsageError(f"workers: found {workers}; on this server it must be at most {cpus}")


def _is_below(place: Path, root: Path) -> bool:
    is_path = place.is_absolute() and str(place).isprintable()
    return is_path and place.resolve().is_relative_to(root.resolve())


def _is_stated(name: str, settings: Mapping[str, Any]) -> bool:
    """Whether a setting, `section.name` one of a section, is given at all."""
    section, _, field = name.rpartition(".")
    if not section:
        return field in settings
    inner = settings.get(section)
    return isinstance(inner, Mapping) and field in inner
