"""What a response says of its endpoint's limits: `x-ratelimit-*`, `retry-after`.

https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
"""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time

from simia_async.clients.governor.bucket import Quota

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_LONGEST_S = 86_400.0
"""What asks for more than a day is a mistake, and all calls would wait for it."""
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def read_quota(headers: Mapping[str, str], unit: str) -> Quota | None:
    """The quota of `requests` or `tokens`; None if the headers do not speak of it."""
    limit = _number(headers.get(f"x-ratelimit-limit-{unit}"))
    remaining = _number(headers.get(f"x-ratelimit-remaining-{unit}"))
    if limit is None and remaining is None:
        return None
    return Quota(limit, remaining, _duration(headers.get(f"x-ratelimit-reset-{unit}")))


def read_retry_after(headers: Mapping[str, str]) -> float:
    """How long the endpoint wants to be left alone, in seconds; 0 if it does not say."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return min(milliseconds / 1000, _LONGEST_S)
    said = headers.get("retry-after")
    seconds = _number(said)
    if seconds is None:
        try:
            seconds = parsedate_to_datetime(said or "").timestamp() - time()
        except (ValueError, OverflowError):
            return 0.0
    return min(max(0.0, seconds), _LONGEST_S)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < 1e15 else None


def _duration(text: str | None) -> float | None:
    """Go's form of a duration, `6m0s` or `20ms`; a plain number is seconds."""
    parts = _DURATION.findall(text or "")
    if parts:
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    else:
        known = _number(text)
        if known is None:
            return None
        seconds = known
    return min(seconds, _LONGEST_S)
