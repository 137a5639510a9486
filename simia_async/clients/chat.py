"""The client of an OpenAI-compatible endpoint: chat completions, and completions over token ids.

Every attempt goes into the caller's ledger, failed ones too, so that it can be stored in one
transaction with the turn it was made for.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self

import anyio.to_thread
import msgspec
from simia_store import CallRecord
from yarl import URL

from simia_async.clients.answers import Body, is_web_page, read_body, read_refusal
from simia_async.clients.attempts import Attempt, Books, Request
from simia_async.clients.credentials import Credentials
from simia_async.clients.dialect import Dialect
from simia_async.clients.governor import Governor
from simia_async.clients.history import History
from simia_async.clients.openai_errors import catchable
from simia_async.clients.prices import Prices, prices_of
from simia_async.clients.retries import Patience
from simia_async.clients.spending import Spending
from simia_async.clients.streaming import ChatStream, check_streams
from simia_async.clients.transport import (
    AiohttpTransport,
    Answer,
    PooledTransport,
    Transport,
    proxy_of,
)
from simia_async.clients.wire import (
    ChatBody,
    ChatReply,
    CompletionBody,
    ModelList,
    read_message,
    usage_of,
)
from simia_async.config import Budget, Endpoint
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
_SMOOTHING = 0.05
_CHECK_TIMEOUT_S = 30.0
"""Listing models takes no thought; a time-out made for answers would be a long wait."""


class Completion(msgspec.Struct, frozen=True, gc=False):
    """A completion over token ids: what was sampled, and how likely each token was."""

    token_ids: list[int]
    logprobs: list[float]
    finish_reason: str


class ChatClient:
    """One endpoint. Made by `ChatClient.connect`."""

    def __init__(
        self,
        endpoint: Endpoint,
        transport: Transport,
        streams: AiohttpTransport,
        credentials: Credentials,
        prices: Prices | None,
        spending: Spending,
        governor: Governor | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.prices = prices
        self.spending = spending
        self.governor = governor or Governor(endpoint)
        self._books = Books(endpoint.base_url or "", self.governor, prices, spending)
        self._transport = transport
        self._streams = streams
        self._credentials = credentials
        self._dialect = Dialect(endpoint)
        self._token = credentials.key
        self._headers = self._dialect.headers(credentials.key)
        self._chat_url = self._dialect.url("/chat/completions")
        self._completions_url = self._dialect.url("/completions")
        self._model = _encode(endpoint.model)
        self._tokens_out = 0.0
        """Of an answer, smoothed."""

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        endpoint: Endpoint,
        *,
        spending: Spending | None = None,
        governor: Governor | None = None,
    ) -> AsyncIterator[Self]:
        """A client whose connections are closed on exit. What its calls cost is charged to
        `spending`; a `governor` is that of another client of the same model.

        Raises `UsageError` if the key cannot be one, or Entra is asked for and not installed.
        """
        async with AsyncExitStack() as opened:
            credentials = Credentials.of(endpoint)
            opened.push_async_callback(credentials.close)
            prices = await anyio.to_thread.run_sync(prices_of, endpoint)
            origin = Dialect(endpoint).url("")
            proxy = proxy_of(origin)
            streams = AiohttpTransport(endpoint.timeout_s, proxy)
            opened.push_async_callback(streams.close)
            transport: Transport = streams
            if proxy is None:
                transport = PooledTransport(origin, endpoint.timeout_s)
                opened.push_async_callback(transport.close)
            spending = spending or Spending(Budget())
            yield cls(endpoint, transport, streams, credentials, prices, spending, governor)

    async def check(self) -> None:
        """One unrepeated question, so that a wrong key or host is told before the work begins.

        Raises `EndpointRefused` or `EndpointUnavailable`. Endpoints without `/models` pass.
        """
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                await self.models()
        except TimeoutError:
            raise catchable(
                EndpointUnavailable(
                    f"{self._dialect.url('/models')}: no answer within {_CHECK_TIMEOUT_S:g} s"
                )
            ) from None
        except RateLimited:
            return
        except EndpointRefused as error:
            if error.status not in (404, 405):
                raise

    async def models(self) -> list[str]:
        """Names of the models that the endpoint lists. Raises `EndpointError`; never asks twice."""
        url = self._dialect.url("/models")
        try:
            answer = await self._send("GET", url, None)
        except EndpointError as error:
            raise catchable(error) from error.__cause__
        if is_web_page(answer):
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
            sent = self._dialect.parameters(parameters)
            request = self._chat_request(history, sent, role, ledger, trajectory_id, fresh)
            try:
                body = await self._call(request, ChatBody)
            except EndpointError as error:
                if self._dialect.learn(error, parameters, sent):
                    continue
                raise catchable(error) from error.__cause__
            choice, usage = body.choices[0], usage_of(body.usage)
            self._tokens_out += _SMOOTHING * (usage.tokens_out - self._tokens_out)
            return ChatReply(read_message(choice.message), choice.finish_reason or "stop", usage)

    @asynccontextmanager
    async def stream(
        self,
        messages: Sequence[Message],
        *,
        role: str,
        ledger: list[CallRecord],
        trajectory_id: int | None = None,
        fresh: bool = False,
        **parameters: Any,
    ) -> AsyncIterator["ChatStream"]:
        """A chat completion that is read while it is said.

        What fails before the first word is tried again as in `chat`; what fails later is raised.
        """
        history = messages if isinstance(messages, History) else History(messages)
        asked = {**parameters, "stream": True, "stream_options": {"include_usage": True}}
        patience = Patience(self.endpoint)
        number = 0
        while True:
            sent = self._dialect.parameters(asked)
            request = self._chat_request(history, sent, role, ledger, trajectory_id, fresh)
            number += 1
            try:
                attempt, said = await self._begin_stream(request, number, patience.deadline)
                break
            except EndpointError as error:
                learnt = self._dialect.learn(error, asked, sent)
                wait = 0.0 if learnt else patience.wait_after(error)
                if wait is None:
                    raise catchable(error) from error.__cause__
            await asyncio.sleep(wait)
        try:
            yield said
        except BaseException as error:
            if said.failure is None:
                attempt.abandoned(error)
            raise
        else:
            if said.failure is None:
                attempt.succeeded(said.answer, said.usage)
        finally:
            if said.failure is not None:
                attempt.failed(said.failure)
            said.close()

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
        tokens = len(prompt_ids) + (parameters.get("max_tokens") or self._tokens_out)
        url, body = self._completions_url, _encode(asked)
        request = Request(url, body, tokens, model, "policy", ledger, trajectory_id, fresh)
        try:
            choice = (await self._call(request, CompletionBody)).choices[0]
            if len(choice.token_ids) != len(choice.logprobs.token_logprobs):
                raise BadReply(
                    f"{self.endpoint.base_url}: {len(choice.token_ids)} token ids but "
                    f"{len(choice.logprobs.token_logprobs)} log-probabilities"
                )
        except EndpointError as error:
            raise catchable(error) from error.__cause__
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

    def _chat_request(
        self,
        history: History,
        sent: Mapping[str, Any],
        role: str,
        ledger: list[CallRecord],
        trajectory_id: int | None,
        fresh: bool,
    ) -> Request:
        tail = b"]," + _encode(sent)[1:] if sent else b"]}"
        body = b'{"model":' + self._model + b',"messages":[' + history.as_json() + tail
        limit = sent.get("max_tokens") or sent.get("max_completion_tokens")
        tokens = history.size / _BYTES_PER_TOKEN + (limit or self._tokens_out)
        model = self.endpoint.model or ""
        return Request(self._chat_url, body, tokens, model, role, ledger, trajectory_id, fresh)

    async def _begin_stream(
        self, request: Request, number: int, deadline: float | None
    ) -> tuple[Attempt, ChatStream]:
        """One attempt, up to the first word."""
        attempt = await Attempt.begin(self._books, request, number, deadline)
        try:
            headers = await self._current_headers()
            stream = await self._streams.open("POST", request.url, headers, request.body)
            try:
                if stream.status >= 300:
                    answer = self._credentials.censored(await stream.whole())
                    raise read_refusal(request.url, answer, self._credentials.told)
                await check_streams(stream, self._credentials)
                said = ChatStream(stream, self._credentials)
                await said.begin()
            except BaseException:
                stream.close()
                raise
        except EndpointError as error:
            attempt.failed(error)
            raise
        except BaseException as error:
            attempt.abandoned(error)
            raise
        return attempt, said

    async def _call(self, request: Request, expected: type[Body]) -> Body:
        """Attempts, until one succeeds or a budget is spent."""
        patience: Patience | None = None
        number = 0
        while True:
            number += 1
            deadline = patience.deadline if patience else None
            attempt = await Attempt.begin(self._books, request, number, deadline)
            try:
                answer = await self._send("POST", request.url, request.body)
                body = read_body(request.url, answer, expected)
            except EndpointError as error:
                # The governor's leave is given back before the wait for the next one begins.
                attempt.failed(error)
                patience = patience or Patience(self.endpoint)
                wait = patience.wait_after(error)
                if wait is None:
                    raise
            except BaseException as error:  # a cancelled attempt is no success either
                attempt.abandoned(error)
                raise
            else:
                attempt.succeeded(answer, usage_of(body.usage))
                return body
            # Who waits for an endpoint that is down waits in the governor's queue.
            if not self.governor.is_down:
                await asyncio.sleep(wait)

    async def _send(self, method: str, url: URL, body: bytes | None) -> Answer:
        """One attempt. Raises the error that an answer above 2xx stands for."""
        headers = await self._current_headers()
        answer = await self._transport.request(method, url, headers, body)
        answer = self._credentials.censored(answer)
        if answer.status >= 300:
            raise read_refusal(url, answer, self._credentials.told)
        return answer

    async def _current_headers(self) -> Mapping[str, str]:
        """Headers of a request, the same object as long as the token is good."""
        if self._credentials.expire:
            token = await self._credentials.token()
            if token != self._token:
                self._token, self._headers = token, self._dialect.headers(token)
        return self._headers
