"""`simia runs`: what it says of runs, what it does to them, and what it leaves alone."""

import asyncio
import json
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from simia_store import (
    AdapterRecord,
    CallRecord,
    CommandStatus,
    GroupRecord,
    MetricRecord,
    Reader,
    RunRecord,
    RunStatus,
    SessionRecord,
    StatisticsRecord,
    StoreError,
    TrajectoryRecord,
    TrajectoryStatus,
    TurnRecord,
    open_store,
    send_command,
    wait_for_answer,
)
from simia_store.schema import migrate
from typer.testing import CliRunner, Result

from simia_async.cli.main import app
from simia_async.config import GenerateConfig
from simia_async.errors import RunStopped
from simia_async.runs.record import record_run

runner = CliRunner()
SIMIA = [sys.executable, "-c", "from simia_async.cli.main import main; main()"]


def runs(*arguments: object, **more: Any) -> Result:
    return runner.invoke(app, ["runs", *map(str, arguments)], **more)


def error_of(*arguments: object) -> str:
    """The one sentence of a command that must fail with exit code 2."""
    result = runs(*arguments)
    assert result.exit_code == 2, result.output
    [line] = [line for line in result.stderr.splitlines() if line]
    assert line.startswith("error: ")
    return line


async def record(path: Path, *records: Any, run: RunRecord | None = None) -> Path:
    """A run that nobody owns any more."""
    async with open_store(path) as store:
        await store.append(run or RunRecord("r", "generate", {"n": 1}, RunStatus.DONE))
        if records:
            await store.append(*records)
    return path


def make(path: Path, *records: Any, run: RunRecord | None = None) -> Path:
    return asyncio.run(record(path, *records, run=run))


def changed(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)
    return path


def older(path: Path) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        migrate(database, 0, target=1)
    return path


def kept(number: int, **more: Any) -> TrajectoryRecord:
    return TrajectoryRecord(number, "e", "t", TrajectoryStatus.KEPT, **more)


CUT_OFF = ("UPDATE runs SET status = 'running'", "UPDATE sessions SET ended_at = NULL, beat_at = 5")


def test_list_names_every_database_and_how_it_stands(tmp_path: Path) -> None:
    call = CallRecord(1, "user", "e", "m", 1, "ok", 0.1, cost_usd=0.25)
    rejected = TrajectoryRecord(2, "e", "t", TrajectoryStatus.REJECTED, rejected_by="x")
    ended = RunRecord("r", "generate", {}, RunStatus.DONE, None, 1000.0, 4725.0)
    make(tmp_path / "a.db", kept(1), rejected, call, run=ended)
    why = RunRecord("r", "rl", {}, RunStatus.FAILED, "no \x1b[31mroom", 2000.0, 2001.0)
    make(tmp_path / "b.db", run=why)
    cut = RunRecord("r", "eval", {}, started_at=3000.0)
    changed(make(tmp_path / "c.db", run=cut), *CUT_OFF)
    older(tmp_path / "d.db")
    (tmp_path / "e.db").write_text("not a database, and no crash")
    (tmp_path / "notes.txt").write_text("neither")

    result = runs("list", tmp_path)
    assert result.exit_code == 0, result.output
    a, b, c, d, e = result.stdout.splitlines()[1:]
    assert re.search(r"a\.db +generate +done +1/2 +0\.25 +[\d.]+ kB +\S+ +1:02:05$", a)
    assert re.search(r"b\.db +rl +failed .* 0:00:01  no ␛\[31mroom$", b)
    assert re.search(r"c\.db +eval +cut off ", c)
    assert f"d.db  {' ' * 10}unreadable" in d
    assert "simia runs upgrade" in d
    assert "e.db" in e
    assert "not a run database" in e

    lines = json.loads(runs("list", tmp_path, "--json").stdout)
    assert [line["status"] for line in lines] == [
        *("done", "failed", "cut off", "unreadable", "unreadable"),
    ]
    assert (lines[0]["good"], lines[0]["trajectories"], lines[0]["seconds"]) == (1, 2, 3725.0)


