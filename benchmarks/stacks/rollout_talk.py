"""The conversations that every stack plays, as the world of `rollouts_mock.py` leads them.

Those who do without our client get the prompts from here, composed as ours are; they keep nothing.
Run a stack as `python STACK.py URL CONVERSATIONS TURNS [MORE]`: prints one line of JSON.
"""

import json
import sys
import time
from collections.abc import Generator, Sequence
from typing import Any

import msgspec

from benchmarks.rollout_tasks import ENVIRONMENT, name_of, task_of
from simia_async.environments import Task
from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.simulation.prompts import SimulatorRole, Tag, compose, words_of
from simia_async.simulation.replies import Judgement, ToolReply, UserReply

_TOOLS = msgspec.Raw(msgspec.json.encode(ENVIRONMENT.tools))
_JSON_MODE = {"type": "json_object"}
SHARES = (50, 90, 99, 100)
"""Per cent of the conversations."""

Body = dict[str, Any]


def turns_stored(turns: int) -> int:
    """Turns of such a conversation: the policy's, the observations, and the user's around them."""
    return turns + turns // 2 + turns // 2 + 1


def calls_made(turns: int) -> int:
    """Calls of such a conversation: one a turn, and the judge's."""
    return turns_stored(turns) + 1


class Talk:
    """One conversation, asked for call by call. `body` is what to ask next; None at its end."""

    def __init__(self, task: Task) -> None:
        self._played = _play(task)
        self.body: Body | None = next(self._played)

    @property
    def is_policys(self) -> bool:
        """Whether the policy is to be asked."""
        return self.body is not None and self.body["model"] == "policy"

    def take(self, message: Any) -> None:
        """Go on with an answer, a message of the `openai` package."""
        try:
            self.body = self._played.send(message)
        except StopIteration:
            self.body = None


def _play(task: Task) -> Generator[Body, Any, None]:
    history: list[Message] = []
    sent = [{"role": "system", "content": ENVIRONMENT.policy}]
    while True:
        said = yield _user_body(task, history)
        reply = msgspec.json.decode(said.content, type=UserReply)
        _add(Message("user", reply.message), history, sent)
        if reply.done:
            break
        yield from _agent_acts(history, sent)
    verdict = yield _judge_body(task, history)
    msgspec.json.decode(verdict.content, type=Judgement)


def _agent_acts(history: list[Message], sent: list[Body]) -> Generator[Body, Any, None]:
    """Calls and observations, up to the agent's word to the user."""
    while True:
        spoken = yield {"model": "policy", "messages": sent, "tools": ENVIRONMENT.tools}
        message = _message_of(spoken)
        _add(message, history, sent)
        if not message.tool_calls:
            break
        for call in message.tool_calls:
            told = yield _tool_body(history)
            observed = msgspec.json.decode(told.content, type=ToolReply).observation
            text = msgspec.json.encode(observed).decode()
            _add(Message("tool", text, tool_call_id=call.id), history, sent)


def _add(message: Message, history: list[Message], sent: list[Body]) -> None:
    history.append(message)
    sent.append(message.as_wire())


def _message_of(spoken: Any) -> Message:
    calls = [
        ToolCall(call.id, FunctionCall(call.function.name, call.function.arguments))
        for call in spoken.tool_calls or ()
    ]
    return Message("assistant", spoken.content, calls or None)


def _user_body(task: Task, history: Sequence[Message]) -> Body:
    return _body("user", {"task": {"scenario": task.scenario}, "history": history})


def _tool_body(history: Sequence[Message]) -> Body:
    return _body("tool", {"tools": _TOOLS, "state": {}, "history": history})


def _judge_body(task: Task, history: Sequence[Message]) -> Body:
    sections: dict[Tag, Any] = {
        "tools": _TOOLS,
        "task": {"scenario": task.scenario, "goal": task.goal, "rubric": (), "check": None},
        "state": {"changes": [], "final": {}},
        "history": history,
    }
    return _body("judge", sections, policy=ENVIRONMENT.policy)


def _body(role: SimulatorRole, sections: dict[Tag, Any], **named: str) -> Body:
    environment = {"name": ENVIRONMENT.name, "role": role, **named}
    messages = [
        {"role": "system", "content": words_of(role, ENVIRONMENT.prompts)},
        {"role": "user", "content": compose({"environment": environment, **sections})},
    ]
    return {"model": "world", "messages": messages, "response_format": _JSON_MODE}


class Job:
    """The arguments of the command line."""

    def __init__(self) -> None:
        self.url = sys.argv[1]
        self.conversations, self.turns = map(int, sys.argv[2:4])
        self.more = sys.argv[4:]

    def tasks(self) -> list[Task]:
        """One a conversation."""
        return [task_of(name_of(each, self.turns)) for each in range(self.conversations)]

    def report(self, result: dict[str, float], **more: float) -> None:
        """Print the result."""
        print(json.dumps({**result, **more}))


class Stopwatch:
    """CPU and wall time of this process, all its threads included, and when conversations end."""

    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()
        self._ends: list[float] = []

    def ended(self, count: int = 1) -> None:
        """So many conversations have, just now."""
        self._ends += [time.perf_counter() - self._wall] * count

    def result(self, job: Job) -> dict[str, float]:
        """Times so far; `ended_<n>` is when n per cent of the conversations had ended."""
        cpu_s, wall_s = time.process_time() - self._cpu, time.perf_counter() - self._wall
        if len(self._ends) != job.conversations:
            raise SystemExit(f"{len(self._ends)} of {job.conversations} conversations ended")
        counts = {
            "turns": job.conversations * turns_stored(job.turns),
            "calls": job.conversations * calls_made(job.turns),
        }
        ends = {f"ended_{n}": self._ends[-(-len(self._ends) * n // 100) - 1] for n in SHARES}
        return {**counts, "cpu_s": cpu_s, "wall_s": wall_s, **ends}
