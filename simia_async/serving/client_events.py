"""The events of a server's run, as they come over the wire."""

from collections.abc import AsyncIterator

import msgspec


class RunEvent(msgspec.Struct, frozen=True):
    """That rows `first` to `last` of a table of the run's record were written."""

    cursor: int
    table: str
    first: int
    last: int


class _Rows(msgspec.Struct, frozen=True):
    table: str
    first: int
    last: int


async def read_events(stream: AsyncIterator[bytes]) -> AsyncIterator[RunEvent | None]:
    """The events in a `text/event-stream` of ours; None at the end of the run."""
    rest = b""
    async for piece in stream:
        *frames, rest = (rest + piece).split(b"\n\n")
        for frame in frames:
            fields = dict(line.partition(b": ")[::2] for line in frame.split(b"\n"))
            if fields.get(b"event") == b"end":
                yield None
            if fields.get(b"event") == b"rows":
                rows = msgspec.json.decode(fields[b"data"], type=_Rows)
                yield RunEvent(int(fields[b"id"]), rows.table, rows.first, rows.last)
