"""Messages of a conversation whose format numbers no calls: the n-th call is `call_n`, from 0, and
observations answer the calls before them in their order.
"""

from collections.abc import Sequence

from simia_async.formats.refusals import NotReadable
from simia_async.messages import FunctionCall, Message, Role, ToolCall


class Transcript:
    """Collects messages and numbers calls."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._calls = 0
        self._unanswered: list[str] = []

    @property
    def open_calls(self) -> int:
        """How many calls of the last turn are not answered yet."""
        return len(self._unanswered)

    def say(self, role: Role, content: str | None) -> None:
        """Somebody says something and calls nothing; calls still open stay unanswered."""
        self._unanswered = []
        self.messages.append(Message(role, content or ""))

    def call(self, content: str | None, functions: Sequence[FunctionCall]) -> None:
        """The agent calls tools, perhaps saying something beside it."""
        ids = [f"call_{self._calls + at}" for at in range(len(functions))]
        self._calls += len(functions)
        self._unanswered = ids
        calls = [ToolCall(*numbered) for numbered in zip(ids, functions, strict=True)]
        self.messages.append(Message("assistant", content or None, calls))

    def observe(self, texts: Sequence[str]) -> None:
        """What the next calls returned. Raises `NotReadable` if there are fewer calls than that."""
        for text in texts:
            if not self._unanswered:
                raise NotReadable(f"message {len(self.messages)}: an observation answers no call")
            call_id = self._unanswered.pop(0)
            self.messages.append(Message("tool", text, tool_call_id=call_id))
