"""The promise: whatever the simulator says, a grounded world does not contradict itself."""

from collections import Counter
from typing import Any

import pytest

from tests.lying_simulator import (
    GROUP_SIZE,
    LIARS,
    LIES,
    Lie,
    Said,
    contradicting,
    planted,
    play_group,
    table,
)

GROUPS = 125


async def test_1000_conversations_contradict_themselves_as_planted_only_without_grounding() -> None:
    assert GROUPS * GROUP_SIZE == 1000
    lies: Counter[Lie] = Counter()
    for group in range(GROUPS):
        lies[planted(group)[0]] += len(LIARS)
    assert lies.total() == 500
    assert await table(GROUPS, grounded=False) == lies
    assert await table(GROUPS, grounded=True) == Counter(dict.fromkeys(LIES, 0))


@pytest.mark.parametrize("grounded", [False, True])
async def test_every_call_of_a_liar_is_answered(grounded: bool) -> None:
    for group in range(8):
        transcripts = await play_group(group, grounded=grounded)
        assert [len(transcript) for transcript in transcripts] == [9] * GROUP_SIZE
        assert not any(is_error for said in transcripts for *_, is_error in said)


def said(name: str, key: str, observation: Any) -> Said:
    return (name, {"id": key}), observation, False


PENDING = said("get_order", "W1", {"status": "pending"})
CANCELLED = said("get_order", "W1", {"status": "cancelled"})
CANCEL: Said = (("cancel_order", {"order_id": "W1"}), {}, False)


@pytest.mark.parametrize(
    ("count", "transcripts"),
    [
        (0, [[PENDING, CANCEL, CANCELLED], [PENDING]]),
        (1, [[PENDING, CANCELLED]]),
        (1, [[PENDING], [CANCELLED]]),
        (1, [[CANCEL, PENDING]]),
        (0, [[CANCEL, CANCELLED], [PENDING]]),
    ],
)
def test_the_checker_counts_what_it_should(count: int, transcripts: list[list[Said]]) -> None:
    assert contradicting(transcripts) == count
