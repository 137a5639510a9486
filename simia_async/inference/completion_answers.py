"""Bodies of text completions, whole and in a stream."""

from collections.abc import Sequence
from typing import Any

from simia_async.inference import answers
from simia_async.inference.choices import Piece, Spoken
from simia_async.inference.protocol import CompletionRequest
from simia_async.inference.requests import Drawn
from simia_async.rendering.renderer import Renderer


class CompletionAnswer:
    """The answer to one request."""

    def __init__(
        self, asked: CompletionRequest, prompts: Sequence[list[int]], renderer: Renderer
    ) -> None:
        self._asked = asked
        self._prompts = prompts
        self._renderer = renderer
        self._head = {**answers.head("cmpl", asked.model), "object": "text_completion"}
        self._offsets: dict[int, int] = {}
        """Where in its text the next tokens of each choice begin that has begun."""

    def whole(self, spoken: Sequence[Spoken]) -> dict[str, Any]:
        """The body."""
        choices = [self._choice(said.index, said.text, said.sampled.drawn, said) for said in spoken]
        return {**self._head, "choices": choices, "usage": answers.usage(self._prompts, spoken)}

    def opening(self) -> list[dict[str, Any]]:
        """Chunks before anything has come."""
        return []

    def chunks(self, piece: Piece) -> list[dict[str, Any]]:
        """Chunks of a piece."""
        choice = self._choice(piece.index, piece.text, piece.drawn, piece.end)
        return [{**self._head, "choices": [choice], "usage": None}]

    def usage_chunk(self, spoken: Sequence[Spoken]) -> dict[str, Any]:
        """The last chunk of a stream, if it is wanted."""
        return {**self._head, "choices": [], "usage": answers.usage(self._prompts, spoken)}

    def _choice(
        self, index: int, text: str, drawn: Sequence[Drawn], end: Spoken | None
    ) -> dict[str, Any]:
        choice = {
            "index": index,
            "text": text,
            "logprobs": None,
            "finish_reason": end.sampled.finish_reason if end else None,
            "stop_reason": end.stop_reason if end else None,
        }
        first = index not in self._offsets
        offset = self._offsets.setdefault(index, 0)
        if self._asked.logprobs is not None:
            logprobs = answers.completion_logprobs(self._renderer, drawn, offset)
            choice["logprobs"] = logprobs
            self._offsets[index] += sum(map(len, logprobs["tokens"]))
        if self._asked.return_token_ids:
            choice["token_ids"] = [one.token for one in drawn]
            if first:
                choice["prompt_token_ids"] = self._prompts[index // self._asked.choices]
        return choice
