"""The promise: whatever the simulator says, a grounded world does not contradict itself."""

from collections import Counter

import pytest

from tests.lying_simulator import (
    GROUP_SIZE,
    LIARS,
    LIES,
    Said,
    contradicting,
    planted,
    play_group,
    table,
)

GROUPS = 125


def test_1000_conversations_with_a_liar_contradict_themselves_only_without_grounding() -> None:
    assert GROUPS * GROUP_SIZE == 1000
