"""An author that answers at once, with what was written before: `python pipeline_mock.py FILE`.

FILE holds bodies of completions, one a line; request number `seed` gets body number `seed`. Prints
its base URL. For every line on standard input it prints, as JSON, how many requests there were
since the last time, and the mean length of their prompts and of the texts they were answered with;
it ends with standard input.
"""

import json
import re
import statistics
import sys
from pathlib import Path

from plain_server import serve

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

    def answer(self, request: bytes) -> tuple[bytes, float]:
        """The body of an answer, which is there at once."""
        # Anything that is not the last parameter of the request may hold the same words.
        number = int(SEED.findall(request)[-1])
        body = self._bodies[number % len(self._bodies)]
        self._requests += 1
        if self._requests % LOOKED_AT == 0:
            self._looked_at.append((request, body))
        return body, 0.0

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


if __name__ == "__main__":
    run_fast(serve, Author(Path(sys.argv[1]).read_bytes().splitlines()))
