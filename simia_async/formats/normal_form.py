"""What a conversation comes to in a format that does not hold everything of it.

ShareGPT, Hermes and Llama 3 hold who said what, what was called and what was observed. They hold
no ids of calls, no names beside messages and no reasoning apart from the text, and they cannot
tell an absent text from an empty one. So the normal form of a conversation has

- calls with the ids `call_0`, `call_1`, … and observations in the order of their calls,
- arguments as compact JSON, keys in their order, numbers as msgspec writes them,
- text `""` where a turn without calls says nothing, and None where one with calls does,
- no `name`, no `reasoning_content`, and no system message that says nothing.

Text beside a call is kept; a format may change how (`beside_calls`). `id`, `reward` and tools are
kept as they are.

A conversation is refused if calls and observations do not fit, if arguments are no JSON object, and
if what would be written reads back as anything else: text that looks like the format's markup.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from simia_async.formats.conversation import Conversation
from simia_async.formats.json_text import compact, decode
from simia_async.formats.refusals import NotReadable, NotWritable
from simia_async.formats.transcript import Transcript
from simia_async.messages import FunctionCall, Message


def name_of(conversation: Conversation) -> str:
    """How an error names it."""
    return conversation.id or "a conversation"


def unchanged(text: str) -> str:
    """Text beside a call, kept as it is."""
    return text


def normal_form(
    conversation: Conversation, beside_calls: Callable[[str], str] = unchanged
) -> Conversation:
    """Raises `NotWritable`, naming the conversation and the message."""
    if conversation.incomplete is not None:
        raise NotWritable(f"{name_of(conversation)}: is incomplete: {conversation.incomplete}")
    transcript = Transcript()
    for at, message, observations in _turns(conversation.messages):
        try:
            _add(transcript, message, observations, beside_calls)
        except NotReadable as error:
            raise NotWritable(
                f"{name_of(conversation)}: message {at} ({message.role}): {error}"
            ) from error
    messages = transcript.messages
    if messages and messages[0].role == "system" and not messages[0].content:
        messages = messages[1:]
    return msgspec.structs.replace(conversation, messages=messages)


def written_soundly(
    line: dict[str, Any],
    meant: Conversation,
    read: Callable[[dict[str, Any]], Conversation],
) -> dict[str, Any]:
    """`line`, if it reads back as what is meant. Raises `NotWritable` if it does not."""
    try:
        found = read(line)
    except NotReadable as error:
        raise NotWritable(f"{name_of(meant)}: its text looks like markup: {error}") from error
    if found == meant:
        return line
    if found.messages == meant.messages:
        raise NotWritable(f"{name_of(meant)}: its tools would be read as others")
    at = _first_difference(found.messages, meant.messages)
    raise NotWritable(
        f"{name_of(meant)}: message {at}: its text looks like markup, and would be read so"
    )


def _turns(messages: Sequence[Message]) -> Iterator[tuple[int, Message, list[Message]]]:
    """Each message with its place and the observations that follow its calls."""
    at = 0
    while at < len(messages):
        end = at + 1
        while messages[at].tool_calls and end < len(messages) and messages[end].role == "tool":
            end += 1
        yield at, messages[at], list(messages[at + 1 : end])
        at = end


def _add(
    transcript: Transcript,
    message: Message,
    observations: list[Message],
    beside_calls: Callable[[str], str],
) -> None:
    if message.role == "tool":
        raise NotReadable("it answers no call of the message before it")
    if not message.tool_calls:
        transcript.say(message.role, message.content)
        return
    if message.role != "assistant":
        raise NotReadable("only the assistant calls tools")
    functions = [
        FunctionCall(call.function.name, _compacted(call.function.arguments))
        for call in message.tool_calls
    ]
    text = beside_calls(message.content) if message.content else None
    transcript.call(text, functions)
    transcript.observe(_in_order_of_calls([call.id for call in message.tool_calls], observations))


def _compacted(arguments: str) -> str:
    try:
        return compact(decode(arguments, dict[str, Any]))
    except NotReadable as error:
        raise NotReadable(f"arguments of a call are no JSON object: {error}") from error


def _in_order_of_calls(call_ids: list[str], observations: list[Message]) -> list[str]:
    texts: list[str] = []
    left = list(observations)
    for call_id in call_ids:
        answer = next((seen for seen in left if seen.tool_call_id == call_id), None)
        if answer is None:
            break
        left.remove(answer)
        texts.append(answer.content or "")
    if left:
        raise NotReadable("observations after it do not answer its calls one by one")
    return texts


def _first_difference(found: list[Message], meant: list[Message]) -> int:
    pairs = enumerate(zip(found, meant, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(found), len(meant)))
