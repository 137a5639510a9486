"""What the user does on a device of their own, which the policy never sees.

Two kinds of turns: `user_call`, whose message is of the user and holds calls, and one `user_tool`
for what each of them returned. They are numbered among the others, and follow each other until the
user speaks.
"""

from collections import deque

from simia_store import TurnRecord

from simia_async.messages import Message, ToolCall
from simia_async.simulation.device import as_tool_calls
from simia_async.simulation.replies import DeviceUserReply


class DeviceUse:
    """One conversation's, as its turns tell it."""

    def __init__(self) -> None:
        self.pending: deque[ToolCall] = deque()
        """Calls that are not answered yet."""
        self._calls = 0
        self._errors = 0

    def count(self, turn: TurnRecord, message: Message) -> None:
        """Take up a turn of the user's own."""
        if turn.role == "user_call":
            self.pending = deque(message.tool_calls or ())
            return
        self.pending.popleft()
        self._calls += 1
        self._errors += turn.is_error

    @property
    def told(self) -> dict[str, int]:
        """What the record of the conversation says of it."""
        return {"device_calls": self._calls, "device_errors": self._errors}


def calling_turn(
    trajectory_id: int, reply: DeviceUserReply, position: int
) -> tuple[TurnRecord, Message]:
    """The turn at `position` in which the user makes calls. What they said besides is a thought of
    theirs: nobody has heard it.
    """
    calls = as_tool_calls(reply.tool_calls, position)
    message = Message("user", reply.message.strip() or None, calls)
    return TurnRecord(trajectory_id, 0, "user_call", {}, source="llm"), message
