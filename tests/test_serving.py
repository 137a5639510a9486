"""A headless server: real processes, real sockets."""

import asyncio
import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from simia_store import Reader, RunStatus
from typer.testing import CliRunner

import simia_async
from simia_async.cli.main import app
from simia_async.errors import ConfigError, EndpointRefused
from tests.servers import ServerProcess, until

pytest.importorskip("prometheus_client")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server") / "root") as server:
        yield server


def record(server: ServerProcess, number: str) -> Path:
    return server.root / "runs" / number / "run.db"


async def test_a_run_is_submitted_followed_and_fetched(
    server: ServerProcess, tmp_path: Path
) -> None:
    async with simia_async.connect(server.url, token=server.token) as remote:
        run = await remote.submit("generate", n=6, seed=3)
        events = [event async for event in run.events()]
        view = await run.view()
        assert (view.state, view.kind, view.attempts) == ("done", "generate", 1)
        assert [(tally.status, tally.count) for tally in view.trajectories] == [("kept", 6)]
        cursors = [event.cursor for event in events]
        assert cursors == list(range(1, len(cursors) + 1)), "every event once, in order"
        later = [event.cursor async for event in run.events(after=cursors[3])]
        assert later == cursors[4:]
        await run.download(tmp_path / "copy.db")
        with Reader(tmp_path / "copy.db") as copy, Reader(record(server, run.id)) as own:
            assert copy.row_counts() == own.row_counts()
            assert [event.sequence for event in own.events_after(0)] == cursors
        assert "cut off" not in await run.log()
        assert run.id in {each.id for each in await remote.runs()}
        await run.delete()
        assert not record(server, run.id).parent.exists()
        with pytest.raises(EndpointRefused, match="no such run"):
            await run.view()


async def test_a_key_submits_once(server: ServerProcess) -> None:
    async with simia_async.connect(server.url, token=server.token) as remote:
        first, second = [await remote.submit("generate", n=1, key="once") for _ in range(2)]
        assert first.id == second.id
        with pytest.raises(EndpointRefused, match="'once' is that of another submission"):
            await remote.submit("generate", n=2, key="once")
        assert (await first.wait(0.1)).state == "done"


@pytest.mark.soak
async def test_sft_learns_from_a_run_of_the_server_and_eval_plays_its_adapter(
    server: ServerProcess, tmp_path: Path
) -> None:
    async with simia_async.connect(server.url, token=server.token) as remote:
        made = await remote.submit("generate", n=6)
        await made.wait(0.1)
        tuned = await remote.submit("sft", data=[made], epochs=1, tokens_per_batch=700)
        view = await tuned.wait(0.1)
        assert (view.state, view.problem) == ("done", None)
        assert view.adapters == [f"{tuned.id}/v00001"]
        assert view.metrics["train/loss"] > 0
        played = await remote.submit("eval", adapters=view.adapters, tasks=2, temperatures=[0])
        assert (await played.wait(0.1)).state == "done"
        await tuned.adapter("v00001", tmp_path / "adapter")
        published = server.root / "runs" / tuned.id / "adapters" / "v00001"
        assert files_in(tmp_path / "adapter") == files_in(published)


def files_in(place: Path) -> dict[str, bytes]:
    files = (path for path in place.rglob("*") if path.is_file())
    return {str(path.relative_to(place)): path.read_bytes() for path in files}


def slow(server: ServerProcess, **settings: Any) -> tuple[str, Any]:
    """Submit a run that would take minutes."""
    body = {"kind": "generate", "settings": {"n": 20000, **settings}}
    status, view = server.ask("POST", "/v1/runs", body)
    assert status == 201
    number = view["id"]
    until(lambda: has_begun(record(server, number)))
    return number, view


def has_begun(database: Path) -> bool:
    try:
        with Reader(database) as reader:
            return any(outcome.count >= 5 for outcome in reader.outcomes())
    except simia_async.errors.SimiaError:
        return False


def state(server: ServerProcess, number: str) -> str:
    return str(server.ask("GET", f"/v1/runs/{number}")[1]["state"])


