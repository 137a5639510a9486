"""Post-processing: small named rules, each of which passes, repairs or rejects a conversation."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import json_repair
import jsonschema
import msgspec

from simia_async.environments import Environment
from simia_async.environments.seeds import STOP_MARK
from simia_async.messages import FunctionCall, Message, ToolCall, visible_text
from simia_async.simulation.code_answers import arguments_of

Messages = list[Message]


class Reject(Exception):
    """The conversation is not sound; the text says why."""


class Verdict(msgspec.Struct, frozen=True):
    """What the rules made of a conversation."""

    messages: Messages
    repairs: list[str] = []
    """Names of the rules that repaired something."""
    rejected_by: str | None = None
    reason: str | None = None


def no_empty_turns(messages: Messages, environment: Environment) -> Messages:
    """User and agent say or call something; an observation may well be empty."""
    for at, message in enumerate(messages):
        if message.role == "tool" or message.tool_calls:
            continue
        if not visible_text(message.content or ""):
            raise Reject(f"turn {at} ({message.role}) is empty")
    return messages


_FOLLOWERS = {
    "user": {"assistant"},
    "tool": {"assistant", "tool"},
    "reply": {"user"},
    "call": {"tool"},
}


def role_order(messages: Messages, environment: Environment) -> Messages:
    """The user opens; replies go to the user, calls to tools, observations to the agent."""
    kinds = [_kind(message) for message in messages]
    if not kinds or kinds[0] != "user":
        raise Reject("the conversation does not open with the user")
    for at, (kind, following) in enumerate(zip(kinds, messages[1:], strict=False)):
        if following.role not in _FOLLOWERS.get(kind, set()):
            raise Reject(f"turn {at + 1} ({following.role}) follows a {kind}")
    return messages


def proper_end(messages: Messages, environment: Environment) -> Messages:
    """The last word is the agent's reply, or the observation of a tool that ends conversations.
    A last word of the user that nobody answered is cut off.
    """
    while messages and messages[-1].role == "user":
        messages = messages[:-1]
    if not messages:
        raise Reject("the agent never answers")
    last = messages[-1]
    if last.role == "assistant" and not last.tool_calls:
        return messages
    called = messages[-2].tool_calls if last.role == "tool" and len(messages) > 1 else None
    if called and called[-1].function.name in environment.ending_tools:
        return messages
    raise Reject(f"the conversation breaks off after a {_kind(last)}")


def arguments_are_json(messages: Messages, environment: Environment) -> Messages:
    """Arguments are a JSON object. Small slips are repaired; what cannot be is never made `{}`."""
    repaired = list(messages)
    for at, message in enumerate(messages):
        calls = message.tool_calls or []
        if any(arguments_of(call) is None for call in calls):
            mended = [_mend(call, at) for call in calls]
            repaired[at] = msgspec.structs.replace(message, tool_calls=mended)
    return repaired


def _mend(call: ToolCall, at: int) -> ToolCall:
    if arguments_of(call) is not None:
        return call
    value: Any = json_repair.loads(call.function.arguments)
    if not isinstance(value, dict) or not value:
        raise Reject(f"turn {at}: the arguments of {call.function.name} are not a JSON object")
    try:
        arguments = msgspec.json.encode(value).decode()
    except (UnicodeError, RecursionError) as error:
        raise Reject(f"turn {at}: the arguments of {call.function.name}: {error}") from error
    return msgspec.structs.replace(call, function=FunctionCall(call.function.name, arguments))


def known_tools(messages: Messages, environment: Environment) -> Messages:
    """Every tool called is declared."""
    for at, message in enumerate(messages):
        for call in message.tool_calls or ():
            if call.function.name not in environment.validators:
                raise Reject(f"turn {at}: unknown tool {call.function.name}")
    return messages


def arguments_fit_schema(messages: Messages, environment: Environment) -> Messages:
    """Arguments are what the tool's schema asks for."""
    for at, message in enumerate(messages):
        for call in message.tool_calls or ():
            errors = environment.validators[call.function.name].iter_errors(arguments_of(call))
            problem = jsonschema.exceptions.best_match(errors)
            if problem is not None:
                raise Reject(f"turn {at}: arguments of {call.function.name}: {problem.message}")
    return messages


def calls_are_answered(messages: Messages, environment: Environment) -> Messages:
    """Every call has its observation, and every observation its call."""
    open_ids: list[str] = []
    for at, message in enumerate(messages):
        if message.role == "tool":
            if message.tool_call_id not in open_ids:
                raise Reject(f"turn {at}: an observation without a call")
            open_ids.remove(message.tool_call_id)
        elif open_ids:
            raise Reject(f"turn {at}: a call was left without its observation")
        else:
            open_ids = [call.id for call in message.tool_calls or ()]
    if open_ids:
        raise Reject("the last call was left without its observation")
    return messages


_LEAKS = ("<environment>", "<tools>", "<seed>", "<state>", "<task>", "<history>", STOP_MARK)


def no_leaked_prompt(messages: Messages, environment: Environment) -> Messages:
    """No tag of our prompts and no stop mark stands in the conversation."""
    for at, message in enumerate(messages):
        calls = message.tool_calls or ()
        texts = [message.content or "", *(call.function.arguments for call in calls)]
        for leak in _LEAKS:
            if any(leak in text for text in texts):
                raise Reject(f"turn {at}: holds {leak}")
    return messages


Rule = Callable[[Messages, Environment], Messages]

RULES: tuple[Rule, ...] = (
    no_empty_turns,
    proper_end,
    role_order,
    known_tools,
    arguments_are_json,
    arguments_fit_schema,
    calls_are_answered,
    no_leaked_prompt,
)
"""In the order they are applied; each sees what the one before left."""


def apply_rules(messages: Sequence[Message], environment: Environment) -> Verdict:
    """Run every rule until one rejects."""
    current = [message for message in messages if message.role != "system"]
    repairs: list[str] = []
    for rule in RULES:
        try:
            after = rule(current, environment)
        except Reject as reject:
            return Verdict(current, repairs, rule.__name__, str(reject))
        if after != current:
            repairs.append(rule.__name__)
        current = after
    return Verdict(current, repairs)


def fingerprint(messages: Sequence[Message]) -> str:
    """Equal for two conversations that say, call and observe the same; call ids do not count."""
    told = [
        (m.role, m.content, [(c.function.name, c.function.arguments) for c in m.tool_calls or ()])
        for m in messages
    ]
    return hashlib.sha256(msgspec.json.encode(told)).hexdigest()


def _kind(message: Message) -> str:
    if message.role == "assistant":
        return "call" if message.tool_calls else "reply"
    return message.role
