"""What code can answer before any LLM is asked: a call that no real API would accept."""

from typing import Any

import jsonschema
import msgspec

from simia_async.environments import Environment
from simia_async.messages import ToolCall


def arguments_of(call: ToolCall) -> dict[str, Any] | None:
    """The call's arguments; None if they are not a JSON object."""
    try:
        return msgspec.json.decode(call.function.arguments, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def answer_in_code(
    environment: Environment, call: ToolCall, *, by_user: bool = False
) -> dict[str, str] | None:
    """The error observation of a call to an unknown tool or with bad arguments; None if it is fit
    to be asked of the simulator. `by_user`: whether it is a call of the user's own tools.
    """
    name = call.function.name
    validators = environment.user_validators if by_user else environment.validators
    validator = validators.get(name)
    if validator is None:
        return {"error": f"unknown tool {name}"}
    arguments = arguments_of(call)
    if arguments is None:
        return {"error": f"the arguments of {name} are not a JSON object"}
    problem = jsonschema.exceptions.best_match(validator.iter_errors(arguments))
    return None if problem is None else {"error": f"bad arguments of {name}: {problem.message}"}
