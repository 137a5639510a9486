"""What looks like a secret, so that it is refused where it does not belong and never echoed."""

import re

_KEY = r"(?:sk|pk|rk)-[\w-]{6,}|gh[opsu]_\w{16,}|hf_\w{16,}|xox[abp]-[\w-]{8,}|AKIA[0-9A-Z]{12,}"
_BEARER = r"eyJ[\w-]{8,}\.[\w.-]+|[Bb]earer\s+\S+"
_INSIDE = re.compile(rf"(?<![\w-])(?:{_KEY}|{_BEARER})")
_WHOLE = re.compile(rf"\s*(?:{_KEY}|{_BEARER})\s*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY_LENGTH = 16
"""Letters and digits in one piece of this length are a key rather than a name."""

HIDDEN = "something that looks like a key (not shown)"
_SHOWN = 60


def is_secret(text: str) -> bool:
    """Whether the whole of `text` has the form of a known kind of key or token."""
    return _WHOLE.fullmatch(text) is not None


def holds_secret(text: str) -> bool:
    """Whether a key or token of a known kind stands somewhere in `text`."""
    return _INSIDE.search(text) is not None


def names_a_variable(text: str) -> bool:
    """Whether `text` may be the name of an environment variable, and is not itself a key."""
    if not _NAME.fullmatch(text) or holds_secret(text):
        return False
    pieces = (piece for piece in text.split("_") if len(piece) >= _KEY_LENGTH)
    return not any(re.search(r"\d", piece) and re.search("[A-Za-z]", piece) for piece in pieces)


def shown(value: object) -> str:
    """`value` as an error may quote it: short, and hidden if it may be a secret."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value)
    if holds_secret(text):
        return HIDDEN
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