def test_a_run_is_stopped_and_one_that_waits_too(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "root", "--parallel", "1", "--queue", "1") as server:
        number, _ = slow(server)
        waiting = server.ask("POST", "/v1/runs", {"kind": "generate"})[1]["id"]
        status, problem = server.ask("POST", "/v1/runs", {"kind": "generate"})
        assert (status, problem["status"]) == (503, 503)
        assert "no more runs are taken at the moment: 1 runs wait" in problem["detail"]
        status, problem = server.ask("DELETE", f"/v1/runs/{number}")
        assert (status, problem["detail"]) == (409, f"{number}: is running; stop it first")
        order = {"name": "concurrency", "arguments": {"name": "x", "path": "y"}}
        status, problem = server.ask("POST", f"/v1/runs/{number}/commands", order)
        assert (status, problem["status"]) == (409, 409), "it has no value, which the run tells"
        assert server.ask("POST", f"/v1/runs/{waiting}/stop")[0] == 202
        status, problem = server.ask("POST", f"/v1/runs/{waiting}/commands", {"name": "pause"})
        assert (status, problem["detail"]) == (
            409,
            f"{waiting}: is stopped; nobody is there to obey",
        )
        assert state(server, waiting) == "stopped"
        assert server.ask("POST", f"/v1/runs/{number}/stop")[0] == 202
        until(lambda: state(server, number) == "stopped")
        with Reader(record(server, number)) as reader:
            run = reader.run()
            assert run is not None
            assert run.status == RunStatus.STOPPED


def test_server_and_run_are_killed_and_nothing_is_lost_or_done_twice(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "root")
    server.start()
    body = {"kind": "generate", "settings": {"n": 400, "seed": 1}}
    number = server.ask("POST", "/v1/runs", body)[1]["id"]
    until(lambda: has_begun(record(server, number)))
    server.kill()
    # Its run goes on without it, and is killed too.
    owner = int((record(server, number).with_name("run.db.lock")).read_text())
    os.kill(owner, signal.SIGKILL)
    with server:
        until(lambda: state(server, number) == "done", 100)
        view = server.ask("GET", f"/v1/runs/{number}")[1]
        assert view["attempts"] >= 2
        assert {each["status"]: each["count"] for each in view["trajectories"]}["kept"] == 400
    with Reader(record(server, number)) as reader:
        kept = [trajectory.id for trajectory in reader.trajectories()]
    assert len(kept) == len(set(kept))


@pytest.mark.soak
def test_a_server_that_is_told_to_go_leaves_its_runs_for_the_next(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "root") as server:
        number, _ = slow(server)
    job = json.loads((server.root / "runs" / number / "job.json").read_text())
    assert job["state"] in ("queued", "running")
    with server:
        until(lambda: state(server, number) == "running")
        server.ask("POST", f"/v1/runs/{number}/stop")
        until(lambda: state(server, number) == "stopped")


def test_what_happens_is_logged_and_no_token(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "root")
    with (tmp_path / "log").open("wb") as log:
        server.start(log)
        number = server.ask("POST", "/v1/runs", {"kind": "generate", "settings": {"n": 1}})[1]["id"]
        until(lambda: state(server, number) == "done")
        server.ask("GET", "/v1/runs", Authorization="Bearer wrong-token")
        with pytest.raises(json.JSONDecodeError):
            server.ask("GET", "/v1/runs", X="x" * 10_000)
        server.__exit__()
    text = (tmp_path / "log").read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    told = [(line["event"], line.get("state") or line.get("status")) for line in lines]
    expected = [("submitted", None), ("run", "running"), ("run", "done")]
    assert told == [*expected, ("refused", 401), ("refused", 400)]
    assert "Traceback" not in text
    assert server.token not in text
    assert "wrong-token" not in text


def test_what_fails_is_told_with_its_reason(server: ServerProcess) -> None:
    settings = {"simulator": {"timeout_s": 1}, "environment": "airline"}
    number = server.ask("POST", "/v1/runs", {"kind": "rollout", "settings": settings})[1]["id"]
    until(lambda: state(server, number) == "failed")
    assert "airline" in server.ask("GET", f"/v1/runs/{number}")[1]["problem"]


