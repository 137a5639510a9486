"""The paper's text: a mark at the start of a line, and what was said up to the next mark."""

import re
from itertools import count

from simia_async.messages import Message
from simia_async.simulation.replies import Draft
from simia_async.simulation.written_calls import read_call_text

_MARK = re.compile(
    r"^[ \t]*(?:\*\*|#+ *)?(SYSTEM|HUMAN|USER|ASSISTANT|GPT|FUNCTION_CALL|OBSERVATION)(?:\*\*)?:"
    r"(?:\*\*)?[ \t]*",
    re.MULTILINE,
)


def find_marks(text: str) -> list[re.Match[str]]:
    """Where turns begin. Only the first mark may be the system's: any other `SYSTEM:` is part of
    what was said.
    """
    marks = enumerate(_MARK.finditer(text))
    return [mark for at, mark in marks if at == 0 or mark[1] != "SYSTEM"]


def read_paper_text(text: str, marks: list[re.Match[str]]) -> Draft:
    """The conversation; what the system said is left out.

    Raises `msgspec.ValidationError` for calls that cannot be read.
    """
    messages: list[Message] = []
    slips = {"HUMAN:/ASSISTANT: text instead of JSON": None}
    unanswered: list[str] = []
    numbers = count()
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    for mark, end in zip(marks, ends, strict=True):
        said = text[mark.end() : end].strip()
        match mark[1]:
            case "SYSTEM":
                continue
            case "HUMAN" | "USER":
                messages.append(Message("user", said))
            case "ASSISTANT" | "GPT":
                messages.append(Message("assistant", said))
            case "FUNCTION_CALL":
                calls, thought = read_call_text(
                    said, lambda: f"call_{next(numbers)}", lambda slip: slips.update({slip: None})
                )
                unanswered = [call.id for call in calls]
                messages.append(Message("assistant", thought, tool_calls=calls))
            case _:
                answers = unanswered.pop(0) if unanswered else None
                messages.append(Message("tool", said, tool_call_id=answers))
    return Draft(messages, list(slips))
