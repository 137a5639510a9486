"""Conversations of any file: its format is told from its suffix and from the keys of its objects.

Read are JSON lines, one JSON array, and Parquet, of objects as OpenAI, tau-bench, ShareGPT, Hermes
and Llama 3 have them, and the result files of τ²-bench. `messages` may be JSON text, as tables
often hold them.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from simia_async.errors import UsageError
from simia_async.formats import hermes, llama3, openai, parquet, sharegpt, tau2, tau_bench
from simia_async.formats.conversation import Conversation
from simia_async.formats.json_text import decode
from simia_async.formats.refusals import NotReadable

_BOM = b"\xef\xbb\xbf"

Read = Callable[[dict[str, Any]], Conversation]

_READERS: dict[str, Read] = {
    "traj": tau_bench.read,
    "messages_display": tau_bench.read_display,
    "conversations": sharegpt.read,
}
"""The reader of an object by a key that it has; `messages` has several."""


def read_conversations(path: Path) -> Iterator[Conversation]:
    """Every conversation of a file, in order; one that has no id gets `<stem>:<line>`.

    Reads on as it is asked for more. Raises `UsageError` that names file, line and field.
    """
    for conversation, _ in read_with_lines(path):
        yield conversation


def read_with_lines(path: Path) -> Iterator[tuple[Conversation, dict[str, Any]]]:
    """The same, each with the object that it was read from, which may tell more."""
    if path.suffix == ".json" and tau2.is_results(path):
        for conversation, simulation in tau2.conversations_of(tau2.read_results(path)):
            yield conversation, {"task_id": simulation.task_id}
        return
    count = 0
    for place, number, data in _objects(path):
        try:
            line = data if isinstance(data, dict) else decode(data, dict[str, Any])
            conversation = _read(line)
        except NotReadable as error:
            raise UsageError(f"{path}: {place} {number}: {error}") from error
        count += 1
        yield _named(conversation, f"{path.stem}:{number}"), line
    if not count:
        raise UsageError(f"{path}: holds no conversation")


def _objects(path: Path) -> Iterator[tuple[str, int, bytes | dict[str, Any]]]:
    """Each object and where it stands: `line 3`, `item 3` of an array, `row 3` of a table."""
    try:
        if path.suffix == ".parquet":
            for number, row in enumerate(parquet.read_rows(path), 1):
                yield "row", number, row
        else:
            yield from _json_objects(path)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error


def _json_objects(path: Path) -> Iterator[tuple[str, int, bytes]]:
    with path.open("rb") as file:
        nothing_yet = True
        for number, line in enumerate(file, 1):
            data = line.removeprefix(_BOM).strip() if number == 1 else line.strip()
            if nothing_yet and data.startswith(b"["):
                yield from _items(path, data + b"\n" + file.read())
                return
            if data:
                nothing_yet = False
                yield "line", number, data


def _items(path: Path, array: bytes) -> Iterator[tuple[str, int, bytes]]:
    try:
        items = decode(array, list[msgspec.Raw])
    except NotReadable as error:
        raise UsageError(f"{path}: {error}") from error
    for number, item in enumerate(items, 1):
        yield "item", number, bytes(item)


def _read(line: dict[str, Any]) -> Conversation:
    if isinstance(messages := line.get("messages"), str):
        line = line | {"messages": decode(messages, list[Any], "`messages`")}
    conversation = _reader_of(line)(line)
    if not conversation.messages:
        raise NotReadable("a conversation in which nobody speaks")
    return conversation


def _reader_of(line: dict[str, Any]) -> Read:
    for key, reader in _READERS.items():
        if key in line:
            return reader
    if "messages" in line:
        return _chat_reader(line, line["messages"])
    found = ", ".join(f"`{key}`" for key in list(line)[:8]) or "no key at all"
    raise NotReadable(
        "no conversation; expected `messages` (OpenAI, Hermes or Llama 3 chat), `conversations` "
        f"(ShareGPT), `traj` or `messages_display` (tau-bench), found {found}"
    )


def _chat_reader(line: dict[str, Any], messages: Any) -> Read:
    """Chat with tools or calls apart from the text is OpenAI's, whatever its texts look like."""
    if not isinstance(messages, list):
        return openai.read  # It says what it found.
    apart = "tools" in line or any(isinstance(m, dict) and m.get("tool_calls") for m in messages)
    if not apart and llama3.is_llama3(messages):
        return llama3.read
    if not apart and hermes.is_hermes(messages):
        return hermes.read
    return openai.read


def _named(conversation: Conversation, name: str) -> Conversation:
    return conversation if conversation.id else msgspec.structs.replace(conversation, id=name)
