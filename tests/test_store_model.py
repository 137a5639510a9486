"""The store against a model: an owner in a process of its own, killed at random moments.

Append `n` writes three records of different tables in one transaction. Two appends make up one
trajectory: the first begins it, the second ends it.
"""

import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from simia_store import (
    CallRecord,
    CommandStatus,
    MetricRecord,
    Reader,
    StoreError,
    TrajectoryStatus,
    TurnRecord,
    open_store,
    send_command,
)
from simia_store.checks import check

OWNER = """
import asyncio, json, sys
from pathlib import Path
from simia_store import *

STATUSES = (TrajectoryStatus.KEPT, TrajectoryStatus.REJECTED, TrajectoryStatus.SCORED)

def say(what, number):
    print(json.dumps([what, number]), flush=True)

def records(number):
    trajectory, second = divmod(number, 2)
    if second:
        status = STATUSES[trajectory % 3]
        ended = TrajectoryRecord(trajectory, "e", "t", status, stop_reason="user_done", reward=0.5)
        call = CallRecord(trajectory, "user", "e", "m", 1, "ok", 0.1, 3, 4, cost_usd=0.001 * number)
        turn = TurnRecord(trajectory, 1, "assistant", {"content": "word " * (number % 50)})
        return ended, turn, call
    begun = TrajectoryRecord(trajectory, "e", "t", TrajectoryStatus.RUNNING)
    return begun, TurnRecord(trajectory, 0, "user", {}), MetricRecord(number, "began", 1.0)

async def append(store, number):
    await store.append(*records(number))
    say("appended", number)

async def main():
    loop = asyncio.get_running_loop()
    async with open_store(Path(sys.argv[1])) as store:
        say("opened", 0)
        appends = set()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            what, first, last = json.loads(line)
            if what == "append":
                appends |= {asyncio.create_task(append(store, n)) for n in range(first, last)}
            elif what == "answer":
                for command in await store.waiting_commands():
                    await store.answer(command, CommandStatus.DONE, command.name)
                    say("answered", command.id)
                say("obeyed", 0)
        if appends:
            await asyncio.wait(appends)

asyncio.run(main())
"""


