"""ShareGPT with tools: `{"conversations": [{"from", "value"}], "system": …, "tools": …}`.

The shape of APIGen-MT-5k and of LLaMA-Factory's `sharegpt` formatting. Speakers are `human`, `gpt`,
`function_call` and `observation`; `tools` is JSON text, a list of bare functions. One call is an
object `{"name", "arguments"}`; several are a list, and then what they returned is one turn too,
a JSON list of texts.

Text beside a call has no place but `<think>` in front of the call's JSON, in the very form that
LLaMA-Factory takes out again. So in this format's normal form it is a thought: the pieces of the
text, tags left out, in one pair of tags. Nothing else of a text can be taken for markup. Refused by
`write` are only a system message that is not the first, and what `normal_form` refuses.
"""

import re
from typing import Any, Literal

import msgspec

from simia_async.formats.chat_text import arguments_of
from simia_async.formats.conversation import Conversation
from simia_async.formats.json_text import compact, convert, decode, spaced
from simia_async.formats.normal_form import name_of, normal_form, written_soundly
from simia_async.formats.refusals import NotReadable, NotWritable
from simia_async.formats.transcript import Transcript
from simia_async.messages import FunctionCall, Message, ToolSchema

_TAGS = re.compile(r"</?think>")
_THOUGHT = re.compile(r"\s*<think>(.*?)</think>\s*", re.DOTALL)

_Speaker = Literal["system", "user", "assistant", "call", "observation"]
_SPEAKERS: dict[str, _Speaker] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "function_call": "call",
    "observation": "observation",
    "tool": "observation",
}


class _Turn(msgspec.Struct, rename={"speaker": "from"}):
    speaker: str
    value: str


class _Line(msgspec.Struct):
    conversations: list[_Turn]
    system: str | None = None
    tools: str | list[dict[str, Any]] | None = None
    id: str | int = ""
    reward: float | None = None


class _LooseCall(msgspec.Struct):
    name: str
    arguments: dict[str, Any] | str


def as_thought(text: str) -> str:
    """Text beside a call as the one thought that the format holds; empty if it says nothing."""
    pieces = filter(None, map(str.strip, _TAGS.split(text)))
    thought = "\n".join(pieces)
    return f"<think>{thought}</think>" if thought else ""


def write(conversation: Conversation) -> dict[str, Any]:
    """The line. Raises `NotWritable` for what the format cannot hold."""
    meant = normal_form(conversation, as_thought)
    system, messages = "", meant.messages
    if messages and messages[0].role == "system":
        system, messages = messages[0].content or "", messages[1:]
    if any(message.role == "system" for message in messages):
        raise NotWritable(f"{name_of(meant)}: has a system message that is not the first")
    line: dict[str, Any] = {"id": meant.id} if meant.id else {}
    line["conversations"] = [{"from": who, "value": text} for who, text in _turns(messages)]
    line["system"] = system
    line["tools"] = spaced([_bare(tool) for tool in meant.tools])
    if meant.reward is not None:
        line["reward"] = meant.reward
    return written_soundly(line, meant, read)


def read(line: dict[str, Any]) -> Conversation:
    """Raises `NotReadable` naming the field or the turn."""
    parsed = convert(line, _Line)
    transcript = Transcript()
    if parsed.system:
        transcript.say("system", parsed.system)
    for at, turn in enumerate(parsed.conversations):
        try:
            _add(transcript, turn)
        except NotReadable as error:
            raise NotReadable(f"turn {at} ({turn.speaker}): {error}") from error
    tools = _read_tools(parsed.tools)
    return Conversation(transcript.messages, tools, str(parsed.id), parsed.reward)


def _turns(messages: list[Message]) -> list[tuple[str, str]]:
    """Who speaks, and what. Observations of several calls are one turn."""
    turns: list[tuple[str, str]] = []
    together: list[str] | None = None
    for message in messages:
        if message.role != "tool":
            together = [] if len(message.tool_calls or ()) > 1 else None
            turns.append(_turn(message))
        elif together is None:
            turns.append(("observation", message.content or ""))
        else:
            if together:
                turns.pop()
            together.append(message.content or "")
            turns.append(("observation", spaced(together)))
    return turns


def _turn(message: Message) -> tuple[str, str]:
    if not message.tool_calls:
        return "human" if message.role == "user" else "gpt", message.content or ""
    calls = [
        {"name": call.function.name, "arguments": arguments_of(call.function)}
        for call in message.tool_calls
    ]
    thought = _THOUGHT.sub(r"<think>\n\1\n</think>\n\n", message.content or "")
    return "function_call", thought + spaced(calls if len(calls) > 1 else calls[0])


def _add(transcript: Transcript, turn: _Turn) -> None:
    speaker = _SPEAKERS.get(turn.speaker)
    if speaker is None:
        raise NotReadable(f"unknown speaker; expected one of {', '.join(_SPEAKERS)}")
    if speaker == "call":
        match = _THOUGHT.match(turn.value)
        calls = _read_calls(turn.value[match.end() :] if match else turn.value)
        transcript.call(as_thought(match[1]) if match else None, calls)
    elif speaker == "observation":
        several = transcript.open_calls > 1
        transcript.observe(
            decode(turn.value, list[str], "observations of several calls")
            if several
            else [turn.value]
        )
    else:
        transcript.say(speaker, turn.value)


def _read_calls(text: str) -> list[FunctionCall]:
    calls = decode(text, _LooseCall | list[_LooseCall], "its calls")  # type: ignore[arg-type]
    listed = calls if isinstance(calls, list) else [calls]
    if not listed:
        raise NotReadable("an empty list of calls")
    return [FunctionCall(call.name, _arguments(call.arguments)) for call in listed]


def _arguments(written: dict[str, Any] | str) -> str:
    return written if isinstance(written, str) else compact(written)


def _read_tools(written: str | list[dict[str, Any]] | None) -> list[ToolSchema]:
    if isinstance(written, str):
        written = decode(written, list[dict[str, Any]], "`tools`") if written.strip() else []
    return [_whole(tool) for tool in written or ()]


def _bare(tool: ToolSchema) -> dict[str, Any]:
    """The function alone, where the tool says nothing more."""
    function = tool.get("function")
    return function if isinstance(function, dict) and _whole(function) == tool else tool


def _whole(tool: dict[str, Any]) -> ToolSchema:
    return {"type": "function", "function": tool} if "name" in tool else tool
