"""Tools that Python answers."""

import inspect
from typing import Any

import msgspec

from simia_async.environments.tool_effects import ToolError, ToolFunction
from simia_async.errors import BadReply
from simia_async.simulation.grounding.observation import State
from simia_async.simulation.replies import ToolReply


async def call_function(
    name: str, function: ToolFunction, state: State, arguments: dict[str, Any]
) -> ToolReply:
    """What the function of tool `name` returned. Raises `BadReply` if it fails."""
    try:
        # Its own copy: what it changes in there is no change of the world.
        returned = function(msgspec.json.decode(msgspec.json.encode(state)), **arguments)
        if inspect.isawaitable(returned):
            returned = await returned
    except ToolError as error:
        return ToolReply({"error": str(error)}, is_error=True)
    except Exception as error:
        raise BadReply(f"function of tool {name}: {error!r}") from error
    return returned if isinstance(returned, ToolReply) else ToolReply(returned)
