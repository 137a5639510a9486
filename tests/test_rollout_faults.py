"""Rollouts against endpoints that fail in every role and in every way at once."""

from pathlib import Path

from tests.faulty_rollouts import survive


async def test_every_conversation_ends_for_a_reason_and_every_call_is_in_the_books(
    tmp_path: Path,
) -> None:
    result = await survive(tmp_path / "r.db", timeout_s=0.3, tasks=12, group_size=3)
    assert result.scored >= 25
    assert result.scored < result.rollouts, "nothing failed for good"
