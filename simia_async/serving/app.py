"""The routes of the server."""

import time
from collections.abc import Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import anyio.to_thread
import msgspec
from aiohttp import web
from simia_store import (
    CANCEL,
    CHECKPOINT,
    CONCURRENCY,
    PAUSE,
    REJUDGE,
    RESUME,
    STOP_AFTER_STEP,
    CommandRecord,
    CommandStatus,
    send_command,
    wait_for_answer,
)
from simia_store.replication import changes_after

from simia_async.errors import UsageError
from simia_async.serving.admission import Places
from simia_async.serving.fetching import Fetching
from simia_async.serving.guards import guard
from simia_async.serving.jobs import InUse, Job, JobDirectory
from simia_async.serving.meanings import served_kind
from simia_async.serving.metrics import exposition
from simia_async.serving.openapi import document
from simia_async.serving.problems import problem_response
from simia_async.serving.requests import EnvironmentFiles, Order, Submission
from simia_async.serving.supervisor import Supervisor
from simia_async.serving.tail import Tails
from simia_async.serving.uploads import LARGEST_FILE, keep_environment, keep_file
from simia_async.serving.views import CommandView, RunView, view_of

COMMANDS = (PAUSE, RESUME, CONCURRENCY, CANCEL, STOP_AFTER_STEP, CHECKPOINT, REJUDGE)
_ANSWER_WITHIN_S = 10.0
_AWAITED_AT_ONCE = 16
"""Commands whose answer is awaited: each takes a thread, and others need some too."""


def is_cursor(text: str) -> bool:
    """Whether it is the number of an event, or might be."""
    return text.isascii() and text.isdigit() and len(text) <= 18


