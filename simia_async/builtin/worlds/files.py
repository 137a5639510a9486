"""Where the worlds are declared."""

import tomllib
from functools import cache
from pathlib import Path
from typing import TypeVar

import msgspec

from simia_async.builtin.worlds.engine import World

_HERE = Path(__file__).parent
_T = TypeVar("_T")


def read_declaration(name: str, kind: type[_T]) -> _T:
    """What `<name>.toml` declares, as a `kind`."""
    text = (_HERE / f"{name}.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), kind)


@cache
def read_world(name: str) -> World:
    """The world that `<name>.toml` declares."""
    return read_declaration(name, World)
