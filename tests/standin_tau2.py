"""Stands in for τ²-bench's `tau2`, which needs an environment of its own (`soak/test_real_tau2.py`
asks the real one).

Its command line and its result file have the names of the real one's (v1.0.1, commit a2c0247), and
it really asks the policy's endpoint, with the openai client. Its domain is two tasks of a shop with
one order. What it is told by environment variables is for tests: `STANDIN_DIE_AFTER` so many
simulations, `STANDIN_BROKEN` (`task:trial`) for one that its infrastructure fails.
"""

import argparse
import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any

ORDER = {"order_id": "#W1", "user_id": "ada_1", "status": "pending"}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "of the shop",
            "parameters": {
                "type": "object",
                "properties": {"order_id": {"type": "string"}},
                "required": ["order_id"],
            },
        },
    }
    for name in ("get_order_details", "cancel_pending_order")
]
CANCEL = {"order_id": "#W1"}


def task(number: str, reason: str, actions: list[dict[str, Any]]) -> dict[str, Any]:
    instructions = {
        "domain": "retail",
        "reason_for_call": reason,
        "known_info": "Your order is #W1.",
        "unknown_info": None,
        "task_instructions": "Be brief.",
    }
    return {
        "id": number,
        "description": {"purpose": None, "relevant_policies": None, "notes": None},
        "user_scenario": {"persona": None, "instructions": instructions},
        "initial_state": None,
        "evaluation_criteria": {
            "actions": actions,
            "communicate_info": [],
            "nl_assertions": None,
            "reward_basis": ["DB", "NL_ASSERTION"],
        },
    }


ACTION = {"action_id": "0_0", "name": "cancel_pending_order", "arguments": CANCEL, "info": None}
TASKS = [
    task("0", "You want order #W1 cancelled.", [ACTION]),
    task("1", "You want to know where order #W1 is.", []),
]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tau2")
    run = parser.add_subparsers(required=True).add_parser("run")
    run.add_argument("--domain", required=True)
    run.add_argument("--num-trials", type=int, default=1)
    run.add_argument("--agent-llm")
    run.add_argument("--agent-llm-args", type=json.loads, default={})
    run.add_argument("--user-llm", default="gpt-4.1-2025-04-14")
    run.add_argument("--user-llm-args", type=json.loads, default={})
    run.add_argument("--task-split-name", default="base")
    run.add_argument("--task-ids", nargs="+")
    run.add_argument("--num-tasks", type=int)
    run.add_argument("--max-steps", type=int, default=200)
    run.add_argument("--max-concurrency", type=int, default=3)
    run.add_argument("--seed", type=int, default=300)
    run.add_argument("--save-to", required=True)
    run.add_argument("--auto-resume", action="store_true")
    return parser.parse_args()


def spoken(role: str, content: str | None, **more: Any) -> dict[str, Any]:
    now = "2026-11-28T00:00:00"
    return {"role": role, "content": content, "turn_idx": None, "timestamp": now, **more}


def simulate(asked: argparse.Namespace, of: dict[str, Any], trial: int) -> dict[str, Any]:
    """One conversation with the policy: it is told the wish, its calls are answered, and its first
    text ends it.
    """
    import openai  # Which takes as long as all the rest; `--help` has no need of it.

    given = dict(asked.agent_llm_args)
    provider, _, model = asked.agent_llm.partition("/")
    key = os.environ[f"{provider.upper()}_API_KEY"]
    client = openai.OpenAI(base_url=given.pop("api_base"), api_key=key, max_retries=0)
    messages = [spoken("assistant", "Hi! How can I help you today?", tool_calls=None, usage=None)]
    wish = of["user_scenario"]["instructions"]["reason_for_call"]
    wire: list[Any] = [{"role": "system", "content": "<policy>Be honest.</policy>"}]
    wire += [{"role": "assistant", "content": messages[0]["content"]}]
    wire += [{"role": "user", "content": wish}]
    messages.append(spoken("user", wish, tool_calls=None, usage={"prompt_tokens": 9}, cost=0.001))
    called = []
    reason = "max_steps"
    for _ in range(asked.max_steps):
        answer = client.chat.completions.create(
            model=model, messages=wire, tools=TOOLS, tool_choice="auto", **given
        )
        said = answer.choices[0].message
        calls = [
            {
                "id": call.id,
                "name": call.function.name,
                "arguments": json.loads(call.function.arguments),
                "requestor": "assistant",
            }
            for call in said.tool_calls or ()
        ]
        usage = {"completion_tokens": 5, "prompt_tokens": 50}
        messages.append(
            spoken("assistant", said.content, tool_calls=calls or None, usage=usage, cost=0.0)
        )
        wire.append(said.model_dump(exclude_none=True))
        if not calls:
            messages.append(spoken("user", "###STOP###", tool_calls=None, usage=None))
            reason = "user_stop"
            break
        for call in calls:
            called.append((call["name"], call["arguments"]))
            known = call["arguments"] == CANCEL
            content = json.dumps(ORDER) if known else "Error: Order not found"
            wire.append({"role": "tool", "tool_call_id": call["id"], "content": content})
            messages.append(
                spoken("tool", content, id=call["id"], requestor="assistant", error=not known)
            )
    return graded(of, trial, messages, called, reason)


