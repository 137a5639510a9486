"""The client of an OpenAI-compatible endpoint: chat completions, and completions over token ids.

Every attempt goes into the caller's ledger, failed ones too, so that it can be stored in one
transaction with the turn it was made for.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

import anyio.to_thread
import msgspec
from simia_store import CallRecord
from yarl import URL

from simia_async.clients.budget import Budget
from simia_async.clients.credentials import Credentials
from simia_async.clients.dialect import Dialect, read_refusal
from simia_async.clients.governor import Governor, Outcome, Ticket
from simia_async.clients.headers import read_quota, read_retry_after
from simia_async.clients.history import History
from simia_async.clients.openai_errors import catchable
from simia_async.clients.prices import Prices, prices_of
from simia_async.clients.retries import Patience
from simia_async.clients.transport import (
    AiohttpTransport,
    Answer,
    PooledTransport,
    Transport,
    proxy_of,
)
from simia_async.clients.wire import (
    NO_USAGE,
    ChatBody,
    CompletionBody,
    ModelList,
    Usage,
    read_message,
    usage_of,
)
from simia_async.config import Endpoint
from simia_async.errors import (
    BadReply,
    EndpointError,
    EndpointRefused,
    EndpointUnavailable,
    RateLimited,
)
from simia_async.messages import Message

_encode = msgspec.json.Encoder().encode
_BYTES_PER_TOKEN = 4
_QUOTED = 300
"""Characters of an endpoint's complaint that are passed on."""
_PASSING = (408, 409, 425)
"""HTTP statuses below 500 that pass by themselves."""
_OVERLOADED = (408, 503, 529)


class ChatReply(msgspec.Struct, frozen=True, gc=False):
    """A chat completion."""

    message: Message
    """Its thoughts, if the endpoint tells them, are in `reasoning_content`."""
    finish_reason: str
    usage: Usage = NO_USAGE


class Completion(msgspec.Struct, frozen=True, gc=False):
    """A completion over token ids: what was sampled, and how likely each token was."""

    token_ids: list[int]
    logprobs: list[float]
    finish_reason: str


Body = TypeVar("Body", ChatBody, CompletionBody)
_DECODERS: dict[type[Any], msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind) for kind in (ChatBody, CompletionBody)
}


class _Request:
    """One call: what is asked, and what is written down of each attempt."""

    __slots__ = ("body", "fresh", "ledger", "model", "role", "tokens", "trajectory_id", "url")

    def __init__(
        self,
        url: URL,
        body: bytes,
        tokens: float,
        *,
        model: str,
        role: str,
        ledger: list[CallRecord],
        trajectory_id: int | None,
        fresh: bool,
    ) -> None:
        self.url = url
        self.body = body
        self.tokens = tokens
        self.model = model
        self.role = role
        self.ledger = ledger
        self.trajectory_id = trajectory_id
        self.fresh = fresh


