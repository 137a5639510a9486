"""Whatever a simulator says, a grounded world takes it over or refuses it, and stays whole."""

import copy
from typing import Any

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from simia_async.errors import BadReply
from tests.test_grounding_world import ENVIRONMENT, NAMES, STATE, Group, Teller, call

KEYS = st.sampled_from(["orders", "W1", "W3", "status", "id", "0", "-", "*", "parcels"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.floats(0, 2) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
POINTER = st.lists(KEYS, max_size=4).map(lambda parts: "".join(f"/{part}" for part in parts))
OP = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "add", "remove", "replace", "move", "copy", "test", "jump"])},
    optional={"path": POINTER | JSON, "from": POINTER | JSON, "value": JSON},
)
REPLY = st.fixed_dictionaries(
    {"observation": JSON, "is_error": st.booleans(), "ops": st.lists(OP, max_size=3)}
)
CALLS = st.lists(st.tuples(st.sampled_from(NAMES), JSON, REPLY), max_size=6)


@given(CALLS)
@settings(deadline=None, database=None, max_examples=300)
def test_an_answer_is_taken_over_or_refused_and_the_state_always_fits_its_schema(
    calls: list[tuple[str, Any, Any]],
) -> None:
    before = copy.deepcopy(STATE)

    async def play() -> None:
        world = Group().world()
        for name, argument, reply in calls:
            state = world.state
            try:
                observation = await world.answer(call(name, id=argument), Teller(reply), [])
            except BadReply:
                assert world.state is state
            else:
                assert observation.ops or world.state is state
                assert ENVIRONMENT.state_misfit(world.state) is None

    anyio.run(play)
    assert before == STATE