def graded(
    of: dict[str, Any],
    trial: int,
    messages: list[dict[str, Any]],
    called: list[tuple[str, Any]],
    reason: str,
) -> dict[str, Any]:
    wanted = [(a["name"], a["arguments"]) for a in of["evaluation_criteria"]["actions"]]
    changed = [call for call in called if call[0] == "cancel_pending_order"]
    holds = changed == wanted
    reward: dict[str, Any] = {"reward": 0.0, "reward_basis": None, "info": {"note": reason}}
    if reason == "user_stop":
        checks = [
            {"action": action, "action_match": holds, "action_reward": float(holds)}
            for action in of["evaluation_criteria"]["actions"]
        ]
        reward = {
            "reward": float(holds),
            "db_check": {"db_match": holds, "db_reward": float(holds)},
            "env_assertions": [],
            "action_checks": checks,
            "nl_assertions": [],
            "communicate_checks": [],
            "reward_basis": ["DB", "NL_ASSERTION"],
            "reward_breakdown": {"DB": float(holds)},
            "info": {},
        }
    if os.environ.get("STANDIN_BROKEN") == f"{of['id']}:{trial}":
        reason, messages, reward = "infrastructure_error", [], None  # type: ignore[assignment]
    return {
        "id": str(uuid.uuid4()),
        "task_id": of["id"],
        "timestamp": "2026-11-28T00:00:00",
        "start_time": "2026-11-28T00:00:00",
        "end_time": "2026-11-28T00:00:01",
        "duration": 1.0,
        "termination_reason": reason,
        "agent_cost": 0.0,
        "user_cost": 0.001,
        "reward_info": reward,
        "messages": messages,
        "trial": trial,
        "seed": 1,
        "mode": "half_duplex",
    }


def main() -> None:
    asked = arguments()
    # pathlib prefers an absolute path to what stands before it, as in the real one.
    place = Path("data", "simulations") / asked.save_to / "results.json"
    chosen = [t for t in TASKS if not asked.task_ids or t["id"] in asked.task_ids]
    results: dict[str, Any] = {
        "timestamp": "2026-11-28T00:00:00",
        "info": {
            "git_commit": "a2c0247",
            "num_trials": asked.num_trials,
            "max_steps": asked.max_steps,
            "max_errors": 10,
            "user_info": {
                "implementation": "user_simulator",
                "llm": asked.user_llm,
                "llm_args": asked.user_llm_args,
            },
            "agent_info": {
                "implementation": "llm_agent",
                "llm": asked.agent_llm,
                "llm_args": asked.agent_llm_args,
            },
            "environment_info": {
                "domain_name": asked.domain,
                "policy": "Be honest.",
                "tool_defs": None,
            },
            "seed": asked.seed,
        },
        "tasks": chosen[: asked.num_tasks],
        "simulations": [],
    }
    if place.exists():
        if not asked.auto_resume:
            sys.exit("a result file is there already")
        results["simulations"] = json.loads(place.read_text())["simulations"]
    place.parent.mkdir(parents=True, exist_ok=True)
    done = {(each["task_id"], each["trial"]) for each in results["simulations"]}
    last = int(os.environ.get("STANDIN_DIE_AFTER", "1000"))
    for trial in range(asked.num_trials):
        for of in results["tasks"]:
            if (of["id"], trial) in done:
                continue
            if len(results["simulations"]) == last:
                sys.exit("the stand-in dies, as it was told")
            results["simulations"].append(simulate(asked, of, trial))
            place.write_text(json.dumps(results, indent=2))
    print("pass^k as τ²-bench counts")


if __name__ == "__main__":
    main()
