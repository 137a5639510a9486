"""The masks of all real conversations, by every chat template that has a place for calls."""

from pathlib import Path

import pytest

from tests import test_training_mask as quick

pytestmark = pytest.mark.soak

_directory = quick._directory


@pytest.mark.parametrize("name", quick.WITH_CALLS)
def test_of_all_real_conversations(name: str, airline_seeds: Path) -> None:
    quick.check_recorded(name, airline_seeds, every=1)
