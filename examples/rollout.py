"""Play groups of rollouts in a world of one's own, with a tool that is a Python function.

The agent is the embedded, rule-based one; name a model and its endpoint instead:
`policy={"model": "Qwen3-8B", "base_url": "http://gpu:8000/v1"}`, and the same for `simulator`.
"""

import asyncio
from typing import Any

import simia_async


def get_order(state: dict[str, Any], order_id: str) -> Any:
    """Instead of a simulated answer: yours, from the state of the world."""
    order = state["orders"].get(order_id)
    if order is None:
        raise simia_async.ToolError("order not found")
    return order


async def main() -> None:
    world = simia_async.load_environment("mini-retail").with_functions({"get_order": get_order})
    groups = simia_async.rollout(
        environment=world,
        policy={"model": "scripted-agent"},
        tasks=6,
        group_size=4,
        run="runs/rollouts.db",
    )
    async for group in groups:
        rewards = [rollout.reward for rollout in group.rollouts]
        print(f"{group.task.id}: rewards {rewards}")


asyncio.run(main())
