"""The choices of one request while they are under way."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from typing import Self

import msgspec

from simia_async.inference.engine import Engine
from simia_async.inference.protocol import ChatRequest, CompletionRequest
from simia_async.inference.requests import Drawn, Sampled, SampleRequest
from simia_async.inference.speech import Speech, text_of
from simia_async.rendering.renderer import Renderer

_GREEDY_BELOW = 1e-5
"""A temperature that is as good as 0 and would overflow, as in vLLM."""


class Spoken(msgspec.Struct, frozen=True):
    """A choice that is done."""

    index: int
    sampled: Sampled
    text: str
    stop_reason: str | int | None = None
    """The stop text or stop token that ended it."""


class Piece(msgspec.Struct, frozen=True):
    """What came of one choice since the piece before; `end` is in the last one."""

    index: int
    text: str
    drawn: list[Drawn]
    end: Spoken | None = None


class _Choice:
    """One choice. `tell` is called on the engine's thread."""

    def __init__(
        self,
        index: int,
        renderer: Renderer,
        stops: Sequence[str],
        tell: Callable[[Piece], None] | None,
    ) -> None:
        self._index = index
        self._renderer = renderer
        self._tell = tell
        self._speech = Speech(renderer, stops) if stops or tell else None
        self._untold: list[Drawn] = []
        self.watch = self._hear if self._speech is not None else None

    def _hear(self, drawn: Drawn) -> bool:
        assert self._speech is not None
        text = "" if drawn.ends else self._speech.hear(drawn.token)
        if self._tell is not None:
            self._untold.append(drawn)
            if text:
                self._tell(Piece(self._index, text, self._untold))
                self._untold = []
        return self._speech.stop is not None

    def end(self, sampled: Sampled) -> Piece:
        """The last piece."""
        rest = self._speech.finish() if self._speech is not None else ""
        text, stop = text_of(self._renderer, sampled.said_ids), None
        if self._speech is not None:
            text, stop = self._speech.text, self._speech.stop
        last = sampled.drawn[-1]
        token = last.token if last.ends and last.token != self._renderer.eos_id else None
        spoken = Spoken(self._index, sampled, text, token if stop is None else stop)
        return Piece(self._index, rest, self._untold, spoken)


class Choices:
    """What a request has asked for: `n` answers to each prompt, in the order of prompts. On exit
    those that are still under way are ended.

    Raises what `Engine.sample` does.
    """

    def __init__(
        self,
        engine: Engine,
        renderer: Renderer,
        asked: CompletionRequest | ChatRequest,
        prompts: Sequence[list[int]],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[Piece | int] = asyncio.Queue()
        self._begun: list[tuple[_Choice, Future[Sampled]]] = []
        seed = random.getrandbits(63) if asked.seed is None else asked.seed
        try:
            for prompt in prompts:
                for number in range(asked.choices):
                    tell = self._put if asked.stream else None
                    choice = _Choice(len(self._begun), renderer, asked.stops, tell)
                    request = _request(engine, asked, prompt, seed + number, choice)
                    self._begun.append((choice, engine.sample(request)))
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    async def whole(self) -> list[Spoken]:
        """All of them, when all are done. Raises what went wrong with any."""
        sampled = await asyncio.gather(*(asyncio.wrap_future(future) for _, future in self._begun))
        ends = [
            choice.end(result) for (choice, _), result in zip(self._begun, sampled, strict=True)
        ]
        return [piece.end for piece in ends if piece.end is not None]

    async def pieces(self) -> AsyncIterator[Piece]:
        """What comes of any, as it comes. Raises what went wrong with any."""
        for index, (_, future) in enumerate(self._begun):
            future.add_done_callback(lambda _, index=index: self._put(index))  # type: ignore[misc]
        left = len(self._begun)
        while left:
            piece = await self._pieces.get()
            if isinstance(piece, int):
                choice, future = self._begun[piece]
                piece = choice.end(future.result())
                left -= 1
            yield piece

    def _put(self, piece: Piece | int) -> None:
        # A loop that is closed has nobody who listens.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)

    def _end(self) -> None:
        for _, future in self._begun:
            future.cancel()


def _request(
    engine: Engine,
    asked: CompletionRequest | ChatRequest,
    prompt: list[int],
    seed: int,
    choice: _Choice,
) -> SampleRequest:
    return SampleRequest(
        prompt,
        asked.model,
        asked.limit or max(1, engine.context - len(prompt)),
        _temperature(asked),
        seed,
        top_p=1.0 if asked.top_p is None else asked.top_p,
        top_k=max(0, asked.top_k or 0),
        min_p=asked.min_p or 0.0,
        stop_token_ids=frozenset(asked.stop_token_ids or ()),
        ignore_eos=bool(asked.ignore_eos),
        likeliest=asked.likeliest,
        watch=choice.watch,
    )


def _temperature(asked: CompletionRequest | ChatRequest) -> float:
    if asked.temperature is None:
        return 1.0
    return asked.temperature if asked.temperature >= _GREEDY_BELOW else 0.0