def test_list_looks_into_directories_as_demo_makes_them(tmp_path: Path) -> None:
    (tmp_path / "demo-1" / "adapters").mkdir(parents=True)
    make(tmp_path / "demo-1" / "rl.db", run=RunRecord("r", "rl", {}, RunStatus.DONE))
    assert re.search(r"^demo-1/rl\.db +rl +done", runs("list", tmp_path).stdout, re.MULTILINE)


def test_list_of_nothing_and_of_no_directory(tmp_path: Path) -> None:
    assert "none in" in runs("list", tmp_path).stdout
    assert "/no/such: cannot be listed: No such file" in error_of("list", "/no/such")


def test_show_tells_the_settings_that_somebody_has_set(tmp_path: Path) -> None:
    config = msgspec.json.decode(msgspec.json.encode(GenerateConfig(n=7)))
    made = make(tmp_path / "g.db", run=RunRecord("g", "generate", config, RunStatus.DONE))
    told = re.findall(r"^setting +(.*)$", runs("show", made).stdout, re.MULTILINE)
    assert told == ["n = 7", "all others are the defaults of this version; --json tells them"]
    assert json.loads(runs("show", made, "--json").stdout)["run"]["config"] == config
    other = make(tmp_path / "x.db", run=RunRecord("x", "knitting", {"n": None}, RunStatus.DONE))
    assert re.findall(r"^setting +(.*)$", runs("show", other).stdout, re.M) == ["n = null"]


def test_show_tells_all_and_interprets_nothing(tmp_path: Path) -> None:
    failed = CallRecord(1, "user", "http://h/v1", "[red]m[/]", 1, "RateLimited", 0.1, error="slow")
    path = make(
        tmp_path / "a.db",
        kept(1, stop_reason="user_done"),
        TurnRecord(1, 0, "user", {}),
        MetricRecord(1, "loss", 0.5),
        failed,
        StatisticsRecord("governor", {"waiting": 1}),
        StatisticsRecord("governor", {"waiting": 2}),
        AdapterRecord(1, "/no/adapter", None, 1),
        run=RunRecord("r", "rl", {"grpo": {"model": "[bold]\x1b"}}, RunStatus.FAILED, "[b]x"),
    )
    send_command(path, "dance", how="slowly")
    result = runs("show", path)
    assert result.exit_code == 0, result.output
    for said in (
        "status     failed",
        "reason     [b]x",
        'setting    grpo.model = "[bold]\\u001b"',
        "1 trajectories, 1 turns, 1 calls, 1 metrics, 2 statistics, 1 adapters, 1 commands",
        "user_done",
        "[red]m[/]",
        'statistics governor: {"waiting":2}',
        "adapter    1: /no/adapter (no longer there)",
        "attempt 1: RateLimited: slow",
        'dance {"how":"slowly"} → waiting',
    ):
        assert said in result.stdout
    assert "\x1b" not in result.stdout
    shown = json.loads(runs("show", path, "--json").stdout)
    assert shown["rows"]["statistics"] == 2
    assert shown["statistics"][0]["sample"] == {"waiting": 2}


def test_show_says_which_sessions_were_cut_off(tmp_path: Path) -> None:
    path = changed(make(tmp_path / "a.db", run=RunRecord("r", "rl", {})), *CUT_OFF)
    said = runs("show", path).stdout
    assert "status     cut off" in said
    assert re.search(r"session    1: pid \d+ .* cut off after 1970", said)


def test_check_has_three_exit_codes(tmp_path: Path) -> None:
    path = make(tmp_path / "a.db", kept(1), AdapterRecord(1, "/no/adapter", None, 1))
    sound = runs("check", path)
    assert sound.exit_code == 0
    assert "note       " in sound.stdout
    assert "adapter 1 is no longer at /no/adapter" in sound.stdout
    changed(path, "DELETE FROM outcomes")
    unsound = runs("check", path)
    assert unsound.exit_code == 1
    assert f"problem    {path}: 1 outcomes counted wrong" in unsound.stdout
    (tmp_path / "notes").write_text("x")
    assert "not a run database" in error_of("check", tmp_path / "notes")
    assert not (tmp_path / "notes.lock").exists()