class ControlApi:
    """Answers requests; holds what they have in common."""

    def __init__(
        self, supervisor: Supervisor, places: Places, background: anyio.abc.TaskGroup
    ) -> None:
        self._supervisor = supervisor
        self._places = places
        self._tails = Tails(background)
        self._fetching = Fetching(supervisor, places)
        self._awaiting = anyio.CapacityLimiter(_AWAITED_AT_ONCE)
        self._lag_s = 0.0

    def app(self, token: str | None) -> web.Application:
        """The application, which lets in who sends the token; everybody if there is none."""
        app = web.Application(client_max_size=LARGEST_FILE, middlewares=[guard(token)])
        for method, path, handler in self._routes():
            app.router.add_route(method, path, handler)
        app.add_routes(self._fetching.routes())
        return app

    def _routes(self) -> list[tuple[str, str, Callable[[web.Request], Any]]]:
        return [
            ("GET", "/healthz", self.healthz),
            ("GET", "/readyz", self.readyz),
            ("GET", "/metrics", self.metrics),
            ("GET", "/openapi.json", self.openapi),
            ("POST", "/v1/runs", self.submit),
            ("GET", "/v1/runs", self.list_runs),
            ("GET", "/v1/runs/{id}", self.show_run),
            ("DELETE", "/v1/runs/{id}", self.delete_run),
            ("POST", "/v1/runs/{id}/stop", self.stop_run),
            ("POST", "/v1/runs/{id}/commands", self.command),
            ("GET", "/v1/runs/{id}/commands/{number}", self.answer),
            ("GET", "/v1/runs/{id}/events", self.events),
            ("GET", "/v1/runs/{id}/changes", self.changes),
            ("PUT", "/v1/files/{name}", self.put_file),
            ("PUT", "/v1/environments/{name}", self.put_environment),
        ]

    async def watch_lag(self) -> None:
        """Measure how late the event loop is, until cancelled."""
        while True:
            before = time.monotonic()
            await anyio.sleep(0.1)
            self._lag_s = max(0.0, time.monotonic() - before - 0.1)

    async def healthz(self, _: web.Request) -> web.Response:
        """The process is there."""
        return _json({"status": "ok"})

    async def readyz(self, _: web.Request) -> web.Response:
        """Runs are taken."""
        if self._supervisor.is_draining:
            return problem_response(503, "the server is going down")
        return _json({"status": "ready"})

    async def metrics(self, _: web.Request) -> web.Response:
        """For Prometheus."""
        measure = partial(exposition, self._supervisor.jobs, self._supervisor.root, self._lag_s)
        text = await anyio.to_thread.run_sync(measure)
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4"})

    async def openapi(self, _: web.Request) -> web.Response:
        """This API, described."""
        return _json(document())

    async def submit(self, request: web.Request) -> web.Response:
        """A run to be done: 201, or 200 where it was submitted with this key before."""
        asked = await _body(request, Submission)
        key = request.headers.get("Idempotency-Key")
        if key is not None and not (0 < len(key) <= 200 and key.isprintable()):
            return problem_response(400, "Idempotency-Key: must have 1 to 200 printable characters")
        settings = await anyio.to_thread.run_sync(self._places.admitted, asked.kind, asked.settings)
        data = await anyio.to_thread.run_sync(self._places.data, asked.kind, asked.data)
        kind = served_kind(asked.kind)
        job, is_new = await self._supervisor.submit(kind, settings, data, key)
        headers = {"Location": f"/v1/runs/{job.id}"}
        return _json(await self._view(job), 201 if is_new else 200, headers)

    async def list_runs(self, _: web.Request) -> web.Response:
        """All runs, the newest first, without their numbers."""
        return _json({"runs": [RunView.of(job) for job in reversed(self._supervisor.jobs)]})

    async def show_run(self, request: web.Request) -> web.Response:
        """One run."""
        return _json(await self._view(self._supervisor.job(request.match_info["id"])))

    async def delete_run(self, request: web.Request) -> web.Response:
        """Remove a run that is over."""
        await self._supervisor.delete(request.match_info["id"])
        return web.Response(status=204)

    async def stop_run(self, request: web.Request) -> web.Response:
        """End a run; what it committed stays."""
        job = await self._supervisor.stop(request.match_info["id"])
        return _json(RunView.of(job), 202)

    async def command(self, request: web.Request) -> web.Response:
        """Leave a command for a run that goes on, and wait until it is done or taken up."""
        job = self._supervisor.job(request.match_info["id"])
        database = self._supervisor.directory(job.id).database
        order = await _body(request, Order)
        if order.name not in COMMANDS:
            raise UsageError(f"name: found {order.name!r}; it must be one of {', '.join(COMMANDS)}")
        if job.state.is_over:
            return problem_response(409, f"{job.id}: is {job.state}; nobody is there to obey")
        leave = partial(send_command, database, order.name, **order.arguments)
        number = await anyio.to_thread.run_sync(leave)
        wait = partial(wait_for_answer, database, number, _ANSWER_WITHIN_S, until_taken_up=True)
        answered = await anyio.to_thread.run_sync(wait, limiter=self._awaiting)
        if answered.status == CommandStatus.REFUSED:
            return problem_response(409, f"the run refused to {order.name}: {answered.answer}")
        return _answer(answered)

    async def answer(self, request: web.Request) -> web.Response:
        """What became of a command."""
        database = self._directory(request).database
        number = request.match_info["number"]
        if not is_cursor(number):
            return problem_response(400, f"number: found {number!r}; it must be a number")
        look = partial(wait_for_answer, database, int(number), 0.0)
        return _answer(await anyio.to_thread.run_sync(look))

    async def events(self, request: web.Request) -> web.StreamResponse:
        """What is written to a run, as server-sent events; `Last-Event-ID` goes on after one."""
        number = request.match_info["id"]
        database = self._directory(request).database
        given = request.headers.get("Last-Event-ID") or request.query.get("after") or "0"
        if not is_cursor(given):
            return problem_response(400, f"Last-Event-ID: found {given!r}; it must be a number")
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        async with (
            self._tails.listening(database) as tail,
            aclosing(tail.frames(int(given))) as news,
        ):
            async for frames in news:
                await response.write(frames or b": still here\n\n")
                if not frames and self._supervisor.job(number).state.is_over:
                    await response.write(b"event: end\ndata: {}\n\n")
                    break
        return response

    async def changes(self, request: web.Request) -> web.Response:
        """Rows that were written after a cursor, as msgpack (`simia_store.replication`)."""
        database = self._directory(request).database
        cursor = request.query.get("after", "0")
        if not is_cursor(cursor):
            return problem_response(400, f"after: found {cursor!r}; it must be a number")
        found = await anyio.to_thread.run_sync(changes_after, database, int(cursor))
        return web.Response(
            body=msgspec.msgpack.encode(found), content_type="application/vnd.msgpack"
        )

    async def put_file(self, request: web.Request) -> web.Response:
        """Seeds, tasks or a rubric, for submissions to name."""
        keep = partial(keep_file, self._places.uploads, request.match_info["name"])
        content = await request.read()
        path = await anyio.to_thread.run_sync(keep, content, self._check_free)
        return _json({"name": path.name}, 201)

    async def put_environment(self, request: web.Request) -> web.Response:
        """An environment, for submissions to name."""
        sent = await _body(request, EnvironmentFiles)
        keep = partial(keep_environment, self._places.uploads, request.match_info["name"])
        path = await anyio.to_thread.run_sync(keep, sent.files, self._check_free)
        return _json({"name": path.name}, 201)

    def _check_free(self, place: Path) -> None:
        if reader := self._supervisor.reader_of(place):
            raise InUse(
                f"{place.name}: {reader.id} was submitted with it and is {reader.state}; send it "
                "under another name"
            )

    def _directory(self, request: web.Request) -> JobDirectory:
        return self._supervisor.directory(request.match_info["id"])

    async def _view(self, job: Job) -> RunView:
        directory = self._supervisor.directory(job.id)
        return await anyio.to_thread.run_sync(view_of, job, directory)


async def _body(request: web.Request, expected: type[Any]) -> Any:
    """The body of a request. Raises `UsageError`."""
    try:
        return msgspec.json.decode(await request.read(), type=expected)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise UsageError(f"the body of the request: {error}") from error


def _answer(command: CommandRecord) -> web.Response:
    is_waiting = command.status == CommandStatus.WAITING
    return _json(CommandView.of(command), 202 if is_waiting else 200)


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(body),
        status=status,
        content_type="application/json",
        headers=headers,
    )