class Owner:
    """A process that owns the run, and what it has said."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.appended: set[int] = set()
        self.answered: set[int] = set()
        self.listen("opened")

    def tell(self, what: str, first: int = 0, last: int = 0) -> None:
        assert self.process.stdin is not None
        print(json.dumps([what, first, last]), file=self.process.stdin, flush=True)

    def listen(self, until: str, count: int = 1) -> None:
        """Take note of what it says, until it has said something so often."""
        while count:
            assert self.process.stdout is not None
            line = self.process.stdout.readline()
            assert line, f"the owner ended before it said {until!r}"
            count -= self._note(line) == until

    def end(self, how: signal.Signals | None) -> None:
        """End it, politely or not, and hear its last words."""
        if how is not None:
            self.process.send_signal(how)
        # A line may be cut off in the middle.
        with suppress(BrokenPipeError):
            said, _ = self.process.communicate()
            for line in said.splitlines(keepends=True):
                if line.endswith("\n"):
                    self._note(line)

    def _note(self, line: str) -> str:
        what, number = json.loads(line)
        {"appended": self.appended, "answered": self.answered}.get(what, set()).add(number)
        return str(what)


class StoreMachine(RuleBasedStateMachine):
    """Drives owners of one run, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self.path = Path(self._directory.name) / "run.db"
        self.owner: Owner | None = None
        self.next = 2  # trajectory ids begin with 1
        self.sent: set[int] = set()
        self.acknowledged: set[int] = set()
        self.commands: set[int] = set()
        self.answered: set[int] = set()
        self.owners = 0
        self.cursor = 0
        self.followed: dict[str, list[int]] = {"turns": [], "calls": [], "metrics": []}

    def teardown(self) -> None:
        with self._directory, ExitStack() as stack:
            if self.owner is not None:
                stack.enter_context(self.owner.process)
                stack.callback(self.owner.process.kill)
                self._ended(None)
            self.everything_adds_up()

    def _send(self, count: int) -> None:
        assert self.owner is not None
        self.owner.tell("append", self.next, self.next + count)
        self.sent |= set(range(self.next, self.next + count))
        self.next += count

    def _ended(self, how: signal.Signals | None) -> None:
        assert self.owner is not None
        self.owner.end(how)
        self.acknowledged |= self.owner.appended
        self.answered |= self.owner.answered
        if how is None:
            assert self.owner.process.returncode == 0
        self.owner = None
        stored = self._stored()
        assert self.acknowledged <= stored <= self.sent
        # What came last is what is lost; the next owner goes on from there.
        assert stored == set(range(2, 2 + len(stored)))
        self.sent, self.next = stored, 2 + len(stored)

    @initialize()
    def begin(self) -> None:
        self._open()

    @precondition(lambda self: self.owner is None)
    @rule()
    def open_again(self) -> None:
        self._open()

    def _open(self) -> None:
        self.owner = Owner(self.path)
        self.owners += 1

    @precondition(lambda self: self.owner is not None)
    @rule(count=st.integers(1, 40))
    def append(self, count: int) -> None:
        assert self.owner is not None
        self._send(count)
        self.owner.listen("appended", count)
        self.acknowledged |= self.owner.appended
        assert self._stored() == self.sent

    @precondition(lambda self: self.owner is not None)
    @rule(count=st.integers(1, 400), delay_s=st.floats(0, 0.03))
    def kill_while_it_appends(self, count: int, delay_s: float) -> None:
        self._send(count)
        time.sleep(delay_s)
        self._ended(signal.SIGKILL)

    @precondition(lambda self: self.owner is not None)
    @rule(count=st.integers(0, 40))
    def close_while_it_appends(self, count: int) -> None:
        if count:
            self._send(count)
        sent = self.sent
        self._ended(None)
        assert self._stored() == sent

    @rule()
    def leave_a_command(self) -> None:
        self.commands.add(send_command(self.path, "dance"))

    @precondition(lambda self: self.owner is not None)
    @rule()
    def have_commands_answered(self) -> None:
        assert self.owner is not None
        self.owner.tell("answer")
        self.owner.listen("obeyed")
        self.answered |= self.owner.answered
        assert self.answered == self.commands

    @precondition(lambda self: self.owner is not None)
    @rule()
    def own_it_a_second_time(self) -> None:
        async def own() -> None:
            async with open_store(self.path):
                raise AssertionError("two processes own one run")

        with pytest.raises(StoreError, match="owns this run"):
            asyncio.run(own())

    @rule(limit=st.integers(1, 200))
    def follow(self, limit: int) -> None:
        with Reader(self.path) as reader:
            for event in reader.events_after(self.cursor, limit):
                self.cursor = event.sequence
                if event.kind in self.followed:
                    self.followed[event.kind] += range(event.first, event.last + 1)

    @invariant()
    def acknowledged_is_stored_and_stored_was_sent(self) -> None:
        if self.path.exists():
            assert self.acknowledged <= self._stored() <= self.sent

    def _stored(self) -> set[int]:
        """The appends that are there; each whole, each once."""
        with Reader(self.path) as reader:
            # Later tables first: what an owner writes meanwhile is then more, and never less.
            appends = [turn.trajectory_id * 2 + turn.position for turn in reader.all(TurnRecord)]
            others = [metric.step for metric in reader.all(MetricRecord)]
            others += [call.trajectory_id * 2 + 1 for call in reader.all(CallRecord)]
            ended = {t.id: t.status != TrajectoryStatus.RUNNING for t in reader.trajectories()}
            commands = {command.id: command.status for command in reader.commands()}
        stored = set(appends)
        assert len(appends) == len(stored), "an append is there twice"
        assert sorted(others) == sorted(stored), "a part of an append is there"
        assert ended == {number // 2: number // 2 * 2 + 1 in stored for number in stored}, (
            "a trajectory is not what its last append made it"
        )
        assert set(commands) == self.commands
        assert all(commands[number] == CommandStatus.DONE for number in self.answered)
        return stored

    def everything_adds_up(self) -> None:
        """Counters equal recounts, and who followed the events has seen every row once."""
        findings = check(self.path)
        assert findings.problems == []
        self.follow(10**6)
        with Reader(self.path) as reader:
            counts = reader.row_counts()
            assert len(reader.sessions()) == self.owners
        for kind, seen in self.followed.items():
            assert seen == list(range(1, counts[kind] + 1))


QUICK = settings(
    max_examples=8,
    stateful_step_count=12,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_the_store_does_what_the_model_does() -> None:
    run_state_machine_as_test(StoreMachine, settings=QUICK)
