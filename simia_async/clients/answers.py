"""Making sense of an HTTP answer: a body of the expected form, or the error it stands for."""

from typing import Any, TypeVar

import msgspec
from yarl import URL

from simia_async.clients.credentials import Credentials
from simia_async.clients.headers import read_retry_after
from simia_async.clients.transport import Answer
from simia_async.clients.wire import ChatBody, CompletionBody, ErrorDetail
from simia_async.errors import (
    BadReply,
    EndpointError,
    EndpointRefused,
    EndpointUnavailable,
    RateLimited,
)

_QUOTED = 300
"""Characters of an endpoint's complaint that are passed on."""
_PASSING = (408, 409, 425)
"""HTTP statuses below 500 that pass by themselves."""
_OVERLOADED = (408, 503, 529)
_DECODERS: dict[type[Any], msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind) for kind in (ChatBody, CompletionBody)
}

Body = TypeVar("Body", ChatBody, CompletionBody)


def read_body(answer: Answer, expected: type[Body], credentials: Credentials) -> Body:
    """The body of a good answer, with one choice at least. Raises `BadReply` otherwise."""
    try:
        body: Body = _DECODERS[expected].decode(answer.body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        start = credentials.censor(answer.body.decode(errors="replace"))[:60]
        what = "a web page" if is_web_page(answer) else "not the JSON of a completion"
        raise BadReply(f"{what} ({error}): {start!r}…") from error
    if not body.choices:
        raise BadReply("a completion without choices")
    return body


def read_refusal(url: URL, answer: Answer, credentials: Credentials) -> EndpointError:
    """The error that an answer above 2xx stands for."""
    detail = _detail(answer.body)
    quoted = credentials.censor(" ".join(detail.message.split())[:_QUOTED])
    said = f"{url}: HTTP {answer.status}: {quoted}"
    error: EndpointError
    # A 429 for an empty account does not pass by waiting.
    if answer.status == 429 and detail.code != "insufficient_quota":
        error = RateLimited(said)
    elif answer.status >= 500 or answer.status in _PASSING:
        error = EndpointUnavailable(said)
        error.overloaded = answer.status in _OVERLOADED
    else:
        if answer.status in (401, 403):
            said += f" ({credentials.told})"
        elif answer.status < 400:
            said += f"; it redirects to {answer.headers.get('location')}"
        error = EndpointRefused(said)
        error.param, error.code = detail.param, detail.code
    error.status = answer.status
    error.headers = answer.headers
    error.retry_after_s = read_retry_after(answer.headers)
    return error


def is_web_page(answer: Answer) -> bool:
    """Whether the answer is meant for people."""
    kind = answer.headers.get("content-type", "")
    return kind.startswith("text/html") or answer.body.lstrip()[:1] == b"<"


def _detail(body: bytes) -> ErrorDetail:
    """What an error body says. Some servers leave out the `error` around it."""
    try:
        said = msgspec.json.decode(body)
        return msgspec.convert(said.get("error", said), ErrorDetail)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, AttributeError):
        return ErrorDetail(body.decode(errors="replace"))
