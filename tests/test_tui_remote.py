"""The dashboard of a run that a server does."""

from pathlib import Path

import pytest
from simia_store import RunStatus, StoreError, open_store

pytest.importorskip("prometheus_client")

from simia_tui.app import Dashboard
from simia_tui.panes import PANES
from simia_tui.remote import RemoteCopy, RemoteServer, split_url

from simia_async.serving.jobs import Job, JobDirectory, JobState
from tests.servers import ServerProcess, until
from tests.test_serving import has_begun, record, state
from tests.test_tui_screens import SIZES
from tests.tui_pilot import settled, shown_with, told
from tests.tui_runs import BEGUN, run_record, write_into
from tests.tui_snapshots import compare


async def figures(path: Path) -> str:
    """What the overview shows of a run."""
    async with Dashboard(path, readonly=True).run_test(size=(120, 40)) as pilot:
        await shown_with(pilot, "done")
        shown = await settled(pilot)
    # The first line says where the database lies.
    return shown.partition("\n")[2]


async def test_a_remote_run_is_shown_and_steered_as_one_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ServerProcess(tmp_path / "root") as server:
        monkeypatch.setenv("SIMIA_SERVER_TOKEN", server.token)
        remote = RemoteServer(server.url)
        body = {
            "kind": "rollout",
            "settings": {
                "environment": "mini-airline",
                "policy": {"model": "scripted-agent"},
                "tasks": 3000,
            },
        }
        number = server.ask("POST", "/v1/runs", body)[1]["id"]
        until(lambda: has_begun(record(server, number)))
        assert remote.newest() == number
        copy = RemoteCopy(remote, number)
        dashboard = Dashboard(copy.path, ask=copy.ask)
        async with dashboard.run_test(size=(120, 40)) as pilot:
            with copy.followed(dashboard.warn):
                await shown_with(pilot, "running")
                await pilot.press("P")
                await pilot.press("y")
                await told(pilot, "pause")
                await pilot.press("C")
                await shown_with(pilot, "Write a checkpoint")
                await pilot.press("y")
                await told(
                    pilot, "the run refused to checkpoint: the owner of this run knows no command"
                )
                await pilot.press("2", "g", "R")
                await shown_with(pilot, "Judge rollout 1 again?")
                await pilot.press("y")
                await told(pilot, "rejudge: judged 1 again as scoring 2")
                server.ask("POST", f"/v1/runs/{number}/stop")
                until(lambda: state(server, number) == "stopped")
                await shown_with(pilot, "stopped")
        copy.close()
        assert not copy.path.exists()


async def test_it_shows_the_numbers_that_are_shown_there(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "root") as server:
        body = {"kind": "generate", "settings": {"n": 40}}
        number = server.ask("POST", "/v1/runs", body)[1]["id"]
        until(lambda: has_begun(record(server, number)))
        copy = RemoteCopy(RemoteServer(server.url, server.root / "token"), number)
        until(lambda: state(server, number) == "done")
        copy.refresh()
        assert await figures(copy.path) == await figures(record(server, number))
        copy.close()


async def test_every_pane_of_a_remote_run_looks_as_that_of_one_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The snapshots are those of `test_tui_screens`, of the same run read where it lies."""
    directory = JobDirectory(tmp_path / "root" / "runs" / "rl")
    directory.path.mkdir(parents=True)
    directory.write(Job(id="rl", kind="rl", state=JobState.DONE, created_at=BEGUN))
    with ServerProcess(tmp_path / "root") as server:
        async with open_store(directory.database) as store:
            await store.append(run_record(RunStatus.RUNNING))
            copy = RemoteCopy(RemoteServer(server.url, server.root / "token"), "rl")
            await write_into(store, RunStatus.DONE)
        copy.refresh()
        # The name of the database stands on the screen.
        monkeypatch.chdir(copy.path.parent)
        for size in SIZES[1:]:
            dashboard = Dashboard(Path(copy.path.name), ask=copy.ask)
            async with dashboard.run_test(size=size) as pilot:
                await shown_with(pilot, "✓ rl run")
                for number, entry in enumerate(PANES, 1):
                    await pilot.press(str(number))
                    await compare(pilot, entry.name.lower())
        copy.close()


def test_what_is_no_server_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIMIA_SERVER_TOKEN", raising=False)
    assert split_url("http://h:1/") == ("http://h:1", None)
    assert split_url("https://h/generate-1") == ("https://h", "generate-1")
    with pytest.raises(StoreError, match="is no URL of a server"):
        split_url("ftp://h")
    with pytest.raises(StoreError, match="--token-file"):
        RemoteServer("http://127.0.0.1:1")
    (tmp_path / "token").write_text("x")
    with pytest.raises(StoreError, match="refused"):
        RemoteServer("http://127.0.0.1:1", tmp_path / "token").runs()
