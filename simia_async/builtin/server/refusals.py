"""HTTP errors with the bodies that OpenAI gives them."""

from typing import Any

import msgspec

from simia_async.builtin.server.quota import Quota, Verdict


class Refusal(Exception):
    """An answer other than 200. `headers` are sent with it."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self._error = {"message": message, "type": kind, "param": param, "code": code}

    def body(self) -> bytes:
        """The JSON."""
        encoded: dict[str, Any] = {"error": self._error}
        return msgspec.json.encode(encoded)


def rate_limited(model: str, quota: Quota, verdict: Verdict, tokens: int) -> Refusal:
    """429 for a request that is over the quota."""
    kind = verdict.refused_for
    bucket = quota.requests if kind == "requests" else quota.tokens
    assert kind is not None
    assert bucket is not None
    on = "requests per min (RPM)" if kind == "requests" else "tokens per min (TPM)"
    limit, asked = f"Limit {bucket.per_minute:g}", 1 if kind == "requests" else tokens
    if verdict.too_large:
        message = f"Request too large for {model} on {on}: {limit}, Requested {asked}."
        return Refusal(429, message, kind=kind, code="rate_limit_exceeded")
    wait = go_duration(verdict.retry_after_s)
    used = round(bucket.per_minute - bucket.level)
    message = (
        f"Rate limit reached for {model} on {on}: {limit}, Used {used}, Requested {asked}. "
        f"Please try again in {wait}."
    )
    headers = retry_headers(verdict.retry_after_s)
    return Refusal(429, message, kind=kind, code="rate_limit_exceeded", headers=headers)


def rate_limited_at_random(model: str, retry_after_s: float) -> Refusal:
    """429 for no reason that the client could know of."""
    message = (
        f"Rate limit reached for {model} on requests per min (RPM). "
        f"Please try again in {go_duration(retry_after_s)}."
    )
    headers = retry_headers(retry_after_s)
    return Refusal(429, message, kind="requests", code="rate_limit_exceeded", headers=headers)


def server_error() -> Refusal:
    """500."""
    message = "The server had an error while processing your request. Sorry about that!"
    return Refusal(500, message, kind="server_error")


def overloaded() -> Refusal:
    """503."""
    message = "The engine is currently overloaded, please try again later."
    return Refusal(503, message, kind="server_error")


def retry_headers(seconds: float) -> dict[str, str]:
    """`retry-after` in whole seconds, as HTTP has it, and `retry-after-ms`; both rounded up."""
    return {"retry-after": str(_ceil(seconds)), "retry-after-ms": str(_ceil(seconds * 1000))}


def quota_headers(quota: Quota) -> dict[str, str]:
    """OpenAI's headers about the limits, as they are now."""
    headers = {}
    for kind, bucket in (("requests", quota.requests), ("tokens", quota.tokens)):
        if bucket is not None:
            headers[f"x-ratelimit-limit-{kind}"] = f"{bucket.per_minute:.0f}"
            headers[f"x-ratelimit-remaining-{kind}"] = str(bucket.remaining)
            headers[f"x-ratelimit-reset-{kind}"] = go_duration(bucket.reset_s)
    return headers


def go_duration(seconds: float) -> str:
    """A time as Go writes it (`6m0s`, `1.2s`, `20ms`), rounded up to milliseconds."""
    ms = _ceil(seconds * 1000)
    if ms < 1000:
        return f"{ms}ms" if ms else "0s"
    minutes, rest = divmod(ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest // 1000}.{rest % 1000:03}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _ceil(value: float) -> int:
    """Up to the next integer, but not for a rounding error."""
    return -int(-(value - 1e-6) // 1)
