"""What goes wrong outside of `simia generate`: one sentence, exit code 2, nothing half-written."""

import asyncio
import json
import resource
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from simia_store import Reader, RunRecord, RunStatus, open_store
from typer.testing import CliRunner

from simia_async.cli.main import app

KEY = "sk-canary-0123456789abcdef"
MODELS = json.dumps({"data": [{"id": "m"}]})


def refusal(status: int, message: str, code: str | None = None) -> tuple[int, str, dict[str, str]]:
    error = {"error": {"message": message, "type": "t", "param": None, "code": code}}
    return status, json.dumps(error), {"Content-Type": "application/json"}


WRONG_KEY = f"Incorrect API key provided: {KEY}. You can find yours at the website."
ANSWERS: dict[str, Any] = {
    "wrong-key": refusal(401, WRONG_KEY, "invalid_api_key"),
    "forbidden": refusal(403, "Your country is not supported"),
    "no-quota": refusal(429, "You exceeded your current quota", "insufficient_quota"),
    "down": refusal(503, "Down for maintenance"),
    "html": (200, "<html><title>Log in</title></html>", {"Content-Type": "text/html"}),
    "redirect": (307, "", {"Location": f"https://elsewhere.test/v1?key={KEY}"}),
}


class Handler(BaseHTTPRequestHandler):
    """The first part of the path says which misfortune it is."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        case = self.path.split("/")[1]
        if case == "hang":
            time.sleep(3)
            return
        self.answer(*ANSWERS.get(case, (200, MODELS, {"Content-Type": "application/json"})))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(*refusal(404, "The model 'm' does not exist", "model_not_found"))

    def answer(self, status: int, body: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Clients may hang up."""


def serve(tls: ssl.SSLContext | None = None) -> Iterator[int]:
    with Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    yield from serve()


@pytest.fixture
def tls_port(tls: ssl.SSLContext) -> Iterator[int]:
    yield from serve(tls)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return tmp_path


def sentence_of(*arguments: str) -> str:
    """The one sentence of a `simia generate` that must fail."""
    result = CliRunner().invoke(app, ["generate", *arguments])
    return checked(result.exit_code, result.stdout, result.stderr)


def checked(exit_code: int, stdout: str, stderr: str) -> str:
    assert exit_code == 2, stdout + stderr
    assert stdout == ""
    [line] = [line for line in stderr.splitlines() if line]
    assert line.startswith("error: ")
    assert "Traceback" not in line
    assert KEY not in line
    assert len(line) < 500
    return line


def nothing_is_left(place: Path) -> bool:
    return [path for path in place.rglob("*") if path.name != "simia.toml"] == []


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("wrong-key", "HTTP 401: Incorrect API key provided: …. You can find yours at the website. "
         "(key from OPENAI_API_KEY: set)"),
        ("forbidden", "HTTP 403: Your country is not supported (key from OPENAI_API_KEY: set)"),
        ("no-quota", "HTTP 429: You exceeded your current quota"),
        ("down", "HTTP 503: Down for maintenance"),
        ("html", "answers with a web page, not with JSON; is the base URL right?"),
        ("redirect", "HTTP 307: ; it redirects to https://elsewhere.test/v1?key=…"),
        ("hang", "no answer within 0.5 s"),
    ],
)  # fmt: skip
def test_an_endpoint_that_does_not_answer_well(
    case: str, said: str, port: int, place: Path
) -> None:
    url = f"http://127.0.0.1:{port}/{case}/v1"
    line = sentence_of("--base-url", url, "--simulator-model", "m", "--timeout", "0.5")
    assert said in line
    assert f"{url}/models" in line
    assert nothing_is_left(place)


def test_an_endpoint_that_cannot_be_reached(port: int, tls_port: int, place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    cases = {
        f"http://127.0.0.1:{closed}/v1": "connection failed",
        "http://no-such-host.invalid/v1": "cannot be reached: ",
        "http://a..b/v1": "no such host: a..b",
        f"https://127.0.0.1:{tls_port}/v1": "certificate of 127.0.0.1 is not trusted: self-signed",
        f"https://127.0.0.1:{port}/v1": "should the URL begin with http://?",
        f"http://127.0.0.1:{tls_port}/v1": "connection failed",
    }
    for url, said in cases.items():
        began = time.monotonic()
        line = sentence_of("--base-url", url, "--simulator-model", "m")
        assert said in line
        assert url in line
        assert time.monotonic() - began < 5, "it asked more than once"
    assert nothing_is_left(place)


def test_a_model_that_is_not_there_is_told_at_the_first_call(port: int, place: Path) -> None:
    url = f"http://127.0.0.1:{port}/good/v1"
    line = sentence_of("--base-url", url, "--simulator-model", "m", "--run", "r.db")
    assert f"{url}/chat/completions: HTTP 404: The model 'm' does not exist" in line
    with Reader(place / "r.db") as reader:  # the run had begun, and says how it ended
        assert "does not exist" in (reader.run().reason or "")


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[simulator\nmodel = 1", "simia.toml: "),
        ("[simulator]\nmodel = 'm'\nmodel = 'n'", "simia.toml: "),
        ("[simulator]\nmodle = 'm'", "modle"),
        (b"[simulator]\nmodel = '\xff'", "simia.toml: "),
        ("[simulator]\ncredential = 'entra'", "credential: also needs"),
    ],
    ids=["syntax", "twice", "unknown", "bytes", "entra"],
)
def test_a_broken_file_of_settings(toml: str | bytes, said: str, place: Path) -> None:
    (place / "simia.toml").write_bytes(toml.encode() if isinstance(toml, str) else toml)
    assert said in sentence_of("--config", "simia.toml")
    assert nothing_is_left(place)


async def written(path: Path) -> None:
    async with open_store(path) as store:
        await store.append(RunRecord("r", "generate", {}, status=RunStatus.DONE))


def test_a_database_of_a_newer_version(place: Path) -> None:
    asyncio.run(written(place / "r.db"))
    with closing(sqlite3.connect(place / "r.db")) as db:
        db.execute("pragma user_version = 999")
    before = (place / "r.db").read_bytes()
    line = sentence_of("--run", "r.db")
    assert "r.db: " in line
    assert "newer" in line
    assert (place / "r.db").read_bytes() == before


async def test_a_database_that_another_process_owns(place: Path) -> None:
    async with open_store(place / "r.db"):
        other = await asyncio.create_subprocess_exec(
            *simia("--run", "r.db"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        stdout, stderr = await other.communicate()
    assert "r.db: " in checked(other.returncode or 0, stdout.decode(), stderr.decode())


def simia(*arguments: str) -> list[str]:
    command = "from simia_async.cli.main import main; main()"
    return [sys.executable, "-c", command, "generate", *arguments]


@pytest.mark.parametrize("size", [0, 20_000, 400_000])
def test_a_disk_that_is_full(size: int, place: Path) -> None:
    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    result = subprocess.run(
        simia("-n", "200", "--run", "r.db"),
        capture_output=True,
        text=True,
        preexec_fn=fill,
        check=False,
    )
    assert "r.db: " in checked(result.returncode, result.stdout, result.stderr)


def test_a_directory_that_nobody_may_write_to() -> None:
    line = sentence_of("--run", "/sys/r.db")
    assert "/sys/r.db: " in line
