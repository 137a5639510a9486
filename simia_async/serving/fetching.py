"""The routes that send what a run made, as files."""

import os
from pathlib import Path

import anyio
import anyio.to_thread
from aiohttp import web

from simia_async.serving.admission import Places
from simia_async.serving.downloads import Downloads, copied
from simia_async.serving.jobs import JobDirectory
from simia_async.serving.problems import problem_response
from simia_async.serving.supervisor import Supervisor

_PIECE = 2**20
_LOG_BYTES = 2**20
_TAR = "application/x-tar"


class Fetching:
    """Answers requests for files of runs.

    Those that stand on disk can be fetched in parts (`Range`, RFC 9110), so that a download that
    broke off goes on; their `ETag` tells whether they are still the same.
    """

    def __init__(self, supervisor: Supervisor, places: Places) -> None:
        self._supervisor = supervisor
        self._places = places
        self._downloads = Downloads()

    def routes(self) -> list[web.RouteDef]:
        """Of the application."""
        return [
            web.get("/v1/runs/{id}/database", self.database, allow_head=False),
            web.get("/v1/runs/{id}/log", self.log, allow_head=False),
            web.get("/v1/runs/{id}/export", self.export, allow_head=False),
            web.get("/v1/runs/{id}/card", self.card, allow_head=False),
            web.get("/v1/runs/{id}/tasks", self.tasks, allow_head=False),
            web.get("/v1/runs/{id}/adapters/{version}", self.adapter, allow_head=False),
        ]

    async def database(self, request: web.Request) -> web.StreamResponse:
        """The whole record of a run as it is now: a SQLite database."""
        response = web.StreamResponse(headers={"Content-Type": "application/vnd.sqlite3"})
        directory = self._directory(request)
        async with await anyio.to_thread.run_sync(copied, directory) as copy:
            response.content_length = await copy.seek(0, os.SEEK_END)
            await copy.seek(0)
            await response.prepare(request)
            while piece := await copy.read(_PIECE):
                await response.write(piece)
        return response

    async def log(self, request: web.Request) -> web.Response:
        """The last that a run's process said."""
        said = await anyio.to_thread.run_sync(self._directory(request).end_of_log, _LOG_BYTES)
        return web.Response(body=said, content_type="text/plain", charset="utf-8")

    async def export(self, request: web.Request) -> web.StreamResponse:
        """The data set of what a run kept, so far."""
        form = request.query.get("format", "openai")
        file = await self._downloads.export(self._directory(request), form)
        return _sent(file, f"{request.match_info['id']}-{form}.tar", _TAR)

    async def card(self, request: web.Request) -> web.StreamResponse:
        """One page on a run, with what evaluations and meters here tell of it."""
        directory = self._directory(request)
        evaluations = await anyio.to_thread.run_sync(self._runs, request, "eval")
        meters = await anyio.to_thread.run_sync(self._runs, request, "meter")
        file = await self._downloads.card(directory, evaluations, meters)
        return _sent(file, f"{request.match_info['id']}.md", "text/markdown")

    async def tasks(self, request: web.Request) -> web.StreamResponse:
        """The tasks that a run of the kind `tasks` made."""
        file = self._directory(request).tasks
        if not await anyio.Path(file).exists():
            return problem_response(404, f"{request.match_info['id']}: made no tasks, or not yet")
        return _sent(file, f"{request.match_info['id']}.jsonl", "application/jsonl")

    async def adapter(self, request: web.Request) -> web.StreamResponse:
        """An adapter that a run published."""
        number, version = request.match_info["id"], request.match_info["version"]
        file = await self._downloads.adapter(self._directory(request), version)
        return _sent(file, f"{number}-{version}.tar", _TAR)

    def _directory(self, request: web.Request) -> JobDirectory:
        return self._supervisor.directory(request.match_info["id"])

    def _runs(self, request: web.Request, name: str) -> list[Path]:
        return [self._places.run(name, each) for each in request.query.getall(name, [])]


def _sent(file: Path, name: str, media: str) -> web.FileResponse:
    headers = {"Content-Type": media, "Content-Disposition": f'attachment; filename="{name}"'}
    return web.FileResponse(file, headers=headers)
