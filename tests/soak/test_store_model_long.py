"""The store against its model, for as long as it takes to try much."""

import runpy
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

pytestmark = pytest.mark.soak

MODEL = runpy.run_path(str(Path(__file__).parents[1] / "test_store_model.py"))


def test_the_store_does_what_the_model_does_for_long() -> None:
    long = settings(MODEL["QUICK"], max_examples=150, stateful_step_count=30)
    run_state_machine_as_test(MODEL["StoreMachine"], settings=long)
