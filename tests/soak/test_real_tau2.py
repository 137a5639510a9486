"""The real τ²-bench, where it is installed: its retail domain with its own tools, database and
evaluator, against a policy's endpoint. `TAU2` names its executable, `TAU2_TASKS` its retail tasks:

    TAU2=tau2-env/bin/tau2 TAU2_TASKS=tau2-bench/data/tau2/domains/retail/tasks.json \\
        pytest -m soak tests/soak/test_real_tau2.py

One server plays the three models that it asks, since no LLM is at hand: the policy makes a task's
gold calls, or none; the user says which task it is and hangs up after the first answer; the judge
of assertions agrees. What is known of the tasks decides what τ²-bench must find.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from simia_store import Reader

from simia_async.config import Tau2Config
from simia_async.formats.reading import read_conversations
from simia_async.runs.tau2 import import_results, run_tau2
from tests.conftest import Served

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(
        not (os.environ.get("TAU2") and os.environ.get("TAU2_TASKS")),
        reason="TAU2 and TAU2_TASKS do not say where τ²-bench is installed",
    ),
]
TASKS = ("0", "1", "5", "6", "7")
LEFT_UNDONE = {"1", "6"}
"""Tasks whose gold calls the policy does not make, at its second trial not even those of "7"."""


@pytest.fixture
def tasks() -> list[dict[str, Any]]:
    """Those of its retail domain."""
    read: list[dict[str, Any]] = json.loads(Path(os.environ["TAU2_TASKS"]).read_bytes())
    return read


class Models:
    """The policy, the user and the judge of assertions behind one endpoint, told by their names."""

    def __init__(self, tasks: list[dict[str, Any]]) -> None:
        self._tasks = {task["id"]: task for task in tasks}
        self._heard_of_7 = 0

    async def handle(self, request: web.Request) -> web.Response:
        asked = await request.json()
        play = {"policy@0": self._policy, "user": self._user}.get(asked["model"], _agree)
        message = {"role": "assistant", "content": None, **play(asked["messages"])}
        body = {
            "id": "answer",
            "object": "chat.completion",
            "created": 1,
            "model": asked["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
        }
        return web.json_response(body)

    def _user(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        if any("That is all" in str(message["content"]) for message in messages[1:]):
            return {"content": "###STOP###"}
        scenario = messages[0]["content"]
        for number, task in self._tasks.items():
            if task["user_scenario"]["instructions"]["reason_for_call"] in scenario:
                return {"content": f"I call because of task {number}."}
        raise AssertionError("a scenario of no task")

    def _policy(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        said = next(m["content"] for m in messages if m["role"] == "user")
        found = re.search(r"task (\d+)", said)
        assert found is not None
        number = found[1]
        done = sum(message["role"] == "tool" for message in messages)
        if number == "7" and not done:
            self._heard_of_7 += 1
        is_left = number in LEFT_UNDONE or (number == "7" and self._heard_of_7 > 1 and not done)
        gold = [] if is_left else self._tasks[number]["evaluation_criteria"]["actions"]
        if done >= len(gold):
            return {"content": "That is all."}
        name, arguments = gold[done]["name"], json.dumps(gold[done]["arguments"])
        function = {"name": name, "arguments": arguments}
        return {"tool_calls": [{"id": f"c{done}", "type": "function", "function": function}]}


def _agree(messages: list[dict[str, Any]]) -> dict[str, Any]:
    wanted = re.findall(r"'([^']+)'", messages[-1]["content"].split("expectedOutcomes:")[1])
    results = [
        {"expectedOutcome": each, "reasoning": "it did", "metExpectation": True} for each in wanted
    ]
    return {"content": json.dumps({"results": results})}


async def test_what_the_real_benchmark_finds_is_what_the_run_says(
    start: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tasks: list[dict[str, Any]],
) -> None:
    """Solved are the tasks whose gold calls were made, by its own evaluator on its own database."""
    url = (await start(Models(tasks).handle)).base_url
    # Its judge of assertions asks OpenAI.
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("OPENAI_API_BASE", url)
    config = Tau2Config(
        command=os.environ["TAU2"],
        domain="retail",
        policy="policy@0",
        policy_url=url,
        user="user",
        user_url=url,
        trials=2,
        task_ids=TASKS,
        concurrency=1,
    )
    run = tmp_path / "tau2.db"

    result = await run_tau2(config, run, report=print)

    assert (result.tasks, result.simulations, result.not_run) == (len(TASKS), 10, 0)
    assert result.ended == {"user_stop": 10}
    with Reader(run) as reader:
        solved: dict[str, list[bool]] = {}
        for each in reader.trajectories():
            solved.setdefault(str(each.task_id), []).append(bool(each.detail["solved"]))
        gold = {
            task: sum(bool(m.get("tool_calls")) for m in reader_messages(reader, task))
            for task in ("0", "1")
        }
    assert {task: sorted(of) for task, of in solved.items()} == {
        "0": [True, True],
        "1": [False, False],
        "5": [True, True],
        "6": [False, False],
        "7": [False, True],
    }
    assert gold == {"0": 10, "1": 0}
    assert [round(each.all.value, 3) for each in result.pass_k if each.all] == [0.5, 0.4]

    again = await import_results(config, tmp_path / "theirs.db", result.results)
    assert (again.pass_k, again.reward_mean) == (result.pass_k, result.reward_mean)
    assert len(list(read_conversations(result.results))) == 10


def reader_messages(reader: Reader, task: str) -> list[dict[str, Any]]:
    """All messages of a task's trials."""
    numbers = [each.id for each in reader.trajectories() if each.task_id == task]
    return [turn.message for number in numbers for turn in reader.turns(number)]
