"""The simulated world: an LLM as user, tools, judge and author, and code that keeps it honest."""

from simia_async.simulation.code_answers import answer_in_code, arguments_of
from simia_async.simulation.replies import (
    Draft,
    Judgement,
    Review,
    TaskDraft,
    ToolReply,
    UserReply,
)
from simia_async.simulation.simulator import Simulator
from simia_async.simulation.state import apply_ops
from simia_async.simulation.wishes import Wishes

__all__ = [
    "Draft",
    "Judgement",
    "Review",
    "Simulator",
    "TaskDraft",
    "ToolReply",
    "UserReply",
    "Wishes",
    "answer_in_code",
    "apply_ops",
    "arguments_of",
]
