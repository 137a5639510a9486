"""The client of an OpenAI-compatible endpoint: chat completions, and completions over token ids.

Every attempt goes into the caller's ledger, failed ones too, so that it can be stored in one
transaction with the turn it was made for.
"""

import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, Self, TypeVar

import aiohttp
import anyio
import msgspec
import tenacity
from simia_store import CallRecord
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from simia_async.clients.credentials import read_key
from simia_async.clients.limiter import Limiter
from simia_async.clients.prices import cost_usd
from simia_async.config import Endpoint
from simia_async.errors import (
    BadReply,
    EndpointError,
    EndpointRefused,
    EndpointUnavailable,
    RateLimited,
)
from simia_async.messages import Message

_MALFORMED_ATTEMPTS = 3
"""Attempts after which an endpoint that keeps breaking the protocol is believed."""


class ChatReply(msgspec.Struct, frozen=True):
    """A chat completion."""

    message: Message
    finish_reason: str


class Completion(msgspec.Struct, frozen=True):
    """A completion over token ids: what was sampled, and how likely each token was."""

    token_ids: list[int]
    logprobs: list[float]
    finish_reason: str


_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class _Details(msgspec.Struct):
    cached_tokens: _Count | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    prompt_tokens_details: _Details | None = None


class _ChatChoice(msgspec.Struct):
    message: Message
    finish_reason: str | None = None


class _ChatBody(msgspec.Struct):
    choices: list[_ChatChoice]
    usage: _Usage | None = None


class _Logprobs(msgspec.Struct):
    token_logprobs: list[float]


class _CompletionChoice(msgspec.Struct):
    token_ids: list[int]
    logprobs: _Logprobs
    finish_reason: str | None = None


class _CompletionBody(msgspec.Struct):
    choices: list[_CompletionChoice]
    usage: _Usage | None = None


Body = TypeVar("Body", _ChatBody, _CompletionBody)


