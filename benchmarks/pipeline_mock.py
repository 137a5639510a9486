"""An author that answers at once, with what was written before: `python pipeline_mock.py FILE`.

FILE holds bodies of completions, one a line; request number `seed` gets body number `seed`. Prints
its base URL. For every line on standard input it prints, as JSON, how many requests there were
since the last time, and the mean length of their prompts and of the texts they were answered with;
it ends with standard input.
"""

import asyncio
import json
import re
import statistics
import sys
from pathlib import Path
from typing import Any, cast

import httptools

from simia_async.speed import run_fast

SEED = re.compile(rb'"seed": ?(\d+)')
LOOKED_AT = 20
"""One request in so many is read whole."""


class Author:
    """What it says, and what it was asked."""

    def __init__(self, bodies: list[bytes]) -> None:
        self._bodies = bodies
        self._requests = 0
        self._looked_at: list[tuple[bytes, bytes]] = []

    def answer(self, request: bytes) -> bytes:
        """The body of an answer."""
        # Anything that is not the last parameter of the request may hold the same words.
        number = int(SEED.findall(request)[-1])
        body = self._bodies[number % len(self._bodies)]
        self._requests += 1
        if self._requests % LOOKED_AT == 0:
            self._looked_at.append((request, body))
        return body

    def summary(self) -> dict[str, float]:
        """Of the requests since the last time."""
        asked, said = zip(*self._looked_at, strict=True)
        prompts = [sum(len(m["content"]) for m in json.loads(each)["messages"]) for each in asked]
        texts = [len(json.loads(each)["choices"][0]["message"]["content"]) for each in said]
        summary = {
            "requests": self._requests,
            "prompt_characters": statistics.mean(prompts),
            "reply_characters": statistics.mean(texts),
        }
        self._requests, self._looked_at = 0, []
        return summary


class Connection(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, author: Author) -> None:
        self._author = author
        self._parser = httptools.HttpRequestParser(self)
        self._request: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._request.append(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        request = b"".join(self._request)
        self._request.clear()
        body = self._author.answer(request) if request else b'{"object":"list","data":[]}'
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self._transport.writelines((head % len(body), body))


async def main(bodies: list[bytes]) -> None:
    author = Author(bodies)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(author), "127.0.0.1", 0, backlog=4096)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        answer: dict[str, Any] = author.summary()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    run_fast(main, Path(sys.argv[1]).read_bytes().splitlines())
