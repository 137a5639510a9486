"""Tools written as Python that changes a state in place, made into functions of an environment."""

import copy
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from jsonpointer import JsonPointer

from simia_async.environments.tool_effects import ToolFunction
from simia_async.simulation.replies import ToolReply

State = dict[str, Any]
Op = dict[str, Any]

Tool = Callable[..., Any]
"""`tool(state, **arguments)`: changes `state` and returns the observation, or raises `ToolError`,
having changed nothing that counts.
"""


def as_function(tool: Tool) -> ToolFunction:
    """The tool as `Environment.with_functions` takes it: what it changed becomes JSON Patch."""

    @wraps(tool)
    def function(state: State, **arguments: Any) -> ToolReply:
        after = copy.deepcopy(state)
        observation = tool(after, **arguments)
        return ToolReply(copy.deepcopy(observation), ops=list(differences(state, after)))

    return function


def differences(before: State, after: State, place: tuple[str, ...] = ()) -> Iterator[Op]:
    """The JSON Patch (RFC 6902) from one state to the other; a list that differs is replaced."""
    for key in before.keys() - after.keys():
        yield {"op": "remove", "path": _pointer(*place, key)}
    for key, value in after.items():
        if key not in before:
            yield {"op": "add", "path": _pointer(*place, key), "value": value}
        elif isinstance(value, dict) and isinstance(before[key], dict):
            yield from differences(before[key], value, (*place, key))
        elif value != before[key]:
            yield {"op": "replace", "path": _pointer(*place, key), "value": value}


def _pointer(*parts: str) -> str:
    path: str = JsonPointer.from_parts(parts).path
    return path
