"""`environment.toml`: what an environment says of itself."""

import tomllib
from pathlib import Path

import msgspec

from simia_async.environments.files import Report, read_text
from simia_async.environments.tool_effects import ToolEffect


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`environment.toml`. Every field may be left out, and so may the file."""

    name: str | None = None
    """Default: the directory's."""
    description: str = ""
    """One line for people; no model reads it."""
    ending_tools: list[str] = []
    """Tools after whose observation a conversation may end without another reply."""
    tools: dict[str, ToolEffect] = {}
    """What tools do to the state; of a tool that is not here, its answers tell."""
    user_tools: dict[str, ToolEffect] = {}
    """The same of the tools that the user has."""


def read_manifest(path: Path, report: Report) -> Manifest:
    """The manifest; an empty one where there is no file, or after a report."""
    if not path.exists():
        return Manifest()
    text = read_text(path, report)
    if text is None:
        return Manifest()
    try:
        manifest = msgspec.convert(tomllib.loads(text), Manifest)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        report(f"{path}: {error}")
        return Manifest()
    if manifest.name is not None and not manifest.name.strip():
        report(f"{path}: `name` is empty; leave it out to use the directory's")
    return manifest
