"""What the scripted server says to a request. Rule-based, not an LLM."""

import inspect
from functools import lru_cache
from typing import Any

import jsonschema
import msgspec

from simia_async.builtin.answers import CannotAnswer, answer
from simia_async.builtin.server.acting import act
from simia_async.builtin.server.completions import Reply, Said
from simia_async.builtin.server.conduct import Answer, Conduct
from simia_async.builtin.server.draws import chance_of
from simia_async.builtin.server.protocol import ChatRequest, Tool
from simia_async.builtin.server.refusals import Refusal
from simia_async.builtin.shaped import CannotShape, shaped
from simia_async.config import SCRIPTED_AGENT
from simia_async.simulation.prompts import read_sections

_OBJECT = {"type": "object", "properties": {}}


def check(request: ChatRequest, *, reasoning_model: bool) -> None:
    """Raise the 400 that OpenAI would answer, if it would."""
    if not request.messages:
        message = "Invalid 'messages': empty array. Expected an array with minimum length 1."
        raise Refusal(400, message, param="messages", code="empty_array")
    if request.n not in (None, 1):
        raise Refusal(400, "The scripted server makes one choice: n must be 1.", param="n")
    if reasoning_model:
        _check_for_reasoning_model(request)
    _check_tool_choice(request)
    _check_schemas(request)


async def reply_to(
    conduct: Conduct, request: ChatRequest, identity: str, attempt: int = 0
) -> Reply:
    """What is said to a request that was seen `attempt` times before.

    Raises `Refusal`: 422 where there is nothing to say, 400 for a bad schema.
    """
    if request.model == SCRIPTED_AGENT:
        return act(request)
    try:
        if "<environment>\n" not in request.prompt:
            reply = await _reply_freely(conduct, request, f"{conduct.seed}/{identity}")
            if reply is not None:
                return reply
        said = answer(request.prompt, request.seed or 0)
        if conduct.lies.are_told:
            chance = chance_of(conduct.seed, identity, attempt)
            said = conduct.lies.told(said, read_sections(request.prompt), chance)
    except (CannotAnswer, CannotShape) as error:
        raise Refusal(422, str(error)) from error
    return Reply(msgspec.json.encode(said).decode())


async def _reply_freely(conduct: Conduct, request: ChatRequest, seed: str) -> Reply | None:
    """For a prompt that is not our simulator's: what `respond` says, or what has the shape that
    is asked for; None if neither is there.
    """
    if conduct.respond is not None:
        said = conduct.respond(request)
        said = await said if inspect.isawaitable(said) else said
        if said is not None:
            return _as_reply(said)
    if request.tools and (tool := _tool_to_call(request, request.tools)):
        parameters = tool.function.parameters or _OBJECT
        arguments = msgspec.json.encode(shaped(parameters, seed)).decode()
        call = Said(f"call_{seed.rpartition('/')[2]}", tool.function.name, arguments)
        return Reply(tool_calls=[call], finish_reason="tool_calls")
    form = request.response_format
    if form and form.type == "json_schema" and form.json_schema:
        return Reply(msgspec.json.encode(shaped(form.json_schema.schema, seed)).decode())
    if form and form.type == "json_object":
        return Reply('{"note":"scripted, not an LLM"}')
    return None


def _as_reply(said: Answer) -> Reply:
    """What `respond` said. Raises `ValueError` for what is neither text nor a message."""
    if isinstance(said, str):
        return Reply(said)
    message = msgspec.convert(said, _Message)
    calls = [
        Said(call.id or f"call_{number}", call.function.name, _as_text(call.function.arguments))
        for number, call in enumerate(message.tool_calls or ())
    ]
    reason = message.finish_reason or ("tool_calls" if calls else "stop")
    return msgspec.convert(
        {
            "content": message.content,
            "tool_calls": calls,
            "reasoning": message.reasoning_content,
            "finish_reason": reason,
        },
        Reply,
    )


class _Called(msgspec.Struct):
    name: str
    arguments: str | dict[str, Any] = "{}"


class _Call(msgspec.Struct):
    function: _Called
    id: str = ""


class _Message(msgspec.Struct):
    content: str | None = None
    tool_calls: list[_Call] | None = None
    reasoning_content: str = ""
    finish_reason: str | None = None


def _as_text(arguments: str | dict[str, Any]) -> str:
    if isinstance(arguments, str):
        return arguments
    return msgspec.json.encode(arguments).decode()


def _tool_to_call(request: ChatRequest, tools: list[Tool]) -> Tool | None:
    """The named tool, the first if one is required, else none."""
    choice = request.tool_choice
    if isinstance(choice, Tool):
        return next(t for t in tools if t.function.name == choice.function.name)
    return tools[0] if choice == "required" else None


def _check_tool_choice(request: ChatRequest) -> None:
    choice, tools = request.tool_choice, request.tools or []
    if choice is None:
        return
    if not tools:
        message = "Invalid value for 'tool_choice': only allowed when 'tools' are specified."
        raise Refusal(400, message, param="tool_choice")
    if isinstance(choice, str) and choice not in ("auto", "none", "required"):
        message = (
            f"Invalid value: '{choice}'. Supported values are: 'none', 'auto', and 'required'."
        )
        raise Refusal(400, message, param="tool_choice", code="invalid_value")
    if isinstance(choice, Tool) and choice.function.name not in {t.function.name for t in tools}:
        message = f"Tool choice '{choice.function.name}' not found in 'tools' parameter."
        raise Refusal(400, message, param="tool_choice")


def _check_for_reasoning_model(request: ChatRequest) -> None:
    if request.max_tokens is not None:
        message = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead."
        )
        raise Refusal(400, message, param="max_tokens", code="unsupported_parameter")
    if request.temperature not in (None, 1):
        message = (
            f"Unsupported value: 'temperature' does not support {request.temperature:g} with "
            "this model. Only the default (1) value is supported."
        )
        raise Refusal(400, message, param="temperature", code="unsupported_value")


def _check_schemas(request: ChatRequest) -> None:
    for number, tool in enumerate(request.tools or ()):
        if problem := _problem_of(msgspec.json.encode(tool.function.parameters or _OBJECT)):
            message = f"Invalid schema for function '{tool.function.name}': {problem}"
            param, code = f"tools[{number}].function.parameters", "invalid_function_parameters"
            raise Refusal(400, message, param=param, code=code)
    form = request.response_format
    if form is None or form.type != "json_schema":
        return
    if form.json_schema is None:
        message = "Missing required parameter: 'response_format.json_schema'."
        param, code = "response_format.json_schema", "missing_required_parameter"
        raise Refusal(400, message, param=param, code=code)
    if problem := _problem_of(msgspec.json.encode(form.json_schema.schema)):
        message = f"Invalid schema for response_format '{form.json_schema.name}': {problem}"
        raise Refusal(400, message, param="response_format", code="invalid_json_schema")


@lru_cache(maxsize=256)
def _problem_of(schema: bytes) -> str | None:
    """What is wrong with a schema. Kept, for a run asks with the same few again and again."""
    try:
        jsonschema.Draft202012Validator.check_schema(msgspec.json.decode(schema))
    except (jsonschema.SchemaError, RecursionError) as error:
        return str(getattr(error, "message", error))
    return None