class ChatClient:
    """One endpoint. Made by `ChatClient.connect`."""

    def __init__(
        self,
        endpoint: Endpoint,
        transport: Transport,
        credentials: Credentials,
        prices: Prices | None,
        budget: Budget | None,
    ) -> None:
        self.endpoint = endpoint
        self.governor = Governor(endpoint)
        self.prices = prices
        self._transport = transport
        self._credentials = credentials
        self._budget = budget
        self._dialect = Dialect(endpoint)
        self._headers = self._dialect.headers(credentials.key)
        self._chat_url = self._dialect.url("/chat/completions")
        self._completions_url = self._dialect.url("/completions")
        self._tokens_out = 0.0
        """Of an answer, smoothed."""

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, endpoint: Endpoint, *, budget: Budget | None = None
    ) -> AsyncIterator[Self]:
        """A client whose connections are closed on exit. What its calls cost is charged to
        `budget`.

        Raises `UsageError` if the key cannot be one, or Entra is asked for and not installed.
        """
        credentials = Credentials.of(endpoint)
        prices = await anyio.to_thread.run_sync(prices_of, endpoint)
        origin = Dialect(endpoint).url("")
        proxy = proxy_of(origin)
        transport: Transport = (
            AiohttpTransport(endpoint.timeout_s, proxy)
            if proxy
            else PooledTransport(origin, endpoint.timeout_s)
        )
        try:
            yield cls(endpoint, transport, credentials, prices, budget)
        finally:
            await transport.close()
            await credentials.close()

    async def check(self) -> None:
        """One unrepeated question, so that a wrong key or host is told before the work begins.

        Raises `EndpointRefused` or `EndpointUnavailable`. Endpoints without `/models` pass.
        """
        try:
            await self.models()
        except RateLimited:
            return
        except EndpointRefused as error:
            if error.status not in (404, 405):
                raise

    async def models(self) -> list[str]:
        """Names of the models that the endpoint lists. Raises `EndpointError`; never asks twice."""
        url = self._dialect.url("/models")
        answer = await self._send("GET", url, None)
        if _is_web_page(answer):
            raise catchable(
                EndpointRefused(
                    f"{url}: answers with a web page, not with JSON; is the base URL right? Most "
                    "end with /v1"
                )
            )
        try:
            return [card.id for card in msgspec.json.decode(answer.body, type=ModelList).data]
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return []  # some servers list their models in a form of their own

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        role: str,
        ledger: list[CallRecord],
        trajectory_id: int | None = None,
        fresh: bool = False,
        **parameters: Any,
    ) -> ChatReply:
        """One chat completion. `parameters` go into the request as they are.

        A `History` is sent as it was encoded before; `fresh` says that the call begins a
        conversation, and lets those in flight go first. Raises `EndpointError` when a retry budget
        is spent or the endpoint refuses.
        """
        history = messages if isinstance(messages, History) else History(messages)
        while True:
            request = _Request(
                self._chat_url,
                self._chat_body(history, parameters),
                self._expected_tokens(history.size, parameters),
                model=self.endpoint.model or "",
                role=role,
                ledger=ledger,
                trajectory_id=trajectory_id,
                fresh=fresh,
            )
            try:
                body = await self._call(request, ChatBody)
            except EndpointRefused as error:
                if error.status == 400 and self._dialect.learn(error, parameters):
                    continue
                raise catchable(error) from error.__cause__
            choice = body.choices[0]
            return ChatReply(
                read_message(choice.message), choice.finish_reason or "stop", usage_of(body.usage)
            )

    async def complete(
        self,
        prompt_ids: list[int],
        *,
        model: str,
        ledger: list[CallRecord],
        trajectory_id: int | None = None,
        fresh: bool = False,
        **parameters: Any,
    ) -> Completion:
        """One completion of token ids with behaviour log-probabilities, as vLLM documents it
        (`return_token_ids`, `logprobs`). Raises as `chat` does.
        """
        asked = {
            "model": model,
            "prompt": prompt_ids,
            "return_token_ids": True,
            "logprobs": 0,
            **parameters,
        }
        request = _Request(
            self._completions_url,
            _encode(asked),
            len(prompt_ids) + parameters.get("max_tokens", self._tokens_out),
            model=model,
            role="policy",
            ledger=ledger,
            trajectory_id=trajectory_id,
            fresh=fresh,
        )
        try:
            choice = (await self._call(request, CompletionBody)).choices[0]
        except EndpointRefused as error:
            raise catchable(error) from error.__cause__
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
        patience = Patience(self.endpoint)
        while True:
            try:
                await self._send("POST", self._dialect.url(path), _encode(body))
                return
            except EndpointError as error:
                wait = patience.wait_after(error)
                if wait is None:
                    raise catchable(error) from error.__cause__
            await asyncio.sleep(wait)

    def _chat_body(self, history: History, parameters: Mapping[str, Any]) -> bytes:
        shaped = self._dialect.parameters(parameters)
        tail = b"]," + _encode(shaped)[1:] if shaped else b"]}"
        model = _encode(self.endpoint.model)
        return b'{"model":' + model + b',"messages":[' + history.as_json() + tail

    def _expected_tokens(self, size: int, parameters: Mapping[str, Any]) -> float:
        limit = parameters.get("max_tokens") or self.endpoint.max_tokens
        return size / _BYTES_PER_TOKEN + (limit or self._tokens_out)

    async def _call(self, request: _Request, expected: type[Body]) -> Body:
        """Attempts, until one succeeds or a budget is spent."""
        patience: Patience | None = None
        attempt = 0
        while True:
            attempt += 1
            # The governor's turn is given back before the wait for the next attempt begins.
            asked_at = time.monotonic()
            ticket = await self.governor.enter(
                request.tokens,
                fresh=request.fresh,
                deadline=patience.deadline if patience else None,
            )
            sent_at = time.monotonic()
            try:
                answer = await self._send("POST", request.url, request.body)
                body = self._decode(answer.body, expected)
            except EndpointError as error:
                self._failed(request, ticket, attempt, sent_at - asked_at, sent_at, error)
                patience = patience or Patience(self.endpoint)
                wait = patience.wait_after(error)
                if wait is None:
                    if isinstance(error, EndpointRefused):
                        raise
                    raise catchable(error) from error.__cause__
            except BaseException as error:  # a cancelled attempt is no success either
                self.governor.leave(ticket, Outcome("abandoned"))
                self._record(
                    request, attempt, sent_at - asked_at, time.monotonic() - sent_at, error=error
                )
                raise
            else:
                self._succeeded(request, ticket, attempt, sent_at - asked_at, sent_at, answer, body)
                return body
            # Who waits for an endpoint that is down waits in the governor's queue.
            if not self.governor.is_down:
                await asyncio.sleep(wait)

    def _succeeded(
        self,
        request: _Request,
        ticket: Ticket,
        attempt: int,
        waited_s: float,
        sent_at: float,
        answer: Answer,
        body: ChatBody | CompletionBody,
    ) -> None:
        usage = usage_of(body.usage)
        headers = answer.headers
        limited = "x-ratelimit-limit-requests" in headers or "x-ratelimit-limit-tokens" in headers
        self.governor.leave(
            ticket,
            Outcome(
                "ok",
                usage.tokens_in + usage.tokens_out or None,
                read_quota(headers, "requests") if limited else None,
                read_quota(headers, "tokens") if limited else None,
            ),
        )
        self._tokens_out += 0.05 * (usage.tokens_out - self._tokens_out)
        self._record(request, attempt, waited_s, time.monotonic() - sent_at, usage=usage)

    def _failed(
        self,
        request: _Request,
        ticket: Ticket,
        attempt: int,
        waited_s: float,
        sent_at: float,
        error: EndpointError,
    ) -> None:
        headers = error.headers
        self.governor.leave(
            ticket,
            Outcome(
                error.outcome,
                None,
                read_quota(headers, "requests"),
                read_quota(headers, "tokens"),
                error.retry_after_s,
                error.overloaded,
            ),
        )
        self._record(request, attempt, waited_s, time.monotonic() - sent_at, error=error)

    def _record(
        self,
        request: _Request,
        attempt: int,
        waited_s: float,
        latency_s: float,
        *,
        usage: Usage = NO_USAGE,
        error: BaseException | None = None,
    ) -> None:
        record = CallRecord(
            trajectory_id=request.trajectory_id,
            role=request.role,
            endpoint=self.endpoint.base_url or "",
            model=request.model,
            attempt=attempt,
            status=type(error).__name__ if error else "ok",
            latency_s=latency_s,
            tokens_in=usage.tokens_in,
            tokens_out=usage.tokens_out,
            tokens_cached=usage.tokens_cached,
            tokens_reasoning=usage.tokens_reasoning,
            waited_s=waited_s,
            cost_usd=self.prices.cost_usd(usage) if self.prices else None,
            error=str(error) if error else None,
        )
        request.ledger.append(record)
        if self._budget is not None:
            self._budget.charge(record)

    async def _send(self, method: str, url: URL, body: bytes | None) -> Answer:
        """One attempt. Raises the error that an answer above 2xx stands for."""
        headers = self._headers
        if self._credentials.expire:
            headers = self._dialect.headers(await self._credentials.token())
        answer = await self._transport.request(method, url, headers, body)
        if answer.status >= 300:
            raise self._refusal(url, answer)
        return answer

    def _refusal(self, url: URL, answer: Answer) -> EndpointError:
        detail = read_refusal(answer.body)
        quoted = self._credentials.censor(" ".join(detail.message.split())[:_QUOTED])
        said = f"{url}: HTTP {answer.status}: {quoted}"
        error: EndpointError
        if answer.status == 429 and detail.code != "insufficient_quota":
            error = RateLimited(said)
        elif answer.status >= 500 or answer.status in _PASSING:
            error = EndpointUnavailable(said)
            error.overloaded = answer.status in _OVERLOADED
        else:
            if answer.status in (401, 403):
                said += f" ({self._credentials.told})"
            elif answer.status < 400:
                said += f"; it redirects to {answer.headers.get('location')}"
            error = EndpointRefused(said)
            error.param, error.code = detail.param, detail.code
        error.status = answer.status
        error.headers = answer.headers
        error.retry_after_s = read_retry_after(answer.headers)
        return error

    def _decode(self, answer: bytes, expected: type[Body]) -> Body:
        try:
            body: Body = _DECODERS[expected].decode(answer)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            start = self._credentials.censor(answer.decode(errors="replace"))[:60]
            what = "a web page" if answer.lstrip()[:1] == b"<" else "not the JSON of a completion"
            raise BadReply(f"{what} ({error}): {start!r}…") from error
        if not body.choices:
            raise BadReply("a completion without choices")
        return body


def _is_web_page(answer: Answer) -> bool:
    kind = answer.headers.get("content-type", "")
    return kind.startswith("text/html") or answer.body.lstrip()[:1] == b"<"
