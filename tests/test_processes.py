"""Children killed with -9, and owners too: who died is said, work goes on or stops, no orphans."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from simia_store import Reader, RunStatus, StoreError

from tests.proc import children, is_there

pytest.importorskip("torch")

SIMIA = [sys.executable, "-c", "from simia_async.cli.main import main; main()"]
SIMULATOR = "simia_async.builtin.server"
ENGINE = "simia_async.inference.server"
TRAINER = "simia_async.training.worker"


def by_module(parent: int) -> dict[str, int]:
    """Module to pid of the simia children of a process."""
    found = {}
    for pid, command in children(parent).items():
        if "-m" in command:
            found[command[command.index("-m") + 1]] = pid
    return found


def wait_for(condition, what: str):
    """The first true value of `condition()`."""
    for _ in range(1200):
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"waited in vain for {what}")


class RlRun:
    """`simia train rl`, small, in a process of its own."""

    def __init__(self, directory: Path) -> None:
        self.database = directory / "rl.db"
        command = [*SIMIA, "train", "rl", "--steps", "1", "--groups", "3", "--group-size", "2"]
        self.process = subprocess.Popen(
            [*command, "--run", str(self.database)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def when_talking(self) -> dict[str, int]:
        """Children, once a conversation is under way."""
        wait_for(self._has_turns, "a turn in the store")
        return by_module(self.process.pid)

    def _has_turns(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()
        try:
            with Reader(self.database) as reader:
                return any(reader.turns(t.id) for t in reader.trajectories())
        except StoreError:
            return False

    def finished(self) -> int:
        assert self.process.poll() is None, self.process.communicate()
        with Reader(self.database) as reader:
            return sum(1 for t in reader.trajectories() if t.finished_at is not None)

    def end(self) -> tuple[int, str]:
        """Exit code and standard error, on one line."""
        _, stderr = self.process.communicate(timeout=100)
        return self.process.returncode, " ".join(stderr.split())


@contextmanager
def rl_run(directory: Path) -> Iterator[RlRun]:
    run = RlRun(directory)
    try:
        yield run
    finally:
        run.process.kill()
        run.process.communicate()


def test_a_killed_simulator_and_engine_are_started_again(tmp_path: Path) -> None:
    with rl_run(tmp_path) as run:
        pids = run.when_talking()
        assert set(pids) == {SIMULATOR, ENGINE, TRAINER}
        # Stopped, the trainer cannot publish before the engine has died a second time.
        os.kill(pids[TRAINER], signal.SIGSTOP)
        for module in (SIMULATOR, ENGINE):
            os.kill(pids[module], signal.SIGKILL)
        wait_for(lambda: run.finished() == 6, "the rollouts of the step")
        second = by_module(run.process.pid)[ENGINE]
        os.kill(second, signal.SIGKILL)
        wait_for(lambda: not is_there(second), "the engine to end")
        os.kill(pids[TRAINER], signal.SIGCONT)
        code, said = run.end()
    assert code == 0, said
    for name, module in (("simulator", SIMULATOR), ("policy engine", ENGINE)):
        died = f"the {name} process (pid {pids[module]}) was killed by SIGKILL"
        assert f"{died}; starting it again (1 of 3)" in said
    assert f"(pid {second}) was killed by SIGKILL; starting it again (2 of 3)" in said
    assert not any(is_there(pid) for pid in (*pids.values(), second))
    with Reader(run.database) as reader:
        assert reader.run().status == RunStatus.DONE
        assert [adapter.version for adapter in reader.adapters()] == [1]
        # Nobody's conversation was lost to it.
        assert {outcome.status for outcome in reader.outcomes()} == {"scored"}


@pytest.mark.soak
def test_an_endpoint_keeps_the_port_that_was_picked(tmp_path: Path) -> None:
    with (tmp_path / "err").open("w") as err:
        command = [*SIMIA, "policy", "serve", "--port", "0"]
        owner = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, text=True)
        try:
            endpoint = owner.stdout.readline().split()[1]
            first = by_module(owner.pid)[ENGINE]
            os.kill(first, signal.SIGKILL)
            wait_for(lambda: by_module(owner.pid).get(ENGINE, first) != first, "the second engine")
            wait_for(lambda: answers(f"{endpoint}/models"), "its answer, where the first was")
        finally:
            owner.terminate()
            owner.communicate()
    assert "starting it again (1 of 3)" in (tmp_path / "err").read_text()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url):
            return True
    except urllib.error.URLError:
        return False


def test_a_killed_trainer_ends_the_run_cleanly(tmp_path: Path) -> None:
    with rl_run(tmp_path) as run:
        pids = run.when_talking()
        os.kill(pids[TRAINER], signal.SIGKILL)
        code, said = run.end()
    assert code == 3
    assert f"the trainer process (pid {pids[TRAINER]}) was killed by SIGKILL, in step 1" in said
    assert "Traceback" not in said
    assert not any(is_there(pid) for pid in pids.values())
    with Reader(run.database) as reader:
        assert reader.run().status == RunStatus.FAILED
        assert "SIGKILL" in (reader.run().reason or "")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_polite_request_ends_everything(tmp_path: Path, sent: signal.Signals) -> None:
    database = tmp_path / "g.db"
    process = subprocess.Popen(
        [*SIMIA, "generate", "-n", "5000", "--run", str(database)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    pids = wait_for(lambda: by_module(process.pid), "the simulator")

    def has_begun() -> bool:
        try:
            with Reader(database) as reader:
                return any(reader.trajectories())
        except StoreError:
            return False

    wait_for(has_begun, "a trajectory")
    # Impatience changes nothing: what `timeout` and service managers send may come twice.
    process.send_signal(sent)
    process.send_signal(sent)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert not any(is_there(pid) for pid in pids.values())
    with Reader(database) as reader:
        assert reader.run().reason == "stopped from outside"
