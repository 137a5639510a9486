"""Thousands of calls of all roles, against an endpoint that fails in every way at once."""

from pathlib import Path

import pytest

from tests.faulty_rollouts import survive

pytestmark = pytest.mark.soak


async def test_thousands_of_conversations_all_end_for_a_reason(tmp_path: Path) -> None:
    result = await survive(tmp_path / "r.db", timeout_s=1.0, tasks=250, group_size=8)
    assert result.scored >= 1500
    assert result.scored < result.rollouts
    print(dict(result.stops))
