"""Thousands of calls of all roles, against an endpoint that fails in every way at once."""

from pathlib import Path

import pytest

from tests.faulty_rollouts import survive

pytestmark = pytest.mark.soak


async def test_hundreds_of_conversations_all_end_for_a_reason(tmp_path: Path) -> None:
    result = await survive(tmp_path / "r.db", timeout_s=1.0, tasks=50, group_size=8)
    assert result.scored >= 300
    assert {"policy_error", "simulator_error", "judge_error"} <= result.stops.keys()
