"""A conversation that is sent again with every turn, encoded once."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import msgspec

from simia_async.messages import Message

_encode = msgspec.json.Encoder().encode


class History(Sequence[Message]):
    """Messages, and the bytes they are sent as: each is encoded when it is appended."""

    def __init__(self, messages: Iterable[Message] = ()) -> None:
        self._messages: list[Message] = []
        self._encoded: list[bytes] = []
        self.size = 0
        """Bytes of all messages."""
        for message in messages:
            self.append(message)

    def append(self, message: Message) -> None:
        """Add what was said. Thoughts are kept, but not sent: the endpoints refuse them."""
        sent = message
        if message.reasoning_content is not None:
            sent = msgspec.structs.replace(message, reasoning_content=None)
        try:
            encoded = _encode(sent)
        except UnicodeEncodeError:  # half a surrogate pair, from somebody's JSON
            text = json.dumps(msgspec.to_builtins(sent), ensure_ascii=False)
            encoded = text.encode(errors="replace")
        self._messages.append(message)
        self._encoded.append(encoded)
        self.size += len(encoded) + 1

    def as_json(self) -> bytes:
        """The messages as they stand in a request, without the brackets around them."""
        return b",".join(self._encoded)

    def __len__(self) -> int:
        return len(self._messages)

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> list[Message]: ...
    def __getitem__(self, index: int | slice) -> Message | list[Message]:
        return self._messages[index]

    def __iter__(self) -> Iterator[Message]:
        return iter(self._messages)
