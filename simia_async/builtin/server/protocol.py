"""A chat completion request in OpenAI's wire format, as far as it is read here."""

from typing import Annotated, Any

import msgspec

from simia_async.config import SCRIPTED

Count = Annotated[int, msgspec.Meta(ge=1)]


class ContentPart(msgspec.Struct):
    """A part of a message. Only text is read."""

    type: str
    text: str = ""


class ChatMessage(msgspec.Struct):
    """A message of any role."""

    role: str
    content: str | list[ContentPart] | None = None

    @property
    def text(self) -> str:
        """What the message says; the texts of its parts, joined."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class Function(msgspec.Struct):
    """A function's declaration, or only its name."""

    name: str
    parameters: dict[str, Any] | None = None


class Tool(msgspec.Struct):
    """A tool's declaration, or the choice of one."""

    function: Function
    type: str = "function"


class JsonSchema(msgspec.Struct):
    """The schema that an answer must follow."""

    name: str
    schema: Any = True


class ResponseFormat(msgspec.Struct):
    """`text`, `json_object` or `json_schema`."""

    type: str
    json_schema: JsonSchema | None = None


class StreamOptions(msgspec.Struct):
    """Settings of a streamed answer."""

    include_usage: bool | None = None


class ChatRequest(msgspec.Struct, kw_only=True):
    """The request. `raw` is the decoded body with everything in it."""

    messages: list[ChatMessage]
    model: str = SCRIPTED
    seed: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[Tool] | None = None
    tool_choice: str | Tool | None = None
    response_format: ResponseFormat | None = None
    n: Count | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    raw: dict[str, Any] = {}

    @property
    def prompt(self) -> str:
        """The first message of the user."""
        return next((m.text for m in self.messages if m.role == "user" and m.content), "")

    @property
    def last(self) -> str:
        """The last message, whoever's."""
        return self.messages[-1].text if self.messages else ""

    @property
    def prompt_tokens(self) -> int:
        """Estimated at four characters each."""
        return sum(len(m.text) for m in self.messages) // 4

    @property
    def charged_tokens(self) -> int:
        """What a rate limit counts on admission: the prompt, and as much as may be answered."""
        return self.prompt_tokens + (self.max_completion_tokens or self.max_tokens or 0)