def test_who_has_no_token_gets_nothing(server: ServerProcess) -> None:
    mode = stat.S_IMODE((server.root / "token").stat().st_mode)
    assert mode == 0o600
    for path in ("/v1/runs", "/metrics", "/openapi.json", "/v1/runs/x/events", "/nothing"):
        status, problem = server.ask("GET", path, Authorization="Bearer wrong")
        assert (status, problem["title"]) == (401, "Unauthorized")
    assert server.ask("GET", "/healthz", Authorization="")[0] == 200
    assert server.ask("GET", "/readyz", Authorization="")[0] == 200


def test_a_token_that_others_may_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x")
    (tmp_path / "token").chmod(0o644)
    run = CliRunner().invoke(app, ["serve", "--root", str(tmp_path), "--port", "0"])
    assert run.exit_code == 2
    assert "others may read this token" in " ".join(run.output.split())


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--host", "0.0.0.0"], "sends its token in the clear"),
        (["--tls-cert", "x.pem"], "--tls-cert and --tls-key: give both"),
        (["--endpoint", "evil"], "--endpoint: found 'evil'"),
        (["--token-env", "SIMIA_NO_SUCH"], "SIMIA_NO_SUCH holds no token"),
    ],
)
def test_flags_that_do_not_fit(tmp_path: Path, flags: list[str], expected: str) -> None:
    run = CliRunner().invoke(app, ["serve", "--root", str(tmp_path / "r"), "--port", "0", *flags])
    assert run.exit_code == 2
    assert expected in " ".join(run.output.split())


def test_the_command_line_sends_its_files(server: ServerProcess, tmp_path: Path) -> None:
    made = asyncio.run(simia_async.generate(run=tmp_path / "g.db", n=2))
    CliRunner().invoke(app, ["export", str(made.run), "--format", "openai", "-o", str(tmp_path)])
    seeds = next(tmp_path.glob("*.jsonl"))
    flags = ["--server", server.url, "--token-file", str(server.root / "token"), "--wait", "--json"]
    submit = ["submit", "generate", "--seeds", str(seeds), "-n", "4", *flags]
    done = CliRunner().invoke(app, submit)
    view = json.loads(done.stdout)
    assert (done.exit_code, view["state"]) == (0, "done")
    assert view["settings"]["seeds"].startswith(str(server.root / "uploads"))
    assert CliRunner().invoke(app, ["submit", "generate", "--server", server.url]).exit_code == 2


def test_an_environment_is_checked_before_it_is_kept(server: ServerProcess) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    files = {"policy.md": "Be kind.", "tools.json": json.dumps([tool])}
    place = server.root / "uploads" / "environments"
    assert server.ask("PUT", "/v1/environments/shop", {"files": files})[0] == 201
    assert (place / "shop" / "policy.md").read_text() == "Be kind."
    status, problem = server.ask(
        "PUT", "/v1/environments/shop", {"files": {**files, "tools.json": "{"}}
    )
    assert status == 422
    assert problem["detail"].startswith("shop/tools.json")
    in_another = {**files, "policy.md/x.md": ""}
    leaves = json.dumps(
        [{**tool, "function": {"name": "look", "parameters": {"$dynamicRef": "file:///etc/x"}}}]
    )
    for bad in (
        {"../x.md": ""},
        {"/etc/x.md": ""},
        {"run.sh": ""},
        {},
        in_another,
        {**files, "tools.json": leaves},
    ):
        assert server.ask("PUT", "/v1/environments/shop", {"files": bad})[0] == 422
    assert server.ask("PUT", "/v1/environments/..%2Fx", {"files": files})[0] in (404, 422)
    assert sorted(path.name for path in place.iterdir()) == ["shop"]
    assert (place / "shop" / "tools.json").read_text() == files["tools.json"]


def test_it_describes_itself(server: ServerProcess) -> None:
    status, document = server.ask("GET", "/openapi.json")
    assert status == 200
    assert document["openapi"] == "3.1.0"
    told = {path for path in document["paths"] if path.startswith("/v1")}
    assert {"/v1/runs", "/v1/runs/{id}/events", "/v1/environments/{name}"} <= told


async def test_without_a_token_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIMIA_SERVER_TOKEN", raising=False)
    with pytest.raises(ConfigError, match="--token-file"):
        async with simia_async.connect("http://127.0.0.1:1"):
            pass
