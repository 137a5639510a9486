"""What somebody has set of a run: its settings that are not the defaults of its kind."""

from typing import Any, NamedTuple

import msgspec
from simia_store import RunRecord

from simia_async.config.settings import KINDS


class OwnSettings(NamedTuple):
    """Settings by their dotted names."""

    values: dict[str, Any]
    others_are_defaults: bool
    """Else the kind of the run is not known here, and these are all that there are."""


def own_settings(run: RunRecord) -> OwnSettings:
    """Those of `run` that are not left to the defaults of this version."""
    kind = next((settings for kind, settings in KINDS.items() if kind == run.kind), None)
    # As they are read back: JSON knows no tuples.
    defaults = _flat(msgspec.json.decode(msgspec.json.encode(kind()))) if kind else {}
    values = {
        name: value
        for name, value in _flat(run.config).items()
        if name not in defaults or value != defaults[name]
    }
    return OwnSettings(values, bool(defaults))


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
