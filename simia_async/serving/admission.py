"""What a client may ask a server for: settings that fit, files that it sent or that are ready, and
endpoints that the server's owner has named.

A submission may name no other place of the file system, and no variable of the environment that
holds a key for an endpoint of its own choice.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from simia_async.config import TINY, RunKind, configure, keywords_layer
from simia_async.config.settings import KINDS
from simia_async.environments.environment import library_names
from simia_async.errors import UsageError

KINDS_SERVED: tuple[RunKind, ...] = ("generate", "rollout", "sft", "rl", "eval")
_FILES = ("seeds", "tasks_file", "rubric")
"""Settings that name an uploaded file."""
_ADAPTERS = ("adapter", "adapters")
_ENDPOINTS = ("simulator", "policy", "user_endpoint", "tool_endpoint", "judge_endpoint")


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
        if kind not in KINDS_SERVED:
            raise UsageError(f"kind: found {kind!r}; it must be one of {', '.join(KINDS_SERVED)}")
        admitted = dict(settings)
        for name in _FILES:
            if admitted.get(name) is not None:
                admitted[name] = str(self._uploaded(name, admitted[name]))
        if admitted.get("environment") is not None:
            admitted["environment"] = self._environment(admitted["environment"])
        if admitted.get("model") is not None:
            admitted["model"] = self._model("model", admitted["model"])
        for name in _ADAPTERS:
            if admitted.get(name) is not None:
                admitted[name] = self._adapters(name, admitted[name])
        for name in _ENDPOINTS:
            if name in admitted:
                admitted[name] = self._endpoint(name, admitted[name])
        served = next(each for each in KINDS_SERVED if each == kind)
        configure(KINDS[served], keywords_layer(KINDS[served], admitted))
        return admitted

    def data(self, numbers: Iterable[Any]) -> tuple[str, ...]:
        """Databases of runs that an SFT run is to learn from. Raises `UsageError`."""
        return tuple(str(self._within(self.runs, "data", f"{number}/run.db")) for number in numbers)

    def _uploaded(self, name: str, given: Any) -> Path:
        return self._within(self.uploads / "files", name, given)

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

    def _adapters(self, name: str, given: Any) -> Any:
        """Adapters of runs here, as `RUN/vNNNNN`."""
        if isinstance(given, list | tuple):
            return [self._adapters(name, each) for each in given]
        run, _, version = given.partition("/") if isinstance(given, str) else ("", "", "")
        return str(self._within(self.runs, name, f"{run}/adapters/{version}"))

    def _endpoint(self, name: str, given: Any) -> Any:
        if not isinstance(given, Mapping):
            raise UsageError(f"{name}: found {given!r}; it must be an object of its settings")
        endpoint = dict(given)
        if "tokenizer" in endpoint and endpoint["tokenizer"] is not None:
            endpoint["tokenizer"] = self._model(f"{name}.tokenizer", endpoint["tokenizer"])
        url, key = endpoint.get("base_url"), endpoint.get("api_key_env")
        if url is None:
            if key:
                raise UsageError(f"{name}.api_key_env: is only for a base_url that is named too")
            return endpoint
        known = self._allowed.endpoints
        if url not in known:
            raise UsageError(
                f"{name}.base_url: found {url!r}; it must be one of those that the server was "
                f"started with --endpoint: {', '.join(known) or 'none'}"
            )
        if key not in (None, known[url]):
            raise UsageError(f"{name}.api_key_env: found {key!r}; leave it to the server")
        return endpoint | {"api_key_env": known[url]}

    def _within(self, place: Path, name: str, given: Any) -> Path:
        """What a relative path means in a directory of the server's."""
        if not isinstance(given, str) or not is_plain(given):
            raise UsageError(f"{name}: found {given!r}; it must be the name of something uploaded")
        path = (place / given).resolve()
        if not path.is_relative_to(place.resolve()) or not path.exists():
            raise UsageError(f"{name}: {given!r} is not here")
        return path


def is_plain(name: str) -> bool:
    """Whether a name can only mean something below the directory that it is looked for in."""
    parts = PurePosixPath(name).parts
    return (
        0 < len(name) <= 200
        and name.isprintable()
        and "\\" not in name
        and not name.startswith(("/", "~"))
        and all(part not in ("..", ".") and not part.startswith(".") for part in parts)
    )


def _is_below(place: Path, root: Path) -> bool:
    return place.is_absolute() and place.resolve().is_relative_to(root.resolve())
