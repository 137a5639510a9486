"""Files of an environment as text and as JSON: what cannot be read is told in one sentence.

Readers tell of problems through a `Report`. Where the first problem is the end, it is `refuse`;
`simia env check` collects them instead. A reader that has reported gives what is usable.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from simia_async.errors import UsageError

Report = Callable[[str], None]
"""Told every problem, a sentence each that names the file."""


def refuse(sentence: str) -> NoReturn:
    """The report of those who cannot go on after a problem."""
    raise UsageError(sentence)


def read_text(path: Path, report: Report) -> str | None:
    """The text of a file; None, after a report, if there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        report(f"{path}: {reason}")
        return None


def read_json(path: Path, expected: str, report: Report) -> Any:
    """The JSON value in a file; None, after a report that says what was `expected`, if there is
    none.
    """
    text = read_text(path, report)
    if text is None:
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        report(f"{path}: expected {expected}: {json_problem(text, error)}")
        return None


def json_problem(text: str, error: Exception) -> str:
    """What is wrong with `text` as JSON, with line and column where they can be told."""
    if not text.strip():
        return "it is empty"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    try:
        json.loads(text)
    except json.JSONDecodeError as slip:
        return f"line {slip.lineno}, column {slip.colno}: {slip.msg}"
    except RecursionError:
        return "it is nested too deeply"
    return str(error)  # Python is more lenient than JSON: NaN, halves of surrogates
