"""The HTTP routes of the scripted server, and the way of a request through it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b

import msgspec
from aiohttp import web

from simia_async.builtin.server import refusals
from simia_async.builtin.server.answering import check, reply_to
from simia_async.builtin.server.completions import Reply, events, whole
from simia_async.builtin.server.conduct import Conduct
from simia_async.builtin.server.faults import Fault, fault_named
from simia_async.builtin.server.latency import Latency
from simia_async.builtin.server.log import Outcome, RequestRecord
from simia_async.builtin.server.protocol import ChatRequest
from simia_async.builtin.server.refusals import Refusal
from simia_async.builtin.server.sending import Dropped, Payload, send
from simia_async.errors import ConfigError
from simia_async.supervision.bearer import bearer_of

_CHAT = "/v1/chat/completions"
_AZURE_CHAT = "/openai/deployments/{deployment}/chat/completions"
_MODELS = "/v1/models"
_LARGEST_BODY = 64 * 2**20

_Handler = Callable[[web.Request, RequestRecord], Awaitable[Payload]]


def build_app(conduct: Conduct | None = None) -> web.Application:
    """The server's routes. Without a conduct it is prompt and faultless, and keeps no log.

    Needs a runner with `handler_cancellation=True` to notice clients that go.
    """
    routes = _Routes(conduct or Conduct(log=False))
    app = web.Application(client_max_size=_LARGEST_BODY)
    app.router.add_post(_CHAT, routes.observed(routes.chat))
    app.router.add_post(_AZURE_CHAT, routes.observed(routes.azure_chat))
    app.router.add_get(_MODELS, routes.observed(routes.models))
    app.router.add_get(_MODELS + "/{id:.+}", routes.observed(routes.model))
    app.router.add_route("*", "/{path:.*}", routes.observed(routes.unknown))
    app.on_shutdown.append(routes.end)
    return app


class _Routes:
    def __init__(self, conduct: Conduct) -> None:
        self._conduct = conduct
        self._closing = False
        self._tasks: set[asyncio.Task[object]] = set()

    def observed(self, handler: _Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A route: what every request goes through, whatever it asks for."""

        async def handle(request: web.Request) -> web.StreamResponse:
            log, task = self._conduct.log, asyncio.current_task()
            assert task is not None
            record = log.arrive(time.monotonic(), request.method, request.path, request.headers)
            self._tasks.add(task)
            outcome: Outcome = "failed"
            try:
                response = await self._respond(request, record, handler)
                outcome = "answered"
            except Dropped:
                outcome = "dropped"
                if request.transport is not None:
                    request.transport.abort()
                response = web.Response()  # goes nowhere
            except ConnectionError:
                outcome = "client gone"
                response = web.Response()  # goes nowhere
            except asyncio.CancelledError:
                outcome = "server closed" if self._closing else "client gone"
                raise
            finally:
                self._tasks.discard(task)
                log.finish(record, time.monotonic(), outcome)
            return response

        return handle

    async def end(self, _: web.Application) -> None:
        """Let go of the requests that still wait for an answer."""
        self._closing = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _respond(
        self, request: web.Request, record: RequestRecord, handler: _Handler
    ) -> web.StreamResponse:
        conduct = self._conduct
        try:
            if conduct.is_down:
                raise refusals.overloaded()
            self._check_key(request)
            payload = await handler(request, record)
        except Refusal as refusal:
            payload = _refuse(refusal)
        except web.RequestPayloadError:
            closing = {"connection": "close"}
            payload = _refuse(Refusal(400, "The body cannot be read.", headers=closing))
        except web.HTTPException as error:
            payload = _refuse(Refusal(error.status, error.reason))
        payload.headers["x-request-id"] = f"req_{record.number}"
        payload.headers["x-simia-latency-s"] = f"{record.latency_s:.6f}"
        if conduct.quota is not None:
            conduct.quota.refill(time.monotonic())
            payload.headers.update(refusals.quota_headers(conduct.quota))
        record.status = payload.status
        return await send(request, payload)

    def _check_key(self, request: web.Request) -> None:
        """401 as OpenAI says it, but for the key, which is not echoed."""
        key = request.headers.get("api-key") or bearer_of(request.headers.get("Authorization", ""))
        if self._conduct.lets_in(key):
            return
        if key is None:
            raise Refusal(401, "You didn't provide an API key.")
        raise Refusal(401, "Incorrect API key provided.", code="invalid_api_key")

    async def chat(self, request: web.Request, record: RequestRecord) -> Payload:
        """`POST /v1/chat/completions`."""
        return await self._complete(request, record, None)

    async def azure_chat(self, request: web.Request, record: RequestRecord) -> Payload:
        """The same in Azure's way: the model is in the path, and a version must be named."""
        if "api-version" not in request.query:
            raise Refusal(404, "Resource not found", code="404")
        return await self._complete(request, record, request.match_info["deployment"])

    async def models(self, _: web.Request, __: RequestRecord) -> Payload:
        """`GET /v1/models`."""
        data = [_card(model) for model in self._conduct.models]
        return Payload([msgspec.json.encode({"object": "list", "data": data})])

    async def model(self, request: web.Request, _: RequestRecord) -> Payload:
        """`GET /v1/models/{id}`."""
        model = request.match_info["id"]
        if model not in self._conduct.models:
            message = f"The model '{model}' does not exist or you do not have access to it."
            raise Refusal(404, message, param="model", code="model_not_found")
        return Payload([msgspec.json.encode(_card(model))])

    async def unknown(self, request: web.Request, _: RequestRecord) -> Payload:
        """Any other path, or a known one with another method."""
        if request.path in (_CHAT, _MODELS):
            message = f"Not allowed to {request.method} on {request.path}."
            raise Refusal(405, message, code="method_not_supported")
        raise Refusal(404, f"Invalid URL ({request.method} {request.path})")

    async def _complete(
        self, request: web.Request, record: RequestRecord, model: str | None
    ) -> Payload:
        conduct = self._conduct
        asked = await self._read(request, record)
        if model is not None:
            asked.model = model
        check(asked, reasoning_model=conduct.reasoning_model)
        fault, latency_s = self._draw(request, record)
        self._charge(asked, record)
        record.fault = fault
        if fault == "rate_limit":
            raise refusals.rate_limited_at_random(asked.model, conduct.faults.retry_after_s)
        reply = await self._say(asked, record)
        record.latency_s = latency_s
        if latency_s:
            await asyncio.sleep(latency_s)
        await self._fail(record)
        return self._payload(asked, _spoil(reply, fault), record)

    async def _read(self, request: web.Request, record: RequestRecord) -> ChatRequest:
        """The request, noted in its record. Raises a 400."""
        conduct = self._conduct
        body = await request.read()
        record.identity = blake2b(body, digest_size=8).hexdigest()
        if conduct.counts_attempts:
            record.attempt = conduct.attempt(record.identity)
        try:
            raw = msgspec.json.decode(body)
            asked = msgspec.convert(raw, ChatRequest)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise Refusal(400, f"not a chat completion request: {error}") from error
        asked.raw = raw
        if conduct.log.active and conduct.log.keeps_bodies:
            record.body = raw
        return asked

    async def _fail(self, record: RequestRecord) -> None:
        """Do what a fault does in place of an answer."""
        match record.fault:
            case "hang":
                await asyncio.Event().wait()
            case "drop":
                raise Dropped
            case "server_error":
                kind = self._conduct.chance("kind of server error", record)
                raise refusals.server_error() if kind < 0.5 else refusals.overloaded()

    def _draw(self, request: web.Request, record: RequestRecord) -> tuple[Fault | None, float]:
        """The fault and the latency that were drawn, or that the request itself asks for."""
        fault, latency = (
            request.headers.get("x-simia-fault"),
            request.headers.get("x-simia-latency"),
        )
        drawn: Fault | None = None
        try:
            if fault is None:
                drawn = self._conduct.draw_fault(record)
            elif fault != "none":
                drawn = fault_named(fault)
            if latency is None:
                return drawn, self._conduct.draw_latency(record)
            return drawn, Latency.fixed(float(latency)).quantile(0.5)
        except (ConfigError, ValueError) as error:
            raise Refusal(400, f"x-simia-fault or x-simia-latency: {error}") from error

    def _charge(self, asked: ChatRequest, record: RequestRecord) -> None:
        """Ask the quota. Raises the 429."""
        quota = self._conduct.quota
        tokens = asked.charged_tokens
        if quota is not None:
            verdict = quota.admit(time.monotonic(), tokens)
            if not verdict.admitted:
                raise refusals.rate_limited(asked.model, quota, verdict, tokens)
        record.tokens = tokens

    async def _say(self, asked: ChatRequest, record: RequestRecord) -> Reply:
        conduct = self._conduct
        try:
            reply = await reply_to(conduct, asked, record.identity, record.attempt)
        except (Refusal, asyncio.CancelledError):
            raise
        except Exception as error:
            # The user's `respond` is the only code here that may fail in any way at all.
            raise Refusal(500, f"respond failed: {error!r}", kind="server_error") from error
        if (conduct.reasoning_model or conduct.show_reasoning) and not reply.reasoning:
            reply.reasoning = f"Rules, not thought, answer these {len(asked.messages)} messages."
        return reply

    def _payload(self, asked: ChatRequest, reply: Reply, record: RequestRecord) -> Payload:
        fault, show, number = record.fault, self._conduct.show_reasoning, record.number
        slow_body_s = self._conduct.faults.slow_body_s
        if asked.stream:
            pieces: Sequence[bytes] = list(events(reply, asked, number=number, show=show))
            content_type = "text/event-stream"
        else:
            completion = whole(reply, asked.model, asked.prompt_tokens, number=number, show=show)
            pieces, content_type = [msgspec.json.encode(completion)], "application/json"
        return Payload(
            pieces, content_type=content_type, headers={}, fault=fault, slow_body_s=slow_body_s
        )


def _refuse(refusal: Refusal) -> Payload:
    return Payload([refusal.body()], refusal.status, headers=dict(refusal.headers))


def _spoil(reply: Reply, fault: Fault | None) -> Reply:
    """What the model says under a fault that is the model's own."""
    if fault == "prose":
        fenced = f"Sure! Here is what you asked for:\n\n```json\n{reply.content or ''}\n```\n\n"
        reply.content = f"{fenced}Let me know if you need anything else."
    if fault == "malformed":
        if reply.content is not None:
            reply.content = _broken(reply.content)
        for call in reply.tool_calls:
            call.arguments = _broken(call.arguments)
    return reply


def _broken(text: str) -> str:
    """JSON without its last character, with a comma too many: no parser reads it as it was."""
    return text[:-1].rstrip() + ",,"


def _card(model: str) -> dict[str, object]:
    return {"id": model, "object": "model", "created": 0, "owned_by": "simia-async"}
