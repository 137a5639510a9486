"""What a chat client is told of a turn's text: what is said at once, calls when the turn has ended.

Whether calls are sound is known at the end alone; a stream that had told of some could not take
them back.
"""

import contextlib
import json
import re

from simia_async.errors import RenderError
from simia_async.inference.speech import overlap
from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.rendering.call_styles import HERMES, LLAMA3, CallStyle
from simia_async.rendering.renderer import Renderer

_TAG = re.compile(r"<think>|<tool_call>")
_END_OF_THOUGHT = "</think>"
_PYTHON_TAG = "<|python_tag|>"
_JSON_CALL = '{"name": '
_SCANNER = json.JSONDecoder()


def style_of(renderer: Renderer) -> CallStyle:
    """How the model's chat template writes calls; Hermes' way if it writes none."""
    call = ToolCall("call_0", FunctionCall("look_up", '{"id":"1"}'))
    messages = [Message("user", "?"), Message("assistant", "", tool_calls=[call])]
    try:
        text = renderer.render(messages)
    except RenderError:
        return HERMES
    for start in re.finditer(r'\{"name"', text):
        with contextlib.suppress(ValueError):
            written, _ = _SCANNER.raw_decode(text, start.start())
            return LLAMA3 if "parameters" in written else HERMES
    return HERMES


class Reply:
    """One reply. Without a style nothing is a call, and all of its text is content.

    With one, white space at both ends is left out. Calls that are not sound stay in the content, as
    text.
    """

    def __init__(self, style: CallStyle | None, id_prefix: str) -> None:
        self._style = style
        self._id_prefix = id_prefix
        self._text = ""
        self._told = 0

    def hear(self, text: str) -> str:
        """Take more of the text; gives what of the content can be told now."""
        self._text += text
        if self._style is None:
            return text
        said = self._text.lstrip()
        return self._tell(said[: _calls_from(self._style, said)].rstrip())

    def finish(self) -> tuple[str, list[ToolCall]]:
        """The rest of the content, and the calls."""
        if self._style is None:
            return "", []
        parsed = self._style.parse(self._text, self._id_prefix)
        return self._tell(parsed.content.strip()), parsed.calls

    def _tell(self, content: str) -> str:
        piece = content[self._told :]
        self._told = len(content)
        return piece


def _calls_from(style: CallStyle, text: str) -> int:
    """Where on `text` may be calls."""
    return _json_calls_from(text) if style is LLAMA3 else _tagged_calls_from(text)


def _tagged_calls_from(text: str) -> int:
    at = 0
    while tag := _TAG.search(text, at):
        if tag[0] == "<tool_call>":
            return tag.start()
        end = text.find(_END_OF_THOUGHT, tag.end())
        if end < 0:
            return len(text)
        at = end + len(_END_OF_THOUGHT)
    return len(text) - overlap(text[at:], "<tool_call>")


def _json_calls_from(text: str) -> int:
    if text.startswith(_PYTHON_TAG[: len(text)]):
        return 0
    at = 0
    while at >= 0:
        rest = text[at : at + len(_JSON_CALL)]
        if rest and _JSON_CALL.startswith(rest):
            return at
        at = text.find("\n", at) + 1 or -1
    return len(text)
