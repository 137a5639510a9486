"""The scripted worlds as honest simulators: grounding refuses nothing that they say."""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import msgspec
import pytest

from simia_async.builtin.scripted_worlds import SCRIPTED_WORLDS, draw_tasks
from simia_async.builtin.worlds.engine import ScriptedWorld
from simia_async.environments import load_environment
from simia_async.messages import FunctionCall, ToolCall
from simia_async.simulation.grounding import GroundedWorld, SharedFacts
from simia_async.simulation.replies import ToolReply
from simia_async.simulation.state import apply_ops


async def commit(*records: Any) -> None:
    await anyio.lowlevel.checkpoint()


def some_call(
    rng: random.Random, world: ScriptedWorld, state: dict[str, Any]
) -> tuple[str, dict[str, str]]:
    """A call whose arguments are mostly values that some record has in a field of this name."""
    function = rng.choice(world.tools())["function"]
    records = [record for table in state.values() for record in table.values()]
    ids = [key for table in state.values() for key in table]
    arguments = {}
    for field in function["parameters"]["properties"]:
        values = [record[field] for record in records if field in record]
        of_table = list(state.get(field.removesuffix("_id") + "s", []))
        arguments[field] = rng.choice([*(values or of_table), *of_table, rng.choice(ids)])
    return function["name"], arguments


@pytest.mark.parametrize("name", SCRIPTED_WORLDS)
async def test_grounding_changes_nothing_for_those_who_are_honest(name: str) -> None:
    """Every answer and every state is the one that the rules alone would give."""
    world, environment = SCRIPTED_WORLDS[name], load_environment(name)
    sources: Counter[tuple[str, str]] = Counter()
    rng = random.Random(5)
    for task in draw_tasks(world, 40, split="train"):
        state = environment.state_with(task.initial_state)
        grounded = GroundedWorld(environment, SharedFacts(1, state, commit), 1)
        for _ in range(60):
            tool, arguments = some_call(rng, world, state)
            outcome = world.call(state, tool, arguments)

            async def ask(shown: Any, read: Callable[[str], ToolReply]) -> ToolReply:
                return read(msgspec.json.encode(outcome).decode())  # noqa: B023

            call = FunctionCall(tool, msgspec.json.encode(arguments).decode())
            observation = await grounded.answer(ToolCall("call_0", call), ask, [])
            assert (observation.value, observation.ops) == (outcome.observation, outcome.ops)
            assert observation.is_error == outcome.is_error
            state = apply_ops(state, outcome.ops)
            assert grounded.state == state
            sources[tool, observation.source] += not outcome.is_error
    for tool, effect in environment.effects.items():
        assert sources[tool, "fact" if effect.effect == "read" else "llm"] > 0, tool