async def test_check_and_show_need_not_own_the_run(tmp_path: Path) -> None:
    async with open_store(tmp_path / "a.db") as store:
        await store.append(RunRecord("r", "rl", {}), GroupRecord(1, "t", 1, 0, 1))
        checked = await anyio.to_thread.run_sync(runs, "check", store.path)
        assert (checked.exit_code, "a process owns it" in checked.stdout) == (0, True)
        shown = await anyio.to_thread.run_sync(runs, "show", store.path)
        assert "status     running" in shown.stdout
        assert "and goes on" in shown.stdout
        for command in (["upgrade"], ["compact"], ["delete", "--yes"]):
            said = await anyio.to_thread.run_sync(error_of, *command, store.path)
            assert "owns this run" in said
    assert store.path.exists()


def test_upgrade_and_then_everything_reads_it(tmp_path: Path) -> None:
    path = older(tmp_path / "a.db")
    assert "simia runs upgrade" in error_of("show", path)
    assert "schema 1 → 4" in runs("upgrade", path).stdout
    assert "schema 4 already" in runs("upgrade", path).stdout
    assert "not begun" in runs("show", path).stdout


def test_compact_says_what_it_saved(tmp_path: Path) -> None:
    turns = [TurnRecord(1, n, "user", {"content": f"Order {n} please. " * 40}) for n in range(400)]
    path = make(tmp_path / "a.db", kept(1), *turns)
    said = runs("compact", path).stdout
    assert re.search(r"a\.db: [\d.]+ [kM]B → [\d.]+ kB, [\d.]+ times smaller", said)
    with Reader(path) as reader:
        assert reader.turns(1) == turns


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A run, an adapter that it trained, and one that it only used."""
    mine, foreign = tmp_path / "adapters" / "v00001", tmp_path / "foreign"
    for adapter in (mine, foreign):
        adapter.mkdir(parents=True)
        (adapter / "adapter_config.json").write_text("{}")
    records = (AdapterRecord(1, str(foreign), None, 0), AdapterRecord(2, str(mine), None, 1))
    return make(tmp_path / "a.db", *records), mine, foreign


def test_delete_asks_and_takes_only_what_the_run_made(trained: tuple[Path, Path, Path]) -> None:
    path, mine, foreign = trained
    assert "--yes" in error_of("delete", path)
    assert "kept" in runs("delete", path, input="n\n").stdout
    assert path.exists()
    result = runs("delete", path, "--adapters", input="y\n")
    assert result.exit_code == 0
    assert f"deleted    {path}" in result.stdout
    assert sorted(path.parent.iterdir()) == [foreign]
    assert not mine.exists()


def test_delete_leaves_adapters_unless_told(trained: tuple[Path, Path, Path]) -> None:
    path, mine, _ = trained
    assert runs("delete", path, "--yes").exit_code == 0
    assert mine.exists()


def test_delete_takes_runs_and_nothing_else(tmp_path: Path) -> None:
    run = make(tmp_path / "a.db")
    other = changed(tmp_path / "b.db", "CREATE TABLE recipes (name TEXT)")
    (tmp_path / "c.lock").write_text("somebody's")
    (tmp_path / "c").write_text("x")
    empty = tmp_path / "d.db"
    empty.touch()
    assert "not of a simia-async run" in error_of("delete", "--yes", run, other)
    assert "not a run database" in error_of("delete", "--yes", tmp_path / "c")
    assert "no such run" in error_of("delete", "--yes", tmp_path / "none.db")
    assert "d.db: is empty" in error_of("delete", "--yes", empty)
    assert run.exists(), "something was deleted before all were looked at"
    assert other.exists()
    assert empty.exists()
    assert (tmp_path / "c.lock").read_text() == "somebody's"


def test_stop_ends_a_run_politely_and_it_goes_on_later(tmp_path: Path) -> None:
    path = tmp_path / "g.db"
    generate = [*SIMIA, "generate", "--run", str(path), "-n"]
    with subprocess.Popen(
        [*generate, "100000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            while not (path.exists() and "kept" in runs("show", path).stdout):
                assert process.poll() is None, process.communicate()
                time.sleep(0.1)
            stopped = runs("stop", path)
            assert stopped.exit_code == 0, stopped.output
            assert "the run ended: stopped" in stopped.stdout
            _, said = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130
    assert said == "stopped by `simia runs stop`; what was committed stays\n"
    with Reader(path) as reader:
        run, count = reader.run(), sum(1 for _ in reader.trajectories())
    assert (run.status, run.reason) == (RunStatus.STOPPED, "stopped by `simia runs stop`")
    assert "nobody owns this run (stopped)" in error_of("stop", path)
    subprocess.run([*generate, str(count + 5)], check=True, stdout=subprocess.DEVNULL)
    with Reader(path) as reader:
        assert reader.run().status == RunStatus.DONE
        assert sum(1 for _ in reader.trajectories()) >= count + 5


def test_stop_says_when_nobody_is_there(tmp_path: Path) -> None:
    path = changed(make(tmp_path / "a.db", run=RunRecord("r", "rl", {})), *CUT_OFF)
    assert "nobody owns this run (cut off)" in error_of("stop", path)
    with Reader(path) as reader:
        assert reader.commands() == []


async def test_stop_waits_only_so_long(tmp_path: Path) -> None:
    async with open_store(tmp_path / "a.db") as store:
        await store.append(RunRecord("r", "rl", {}))
        # This owner obeys nobody.
        result = await anyio.to_thread.run_sync(runs, "stop", store.path, "--timeout", "0.2")
    assert result.exit_code == 1
    assert "no answer within 0.2 s" in result.stdout


async def test_an_owner_answers_what_it_does_not_know_and_what_is_not_its_own(
    tmp_path: Path,
) -> None:
    path = tmp_path / "g.db"
    async with open_store(path):
        pass
    old = send_command(path, "stop")
    async with record_run(path, "generate", GenerateConfig()) as store:
        new = send_command(path, "dance")
        answered = await anyio.to_thread.run_sync(wait_for_answer, path, new, 10)
        late = send_command(path, "stop")
    assert answered.status == CommandStatus.REFUSED
    assert "knows no command 'dance'" in (answered.answer or "")
    with Reader(store.path) as reader:
        assert reader.run().status == RunStatus.DONE
        assert reader.command(old).status == CommandStatus.REFUSED
        assert "earlier owner" in reader.command(old).answer
        # It came when the run was ending anyway, and is not left without an answer.
        assert reader.command(late).answer == "the run ended: done"


async def test_a_stop_cancels_what_the_run_does(tmp_path: Path) -> None:
    path = tmp_path / "g.db"

    async def work() -> None:
        async with record_run(path, "generate", GenerateConfig()), anyio.create_task_group() as g:
            g.start_soon(anyio.sleep_forever)
            send_command(path, "stop")

    with pytest.raises(RunStopped):
        await work()
    with Reader(path) as reader:
        assert reader.command(1).status == CommandStatus.DONE
        assert reader.run().status == RunStatus.STOPPED


async def test_a_command_nobody_could_read_is_refused_at_the_door(tmp_path: Path) -> None:
    async with open_store(tmp_path / "a.db") as store:
        for arguments in ("x'7b'", "'{}'", "x'5b5d'"):
            with pytest.raises(sqlite3.Error):
                changed(
                    store.path,
                    "INSERT INTO commands (name, arguments, created_at, status)"
                    f" VALUES ('stop', {arguments}, 0, 'waiting')",
                )
        assert await store.waiting_commands() == []
        with pytest.raises(StoreError, match="holds no command 7"):
            wait_for_answer(store.path, 7, 0)


def test_a_session_is_alive_as_long_as_it_beats() -> None:
    from simia_store import is_alive

    now = time.time()
    assert is_alive(SessionRecord(1, 1, "h", "1", now, now))
    assert not is_alive(SessionRecord(1, 1, "h", "1", now, now - 11))
    assert not is_alive(SessionRecord(1, 1, "h", "1", now, now, ended_at=now))
