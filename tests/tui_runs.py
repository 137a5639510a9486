"""Runs for the tests of the dashboard: small, the same each time, with something for every pane."""

import asyncio
import contextlib
import os
import sys
import time
from pathlib import Path

from simia_store import (
    AdapterRecord,
    CallRecord,
    CommandStatus,
    EnvironmentRecord,
    FactRecord,
    GroupRecord,
    JudgementRecord,
    MetricRecord,
    RunRecord,
    RunStatus,
    ScoringRecord,
    StatisticsRecord,
    Store,
    TaskRecord,
    TrajectoryRecord,
    TrajectoryStatus,
    TurnRecord,
    open_store,
)

BEGUN = 1_795_000_000.0
STEPS, GROUPS, SIZE = 6, 2, 4

GOVERNOR = {
    "in_flight": 3,
    "lost": 0,
    "waiting": 21,
    "waiting_fresh": 2,
    "window": 8.0,
    "max_in_flight": 64,
    "requests_per_minute": 600.0,
    "tokens_per_minute": None,
    "requests_left": 4.0,
    "tokens_left": None,
    "paused_s": 0.0,
    "breaker": "open",
    "times_opened": 1,
    "ok": 940,
    "rate_limited": 17,
    "unavailable": 2,
    "malformed": 5,
    "refused": 0,
    "abandoned": 0,
    "latency_s": 1.25,
    "waited_s": 30.0,
}
SPENDING = {
    "spent_usd": 1.5,
    "max_cost_usd": 10.0,
    "projected_usd": 6.0,
    "spent_tokens": 120_000,
    "max_tokens": None,
    "projected_tokens": 480_000.0,
    "lost_calls": 0,
    "lost_usd": None,
    "units_done": 12,
    "units_active": 0,
}
SCHEDULER = {"concurrency": 64, "active": 3, "waiting": 5, "groups": 2, "paused": False}


def run_record(status: RunStatus = RunStatus.DONE, **fields: object) -> RunRecord:
    ended = None if status == RunStatus.RUNNING else BEGUN + 90
    given = {"started_at": BEGUN, "finished_at": ended, **fields}
    return RunRecord("r", "rl", {"steps": STEPS, "environment": "mini-retail"}, status, **given)


def rewards(group: int) -> list[float | None]:
    """Of one group; every third has rewards that are all the same."""
    return [1.0] * SIZE if group % 3 == 0 else [1.0, 0.0, 0.25, None]


def turns(number: int, *, solved: bool) -> list[TurnRecord]:
    call = {
        "id": f"call_{number}",
        "type": "function",
        "function": {"name": "get_order", "arguments": '{"order_id":"W1"}'},
    }
    said = "Your refund is on its way." if solved else "<think>No.</think>I cannot do that."
    ops = [{"op": "replace", "path": "/orders/W1/status", "value": "cancelled"}]
    return [
        TurnRecord(number, 0, "user", {"role": "user", "content": "Cancel W1, please."}, "llm"),
        TurnRecord(
            number, 1, "assistant", {"role": "assistant", "content": "", "tool_calls": [call]},
            prompt_ids=[1, 2, 3, 4], token_ids=[5, 6, 7], logprobs=[-0.01, -0.9, -3.2],
        ),
        TurnRecord(
            number, 2, "tool",
            {"role": "tool", "content": '{"ok": true, "id": "W1"}', "tool_call_id": call["id"]},
            "fact" if number % 2 else "llm", ops=ops if solved else [], is_error=number % 5 == 0,
        ),
        TurnRecord(
            number, 3, "assistant", {"role": "assistant", "content": said},
            prompt_ids=[8], token_ids=[9, 10], logprobs=[-0.5, 0.0],
        ),
        TurnRecord(number, 4, "user", {"role": "user", "content": "Bye."}, "llm", ends="user_done"),
    ]  # fmt: skip


def rollout(number: int, group: int, reward: float | None, **fields: object) -> TrajectoryRecord:
    failed = reward is None
    given: dict[str, object] = {
        "group_id": group,
        "policy_version": 1,
        "stop_reason": "simulator_error" if failed else "user_done",
        "reward": reward,
        "boundary": "simulator" if failed else None,
        "reason": f"HTTP 503 after {number} attempts" if failed else "state as wanted",
        "created_at": BEGUN + number,
        "finished_at": BEGUN + number + 2.5,
        **fields,
    }
    status = TrajectoryStatus.UNSCORED if failed else TrajectoryStatus.SCORED
    task = f"mini-retail/train/cancel/{group}"
    return TrajectoryRecord(number, "mini-retail", task, status, **given)


