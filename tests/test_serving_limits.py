"""How a server protects itself and its clients: TLS, rates, origins, full disks, and its end."""

import http.client
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import simia_async
from simia_async.cli.main import app
from simia_async.errors import ConfigError, EndpointUnavailable
from simia_async.serving.guards import _REQUESTS_A_MINUTE, _Rate
from tests.proc import is_there
from tests.servers import SIMIA, ServerProcess, until
from tests.test_serving import record, slow, state

pytest.importorskip("prometheus_client")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server") / "root", "--parallel", "1") as server:
        yield server


def certificate(place: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody but itself vouches for, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not there, which makes the certificate")
    cert, key = place / "cert.pem", place / "key.pem"
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
    made += f"-subj /CN=simia -addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {cert}"
    subprocess.run(made.split(), check=True, capture_output=True)
    return cert, key


async def test_a_certificate_is_believed_if_somebody_vouches_for_it(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    flags = ["--tls-cert", str(cert), "--tls-key", str(key)]
    with ServerProcess(tmp_path / "root", *flags) as server:
        assert server.url.startswith("https://127.0.0.1")
        with pytest.raises(EndpointUnavailable, match="--ca names whom to trust"):
            async with simia_async.connect(server.url, token=server.token):
                pass
        async with simia_async.connect(server.url, token=server.token, ca_file=cert) as remote:
            assert await remote.runs() == []
        with pytest.raises(ConfigError, match="holds no certificates"):
            async with simia_async.connect(server.url, token=server.token, ca_file=key):
                pass


def test_the_command_line_trusts_whom_it_is_told_to(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    with ServerProcess(tmp_path / "root", "--tls-cert", str(cert), "--tls-key", str(key)) as server:
        there = ["--server", server.url, "--token-file", str(server.root / "token")]
        # In a process of its own: uvloop leaves the socket of a failed handshake to be collected.
        refused = subprocess.run([*SIMIA, "submit", "list", *there], capture_output=True, text=True)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "--ca names whom to trust" in refused.stderr
        listed = CliRunner().invoke(app, ["submit", "list", *there, "--ca", str(cert)])
        assert (listed.exit_code, listed.output) == (0, "")
        plain = server.url.replace("https", "http")
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            urllib.request.urlopen(f"{plain}/healthz", timeout=10)


def test_other_origins_get_no_leave(server: ServerProcess) -> None:
    """A page of another origin can neither read answers nor ask with a token or a JSON body."""
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    host, port = server.url.removeprefix("http://").split(":")
    for method, path, expected in (
        ("OPTIONS", "/v1/runs", 405),
        ("GET", "/v1/runs", 200),
        ("GET", "/healthz", 200),
    ):
        client = http.client.HTTPConnection(host, int(port), timeout=10)
        client.request(method, path, headers=asked | {"Authorization": f"Bearer {server.token}"})
        response = client.getresponse()
        assert response.status == expected
        names = [name.lower() for name, _ in response.getheaders()]
        assert not [name for name in names if name.startswith("access-control")]
        client.close()


def test_who_asks_too_often_waits(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "root") as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as client:
            one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
            last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            answers = b""
            for asked in [one * 100] * (_REQUESTS_A_MINUTE // 100 + 2) + [last]:
                client.sendall(asked)
            while piece := client.recv(2**16):
                answers += piece
        assert answers.count(b"HTTP/1.1 200 OK") >= _REQUESTS_A_MINUTE
        assert b"HTTP/1.1 429 Too Many Requests" in answers
        assert b"Retry-After: 1" in answers


def test_a_bucket_fills_again() -> None:
    rate, now = _Rate(), 1e9
    first = [rate.take(now) for _ in range(_REQUESTS_A_MINUTE + 1)]
    assert first[:-1] == [0] * _REQUESTS_A_MINUTE
    assert first[-1] >= 1
    assert [rate.take(now + 60) for _ in range(3)] == [0, 0, 0]


def test_a_second_server_of_a_root_is_refused(server: ServerProcess) -> None:
    again = CliRunner().invoke(app, ["serve", "--root", str(server.root), "--port", "0"])
    assert again.exit_code == 2
    assert "another server does the runs there" in " ".join(again.output.split())


def test_a_full_disk_is_told_and_survived(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: writing fails in the midst of a file."""
    with ServerProcess(tmp_path / "root", "--parallel", "1") as server:
        assert server.process is not None
        pid = server.process.pid
        put = f"{server.url}/v1/files/seeds.jsonl"
        request = urllib.request.Request(put, b"x" * 100_000, method="PUT")
        request.add_header("Authorization", f"Bearer {server.token}")
        number, _ = slow(server)
        no_limit = resource.prlimit(pid, resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)
        assert refused.value.code == 507
        refused.value.close()
        status, problem = server.ask("POST", "/v1/runs", {"kind": "generate"})
        assert (status, problem["detail"]) == (507, "the server cannot write: File too large")
        assert server.ask("POST", f"/v1/runs/{number}/stop")[0] == 507
        owner = int(record(server, number).with_name("run.db.lock").read_text())
        os.kill(owner, signal.SIGKILL)
        until(lambda: not is_there(owner))
        assert server.ask("GET", "/readyz")[0] == 200
        resource.prlimit(pid, resource.RLIMIT_FSIZE, no_limit)
        until(lambda: server.ask("GET", f"/v1/runs/{number}")[1]["attempts"] == 2)
        with urllib.request.urlopen(request, timeout=10) as response:
            assert response.status == 201
        server.ask("POST", f"/v1/runs/{number}/stop")
        until(lambda: state(server, number) == "stopped")
        assert [path.name for path in (server.root / "runs").iterdir()] == [number]
        assert [path.name for path in (server.root / "uploads/files").iterdir()] == ["seeds.jsonl"]


def test_a_server_that_goes_takes_no_more_and_ends_its_runs(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        server = ServerProcess(tmp_path / "root")
        server.start(log)
        number, _ = slow(server)
        owner = int(record(server, number).with_name("run.db.lock").read_text())
        os.kill(owner, signal.SIGSTOP)  # so that it cannot end before it is looked at
        assert server.process is not None
        server.process.terminate()
        until(lambda: server.ask("GET", "/readyz")[0] == 503)
        status, problem = server.ask("POST", "/v1/runs", {"kind": "generate"})
        assert (status, problem["title"]) == (503, "Service Unavailable")
        assert server.ask("GET", "/healthz")[0] == 200
        os.kill(owner, signal.SIGCONT)
        server.process.communicate(timeout=30)
        assert server.process.returncode == 0
    assert json.loads((record(server, number).parent / "job.json").read_text())["state"] in (
        "queued",
        "running",
    )
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_what_was_half_sent_when_a_server_was_killed_is_gone(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "root")
    server.start()
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    files = {"policy.md": "Be kind.", "tools.json": json.dumps([tool])}
    assert server.ask("PUT", "/v1/environments/shop", {"files": files})[0] == 201
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        begin = "PUT /v1/files/half.jsonl HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n"
        client.sendall(f"{begin}Authorization: Bearer {server.token}\r\n\r\n".encode())
        client.sendall(b"x" * 500_000)
        server.kill()
    environments = server.root / "uploads" / "environments"
    # As it is between the two steps in which an environment is replaced.
    (environments / ".a1" / "new" / "shop").mkdir(parents=True)
    (environments / ".a1" / "old").mkdir()
    os.rename(environments / "shop", environments / ".a1" / "old" / "shop")
    (server.root / "runs" / ".generate-1.partial").mkdir()
    with server:
        assert [path.name for path in environments.iterdir()] == ["shop"]
        assert (environments / "shop" / "policy.md").read_text() == "Be kind."
        assert list((server.root / "runs").iterdir()) == []
        assert not list(server.root.glob("uploads/files/*"))
