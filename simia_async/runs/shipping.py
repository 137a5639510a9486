"""An environment on its way to another process: data only."""

from typing import Any

import msgspec

from simia_async.environments import Environment
from simia_async.environments.tool_effects import ToolEffect
from simia_async.errors import UsageError
from simia_async.messages import ToolSchema


class Parcel(msgspec.Struct, frozen=True):
    """What conversations need of an environment."""

    name: str
    policy: str
    tools: list[ToolSchema]
    ending_tools: frozenset[str]
    initial_state: dict[str, Any] | None
    state_schema: dict[str, Any] | None
    prompts: dict[str, str]
    effects: dict[str, ToolEffect]
    user_tools: list[ToolSchema]


def ship(environment: Environment) -> Parcel:
    """The environment without its files, and without functions."""
    return Parcel(
        environment.name,
        environment.policy,
        environment.tools,
        environment.ending_tools,
        environment.initial_state,
        environment.state_schema,
        environment.prompts,
        environment.effects,
        environment.user_tools,
    )


def unship(parcel: Parcel) -> Environment:
    """The environment again."""
    return Environment(**msgspec.structs.asdict(parcel))


def check_is_data(environment: Environment) -> None:
    """Raise `UsageError` if Python of this process answers for its tools."""
    if environment.functions:
        raise UsageError(
            f"--workers: the tools of {environment.name!r} are answered by Python functions of "
            "this process, which workers do not have; leave --workers out"
        )
