"""Making sense of an HTTP answer: a body of the expected form, or the error it stands for."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from yarl import URL

from simia_async.clients.complaints import Complaint, read_complaint
from simia_async.clients.headers import read_retry_after
from simia_async.clients.transport import Answer
from simia_async.clients.wire import ChatBody, CompletionBody
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


def read_body(url: URL, answer: Answer, expected: type[Body]) -> Body:
    """The body of a good answer, with one choice at least. Raises `EndpointError` otherwise."""
    try:
        body: Body = _DECODERS[expected].decode(answer.body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _unreadable(url, answer, error) from error
    if not body.choices:
        raise bad_reply(url, answer, "a completion without choices")
    return body


def read_refusal(url: URL, answer: Answer, told: str) -> EndpointError:
    """The error that an answer above 2xx stands for. `told` says whether a key was sent."""
    complaint = read_complaint(answer.body)
    if answer.status in (401, 403):
        return refusal(url, answer.status, answer.headers, complaint, f" ({told})")
    if answer.status < 400:
        elsewhere = f"; it redirects to {answer.headers.get('location')}"
        return refusal(url, answer.status, answer.headers, complaint, elsewhere)
    return refusal(url, answer.status, answer.headers, complaint)


def refusal(
    url: URL, status: int, headers: Mapping[str, str], complaint: Complaint, hint: str = ""
) -> EndpointError:
    """The error that a complaint with an HTTP status is."""
    quoted = " ".join(complaint.message.split())[:_QUOTED]
    said = f"{url}: HTTP {status}: {quoted}{hint}"
    error: EndpointError
    # A 429 for an empty account does not pass by waiting.
    if status == 429 and complaint.code != "insufficient_quota":
        error = RateLimited(said)
    elif status >= 500 or status in _PASSING:
        error = EndpointUnavailable(said)
        error.overloaded = status in _OVERLOADED
    else:
        error = EndpointRefused(said)
    error.status = status
    error.headers = headers
    error.retry_after_s = read_retry_after(headers)
    error.param, error.code = complaint.param, complaint.code
    error.detail, error.body = complaint.message, complaint.body
    return error


def bad_reply(url: URL, answer: Answer, why: str) -> BadReply:
    """The error that an answer is which does not follow the protocol."""
    error = BadReply(f"{url}: {why}")
    error.status = answer.status
    error.headers = answer.headers
    error.body = answer.body.decode(errors="replace")
    return error


def is_web_page(answer: Answer) -> bool:
    """Whether the answer is meant for people."""
    kind = answer.headers.get("content-type", "")
    return kind.startswith("text/html") or answer.body.lstrip()[:1] == b"<"


def _unreadable(url: URL, answer: Answer, why: Exception) -> EndpointError:
    complaint = read_complaint(answer.body)
    if complaint.is_error:  # some gateways say all with a 200
        code = complaint.code
        status = code if isinstance(code, int) and 400 <= code < 600 else 500
        return refusal(url, status, answer.headers, complaint)
    start = answer.body.decode(errors="replace")[:60]
    what = "a web page" if is_web_page(answer) else "not the JSON of a completion"
    return bad_reply(url, answer, f"{what} ({why}): {start!r}…")