def played_group(group: int, step: int) -> list[object]:
    """A group with everything that belongs to it."""
    task = f"mini-retail/train/cancel/{group}"
    known = {"orders": {"W1": {"status": "pending"}}}
    records: list[object] = [
        TaskRecord(task, "mini-retail", "train", {"id": task, "initial_state": known}),
        GroupRecord(group, task, step, 1, SIZE, rewards(group)),
    ]
    for place, reward in enumerate(rewards(group)):
        number = (group - 1) * SIZE + place + 1
        records += [rollout(number, group, reward), *turns(number, solved=reward == 1.0)]
        if reward is not None:
            why = "as wanted" if reward == 1.0 else "not as wanted"
            records.append(JudgementRecord(1, number, reward, why, {"criteria": {"state": True}}))
        status = "ok" if reward is not None else "Unavailable"
        records.append(
            CallRecord(
                number, "user", "http://127.0.0.1:9/v1", "gpt-5", 1 + (reward is None), status, 0.5,
                tokens_in=900, tokens_out=40, waited_s=0.1 * place, cost_usd=0.002,
                error=None if status == "ok" else "HTTP 503: busy", created_at=BEGUN,
            )
        )  # fmt: skip
    return records


def measured(step: int) -> list[MetricRecord]:
    values = {
        "rollout/reward_mean": step / 8,
        "rollout/reward_std": 0.2,
        "rollout/solved_needs_action": step / 10,
        "rollout/solved_no_action": 1 - step / 20,
        "rollout/staleness": 0.5,
        "rollout/tool_error_rate": 0.1,
        "rollout/tokens": 100 + step,
        "train/loss": 0.1 / step,
        "train/kl": 0.001 * step,
        "train/entropy": 1.0 / step,
        "train/tokens_per_second": 900.0,
    }
    return [MetricRecord(step, name, value, BEGUN + step) for name, value in values.items()]


async def write_run(
    path: Path, status: RunStatus = RunStatus.DONE, *, groups: int = STEPS * GROUPS, **run: object
) -> None:
    """A run of RL with its groups, written by the real store."""
    async with open_store(path) as store:
        await write_into(store, status, groups=groups, **run)


async def write_into(
    store: Store, status: RunStatus, *, groups: int = STEPS * GROUPS, **run: object
) -> None:
    await store.append(
        run_record(status, **run),
        EnvironmentRecord("mini-retail", "Be kind.", []),
        ScoringRecord(1, {"criteria": []}, "gpt-5", BEGUN),
        FactRecord(1, None, 'get_order {"order_id":"W1"}', "{}", created_at=BEGUN),
    )
    for group in range(1, groups + 1):
        step = (group - 1) // GROUPS + 1
        await store.append(*played_group(group, step))
        if group % GROUPS == 0:
            adapter = AdapterRecord(step, f"adapters/v{step:05}", None, step, BEGUN)
            await store.append(*measured(step), adapter)
    await store.append(
        StatisticsRecord("simulator", GOVERNOR, BEGUN),
        StatisticsRecord("scheduler", SCHEDULER, BEGUN),
        StatisticsRecord("spending", SPENDING, BEGUN),
    )


async def own(path: Path) -> None:
    """Own a run as long as nobody asks for its end: play a group a tenth of a second, and obey."""
    from simia_async.runs.obedience import Promise, Tell, obey, until_the_end

    async with open_store(path) as store:
        await write_into(store, RunStatus.RUNNING, started_at=time.time())
        said = dict(SCHEDULER)
        held, released = asyncio.Event(), asyncio.Event()

        def pause(_: object) -> str:
            said["paused"] = True
            held.set()
            released.clear()
            return "paused; calls in flight end and are stored"

        def resume(_: object) -> str:
            said["paused"] = False
            released.set()
            return "goes on"

        def change(arguments: dict[str, object]) -> str:
            said["concurrency"] = arguments["conversations"]
            return f"at most {arguments['conversations']} conversations at once from now on"

        def cancel(arguments: dict[str, object]) -> str:
            return f"trajectory {arguments['trajectory']} is cancelled"

        async def write(_: Tell) -> str:
            await held.wait()
            return "the checkpoint of step 6 stands in adapters/checkpoint-00000006"

        async def judge(tell: Tell) -> str:
            await tell("1 of 2 judged again as scoring 2")
            await released.wait()
            return "judged 2 again as scoring 2: mean reward 0.500, was 1.000"

        def end(_: object) -> Promise:
            said["ends"] = True
            return Promise("the run ends when step 7 of 9 is trained", until_the_end)

        commands = {
            "pause": pause,
            "resume": resume,
            "concurrency": change,
            "cancel": cancel,
            "checkpoint": lambda _: Promise("a checkpoint is written when it is paused", write),
            "rejudge": lambda a: Promise(f"{a['trajectories']} are judged again", judge),
            "stop_after_step": end,
        }
        with contextlib.suppress(Exception):
            async with obey(store, commands):
                group = STEPS * GROUPS
                while not (said.get("ends") and said["paused"]):
                    if not said["paused"]:
                        group += 1
                        await store.append(*played_group(group, STEPS))
                    running = TrajectoryRecord(
                        0, "mini-retail", "t", TrajectoryStatus.RUNNING, created_at=BEGUN
                    )
                    await store.append(running, StatisticsRecord("scheduler", dict(said)))
                    await asyncio.sleep(0.1)
        await store.append(run_record(RunStatus.STOPPED, reason="stopped by `simia runs stop`"))
        for command in await store.waiting_commands():
            await store.answer(command, CommandStatus.DONE, "the run ended: stopped")


if __name__ == "__main__":
    os.environ.pop("COLUMNS", None)
    asyncio.run(own(Path(sys.argv[1])))
