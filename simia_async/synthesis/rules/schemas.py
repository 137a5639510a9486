"""Arguments are what the tool's schema asks for."""

import json
from typing import Any

import jsonschema
import jsonschema_rs
import msgspec

from simia_async.environments import Environment
from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.simulation.code_answers import arguments_of
from simia_async.synthesis.rules.coercion import coerced
from simia_async.synthesis.rules.derived import derived
from simia_async.synthesis.rules.verdict import Case, Mended, Reject


def arguments_fit_schema(case: Case) -> Mended | None:
    """Arguments fit the tool's JSON Schema, if need be in other types (`"3"` for 3)."""
    messages: list[Message] | None = None
    reasons = []
    for at, message in enumerate(case.messages):
        for number, call in enumerate(message.tool_calls or ()):
            arguments = arguments_of(call) or {}
            if fits(case.environment, call.function.name, arguments):
                continue
            messages = messages or list(case.messages)
            fitting = _fitting(case.environment, call, arguments, at)
            calls = list(messages[at].tool_calls or ())
            calls[number] = _with_arguments(call, fitting)
            messages[at] = msgspec.structs.replace(messages[at], tool_calls=calls)
            reasons.append(_difference(at, call.function.name, arguments, fitting))
    return Mended(messages, reasons) if messages else None


def _fitting(
    environment: Environment, call: ToolCall, arguments: dict[str, Any], at: int
) -> dict[str, Any]:
    name = call.function.name
    validator = environment.validators[name]
    fitting = coerced(arguments, validator.schema, validator.schema)
    if fitting != arguments and fits(environment, name, fitting):
        fitted: dict[str, Any] = fitting
        return fitted
    problem = jsonschema.exceptions.best_match(validator.iter_errors(arguments))
    told = problem.message if problem else "do not fit its schema"
    raise Reject(f"turn {at}: arguments of {name}: {told}")


def _with_arguments(call: ToolCall, arguments: dict[str, Any]) -> ToolCall:
    text = msgspec.json.encode(arguments).decode()
    return msgspec.structs.replace(call, function=FunctionCall(call.function.name, text))


def _difference(at: int, name: str, before: dict[str, Any], after: dict[str, Any]) -> str:
    changed = [key for key in before if key not in after or after[key] != before[key]]
    return f"turn {at}: put {', '.join(changed)} of {name} into the type that its schema wants"


def fits(environment: Environment, name: str, arguments: dict[str, Any]) -> bool:
    """Whether a declared tool's schema accepts the arguments.

    Nearly all do, and the compiled check sees that in a fiftieth of the time; what it refuses is
    asked of the validator that every other part goes by.
    """
    compiled = derived(environment, "rules.compiled_schemas", _compiled)[name]
    try:
        if compiled is not None and compiled.is_valid(arguments):
            return True
    except (ValueError, OverflowError):
        pass
    return environment.validators[name].is_valid(arguments)


def _compiled(environment: Environment) -> dict[str, jsonschema_rs.Draft202012Validator | None]:
    return {name: _compile(it.schema) for name, it in environment.validators.items()}


def _compile(schema: Any) -> jsonschema_rs.Draft202012Validator | None:
    """None for what the two may understand differently: patterns are of two dialects."""
    if '"pattern' in json.dumps(schema):
        return None
    try:
        return jsonschema_rs.Draft202012Validator(schema)
    except (ValueError, jsonschema_rs.ReferencingError):
        return None
