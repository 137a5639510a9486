"""Bodies of chat completions, whole and in a stream."""

from collections.abc import Sequence
from typing import Any

from simia_async.inference import answers
from simia_async.inference.choices import Piece, Spoken
from simia_async.inference.protocol import ChatRequest
from simia_async.inference.replies import Reply
from simia_async.inference.requests import Drawn
from simia_async.messages import ToolCall
from simia_async.rendering.call_styles import CallStyle
from simia_async.rendering.renderer import Renderer


class ChatAnswer:
    """The answer to one request. `style`: how the model writes calls."""

    def __init__(
        self, asked: ChatRequest, prompt: list[int], renderer: Renderer, style: CallStyle
    ) -> None:
        self._asked = asked
        self._prompt = prompt
        self._renderer = renderer
        self._head = answers.head("chatcmpl", asked.model)
        told_of = style if asked.offered_tools else None
        prefix = f"call_{self._head['id'].removeprefix('chatcmpl-')[:12]}"
        self._replies = [Reply(told_of, f"{prefix}_{index}") for index in range(asked.choices)]
        self._untold: list[list[Drawn]] = [[] for _ in range(asked.choices)]

    def whole(self, spoken: Sequence[Spoken]) -> dict[str, Any]:
        """The body."""
        body = {
            **self._head,
            "object": "chat.completion",
            "choices": [self._choice(said) for said in spoken],
            "usage": answers.usage([self._prompt], spoken),
        }
        if self._asked.return_token_ids:
            body["prompt_token_ids"] = self._prompt
        return body

    def opening(self) -> list[dict[str, Any]]:
        """Chunks before anything has come: who speaks."""
        delta = {"role": "assistant", "content": ""}
        chunks = [self._chunk(index, delta, []) for index in range(self._asked.choices)]
        if self._asked.return_token_ids:
            chunks[0]["prompt_token_ids"] = self._prompt
        return chunks

    def chunks(self, piece: Piece) -> list[dict[str, Any]]:
        """Chunks of a piece: what is said, and at the end the calls and why it ended."""
        index, reply = piece.index, self._replies[piece.index]
        drawn = self._untold[index]
        drawn += piece.drawn
        content = reply.hear(piece.text)
        rest, calls = reply.finish() if piece.end else ("", [])
        content += rest
        deltas: list[dict[str, Any]] = [{"content": content}] if content else []
        deltas += [delta for number, call in enumerate(calls) for delta in _deltas(number, call)]
        if not (deltas or piece.end):
            return []
        self._untold[index] = []
        chunks = []
        for delta in deltas:
            chunks.append(self._chunk(index, delta, drawn))
            drawn = []
        if piece.end:
            chunks.append(self._chunk(index, {}, drawn, piece.end, calls))
        return chunks

    def usage_chunk(self, spoken: Sequence[Spoken]) -> dict[str, Any]:
        """The last chunk of a stream, if it is wanted."""
        used = answers.usage([self._prompt], spoken)
        return {**self._head, "object": "chat.completion.chunk", "choices": [], "usage": used}

    def _choice(self, said: Spoken) -> dict[str, Any]:
        reply = self._replies[said.index]
        content = reply.hear(said.text)
        rest, calls = reply.finish()
        content += rest
        message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
        if calls:
            message |= {"content": content or None, "tool_calls": calls}
        choice = {"index": said.index, "message": message}
        return {**choice, **self._beside(said.sampled.drawn, said, calls)}

    def _chunk(
        self,
        index: int,
        delta: dict[str, Any],
        drawn: Sequence[Drawn],
        end: Spoken | None = None,
        calls: Sequence[ToolCall] = (),
    ) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, **self._beside(drawn, end, calls)}
        return {
            **self._head,
            "object": "chat.completion.chunk",
            "choices": [choice],
            "usage": None,
        }

    def _beside(
        self, drawn: Sequence[Drawn], end: Spoken | None, calls: Sequence[ToolCall]
    ) -> dict[str, Any]:
        """What stands beside what is said."""
        reason = end.sampled.finish_reason if end else None
        beside: dict[str, Any] = {
            "logprobs": None,
            "finish_reason": "tool_calls" if calls and reason == "stop" else reason,
            "stop_reason": end.stop_reason if end else None,
        }
        if self._asked.logprobs and drawn:
            beside["logprobs"] = answers.chat_logprobs(self._renderer, drawn)
        if self._asked.return_token_ids:
            beside["token_ids"] = [one.token for one in drawn]
        return beside


def _deltas(index: int, call: ToolCall) -> list[dict[str, Any]]:
    """A call as a stream has it: its name, then its arguments."""
    name = {"name": call.function.name, "arguments": ""}
    arguments = {"arguments": call.function.arguments}
    return [
        {"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": name}]},
        {"tool_calls": [{"index": index, "function": arguments}]},
    ]
