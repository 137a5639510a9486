"""What an error body says, in the forms that the servers have for it."""

import re
from typing import Any

import msgspec

_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)


class Complaint(msgspec.Struct, frozen=True):
    """Why an endpoint refused."""

    message: str
    param: str | None = None
    code: str | int | None = None
    body: object = None
    """OpenAI's `error` object, or all that came."""
    is_error: bool = False
    """Whether it calls itself an error."""


def read_complaint(body: bytes) -> Complaint:
    """The complaint in `body`, whatever that is."""
    try:
        said = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        text = body.decode(errors="replace")
        title = _TITLE.search(text)
        return Complaint(f"a web page: {title[1].strip()}" if title else text, body=text)
    if not isinstance(said, dict):
        return Complaint(_as_text(said), body=said)
    # Some servers leave out the `error` around it, in others it is a text.
    inner = said.get("error") or said
    if not isinstance(inner, dict):
        return Complaint(_as_text(inner), body=inner, is_error=True)
    return _of_object(inner, is_error=inner is not said)


def _of_object(said: dict[str, Any], *, is_error: bool) -> Complaint:
    message = said.get("message") or said.get("detail")
    if isinstance(message, dict):  # Mistral wraps pydantic's list once more
        message = message.get("detail", message)
    # FastAPI's own refusals: a list of problems, each with the place of the field.
    if isinstance(message, list) and message and isinstance(problem := message[0], dict):
        place = problem.get("loc")
        name = place[-1] if isinstance(place, list) and place else None
        return Complaint(
            _as_text(problem.get("msg") or problem) + (f": {name}" if name else ""),
            name if isinstance(name, str) else None,
            _name_of(problem.get("type")),
            said,
            is_error,
        )
    param = said.get("param")
    return Complaint(
        _as_text(message or said),
        param if isinstance(param, str) else None,
        _name_of(said.get("code")),
        said,
        is_error,
    )


def _name_of(value: object) -> str | int | None:
    return value if isinstance(value, str | int) else None


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
