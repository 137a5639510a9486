"""Every tool called is declared."""

import re
from collections import Counter

import msgspec

from simia_async.environments import Environment
from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.synthesis.rules.derived import derived
from simia_async.synthesis.rules.verdict import Case, Mended, Reject


def known_tools(case: Case) -> Mended | None:
    """Tools go by their declared names. Another spelling of exactly one of them (`getOrder`,
    `functions.get-order`) is put right; a misspelt name is not.
    """
    declared = case.environment.validators
    messages: list[Message] | None = None
    reasons = []
    for at, message in enumerate(case.messages):
        calls = message.tool_calls or ()
        if any(call.function.name not in declared for call in calls):
            messages = messages or list(case.messages)
            renamed = [_renamed(call, case.environment, at) for call in calls]
            messages[at] = msgspec.structs.replace(message, tool_calls=renamed)
            reasons += [
                f"turn {at}: {old.function.name} is {new.function.name}"
                for old, new in zip(calls, renamed, strict=True)
                if old is not new
            ]
    return Mended(messages, reasons) if messages else None


def _renamed(call: ToolCall, environment: Environment, at: int) -> ToolCall:
    name, arguments = call.function.name, call.function.arguments
    if name in environment.validators:
        return call
    spellings = derived(environment, "rules.spellings", _spellings)
    meant = spellings.get(_spelling(re.split(r"[.:/]", name)[-1]))
    if meant is None:
        raise Reject(f"turn {at}: unknown tool {name[:80]!r}")
    return msgspec.structs.replace(call, function=FunctionCall(meant, arguments))


def _spellings(environment: Environment) -> dict[str, str]:
    """Declared tools by their spelling, where no other tool is spelt alike."""
    counts = Counter(map(_spelling, environment.validators))
    return {
        _spelling(name): name for name in environment.validators if counts[_spelling(name)] == 1
    }


def _spelling(name: str) -> str:
    return re.sub(r"[-_ ]", "", name).lower()