class ChatClient:
    """One endpoint. Made by `ChatClient.connect`."""

    def __init__(self, endpoint: Endpoint, session: aiohttp.ClientSession) -> None:
        self.endpoint = endpoint
        self.limiter = Limiter(endpoint.max_in_flight, endpoint.requests_per_minute)
        self._session = session
        self._key = read_key(endpoint.api_key_env)

    @classmethod
    @asynccontextmanager
    async def connect(cls, endpoint: Endpoint) -> AsyncIterator[Self]:
        """A client whose connections are closed on exit."""
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=endpoint.timeout_s),
        ) as session:
            yield cls(endpoint, session)

    async def check(self) -> None:
        """One unrepeated question, so that a wrong key or host is told before the work begins.

        Raises `EndpointRefused` or `EndpointUnavailable`. Endpoints without `/models` pass.
        """
        try:
            await self._attempt("GET", "/models", None)
        except RateLimited:
            return
        except EndpointRefused as error:
            if error.status not in (404, 405):
                raise

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        role: str,
        ledger: list[CallRecord],
        trajectory_id: int | None = None,
        **parameters: Any,
    ) -> ChatReply:
        """One chat completion. `parameters` go into the request as they are.

        Raises `EndpointError` when the retry budget is spent or the endpoint refuses.
        """
        body = {"model": self.endpoint.model, "messages": messages, **parameters}
        reply = await self._call("/chat/completions", body, _ChatBody, role, ledger, trajectory_id)
        choice = reply.choices[0]
        return ChatReply(choice.message, choice.finish_reason or "stop")

    async def complete(
        self,
        prompt_ids: list[int],
        *,
        model: str,
        ledger: list[CallRecord],
        trajectory_id: int | None = None,
        **parameters: Any,
    ) -> Completion:
        """One completion of token ids with behaviour log-probabilities, as vLLM documents it
        (`return_token_ids`, `logprobs`). Raises as `chat` does.
        """
        body = {
            "model": model,
            "prompt": prompt_ids,
            "return_token_ids": True,
            "logprobs": 0,
            **parameters,
        }
        reply = await self._call(
            "/completions", body, _CompletionBody, "policy", ledger, trajectory_id
        )
        choice = reply.choices[0]
        if len(choice.token_ids) != len(choice.logprobs.token_logprobs):
            raise BadReply(
                f"{self.endpoint.base_url}: {len(choice.token_ids)} token ids but "
                f"{len(choice.logprobs.token_logprobs)} log-probabilities"
            )
        return Completion(
            choice.token_ids, choice.logprobs.token_logprobs, choice.finish_reason or "stop"
        )

    async def request(self, path: str, body: dict[str, Any]) -> None:
        """A POST of anything else that may safely be repeated; it is not in the ledger.

        Raises as `chat` does.
        """
        payload = msgspec.json.encode(body)
        async for attempt in self._retrying():
            with attempt:
                await self._attempt("POST", path, payload)

    def _retrying(self) -> tenacity.AsyncRetrying:
        return tenacity.AsyncRetrying(
            sleep=anyio.sleep,
            retry=tenacity.retry_if_exception_type((RateLimited, EndpointUnavailable, BadReply)),
            wait=_Wait(self.endpoint.max_backoff_s),
            stop=_GiveUp(self.endpoint.retry_budget_s),
            reraise=True,
        )

    async def _call(
        self,
        path: str,
        body: dict[str, Any],
        expected: type[Body],
        role: str,
        ledger: list[CallRecord],
        trajectory_id: int | None,
    ) -> Body:
        payload = msgspec.json.encode(body)
        async for attempt in self._retrying():
            with attempt:
                # The slot is given back before the wait for the next attempt begins.
                async with self.limiter.slot():
                    started = time.monotonic()
                    error: BaseException | None = None
                    usage = None
                    try:
                        reply = self._decode(await self._attempt("POST", path, payload), expected)
                        usage = reply.usage
                        return reply
                    except BaseException as failure:  # a cancelled attempt is no success either
                        error = failure
                        raise
                    finally:
                        ledger.append(
                            self._record(
                                role,
                                str(body["model"]),
                                attempt.retry_state.attempt_number,
                                time.monotonic() - started,
                                usage or _Usage(),
                                error,
                                trajectory_id,
                            )
                        )
        raise AssertionError("tenacity returns or raises")

    def _record(
        self,
        role: str,
        model: str,
        attempt: int,
        latency_s: float,
        usage: _Usage,
        error: BaseException | None,
        trajectory_id: int | None,
    ) -> CallRecord:
        details = usage.prompt_tokens_details
        tokens_in, tokens_out = usage.prompt_tokens or 0, usage.completion_tokens or 0
        return CallRecord(
            trajectory_id=trajectory_id,
            role=role,
            endpoint=self.endpoint.base_url or "",
            model=model,
            attempt=attempt,
            status=type(error).__name__ if error else "ok",
            latency_s=latency_s,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            tokens_cached=(details.cached_tokens or 0) if details else 0,
            cost_usd=cost_usd(self.endpoint, tokens_in, tokens_out),
            error=str(error) if error else None,
        )

    async def _attempt(self, method: str, path: str, payload: bytes | None) -> bytes:
        url = (self.endpoint.base_url or "").rstrip("/") + path
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            async with self._session.request(
                method, url, data=payload, headers=headers
            ) as response:
                answer = await response.read()
                if response.status >= 400:
                    raise self._refusal(response, answer)
                return answer
        except (aiohttp.ClientConnectorDNSError, aiohttp.ClientConnectorCertificateError) as error:
            raise EndpointRefused(f"{url}: cannot be reached: {error}") from error
        except aiohttp.InvalidURL as error:
            raise EndpointRefused(f"{url}: is not a URL") from error
        except TimeoutError as error:
            raise EndpointUnavailable(
                f"{url}: no answer within {self.endpoint.timeout_s:g} s"
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise EndpointUnavailable(
                f"{url}: connection failed: {error or type(error).__name__}"
            ) from error

    def _refusal(self, response: aiohttp.ClientResponse, answer: bytes) -> EndpointError:
        said = f"{response.url}: HTTP {response.status}: {self._quote(answer)}"
        if response.status == 429:
            limited = RateLimited(said)
            limited.retry_after_s = _seconds(response.headers.get("retry-after"))
            return limited
        if response.status >= 500 or response.status == 408:
            return EndpointUnavailable(said)
        if response.status in (401, 403):
            said += f" (key from {self.endpoint.api_key_env}: {'set' if self._key else 'not set'})"
        refused = EndpointRefused(said)
        refused.status = response.status
        return refused

    def _decode(self, answer: bytes, expected: type[Body]) -> Body:
        try:
            body = msgspec.json.decode(answer, type=expected)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            start = self._quote(answer)[:60]
            raise BadReply(f"not the JSON of a completion ({error}): {start!r}…") from error
        if not body.choices:
            raise BadReply("a completion without choices")
        return body

    def _quote(self, answer: bytes) -> str:
        """The start of an error body. A provider may echo the key: it is taken out."""
        text = answer.decode(errors="replace")
        with contextlib.suppress(msgspec.DecodeError, KeyError, TypeError):
            text = str(msgspec.json.decode(answer)["error"]["message"])
        if self._key:
            text = text.replace(self._key, "…")
        return " ".join(text.split())[:300]


class _Wait(wait_base):
    """Full jitter, doubling from a quarter of a second; longer if the endpoint asks for it."""

    def __init__(self, max_backoff_s: float) -> None:
        self._backoff = tenacity.wait_random_exponential(multiplier=0.25, max=max_backoff_s)

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        asked = error.retry_after_s if isinstance(error, RateLimited) else 0.0
        return max(asked, self._backoff(retry_state))


class _GiveUp(stop_base):
    """When one call has been tried enough.

    The budget runs from the first failure, so that time spent waiting for a slot is not held
    against the call, and a wait that would outlast it is not begun.
    """

    def __init__(self, budget_s: float) -> None:
        self._budget_s = budget_s
        self._first_failure: float | None = None
        self._malformed = 0

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        now = time.monotonic()
        if self._first_failure is None:
            self._first_failure = now
        error = retry_state.outcome.exception() if retry_state.outcome else None
        self._malformed += isinstance(error, BadReply)
        spent = now - self._first_failure + retry_state.upcoming_sleep
        return spent > self._budget_s or self._malformed >= _MALFORMED_ATTEMPTS


def _seconds(retry_after: str | None) -> float:
    """`Retry-After` in seconds; its other form, a date, is not used by LLM endpoints."""
    try:
        return max(0.0, float(retry_after or 0))
    except ValueError:
        return 0.0
