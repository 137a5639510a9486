"""SFT runs of many settings, cut off at many steps: all come out as if they had not been."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

pytest.importorskip("torch")

from simia_async.config import SftConfig
from tests.sft_runs import SMALL, check_goes_on, make_data

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asyncio.run(make_data(tmp_path_factory.mktemp("data")))


@settings(max_examples=10, deadline=None, database=None)
@given(
    cuts=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    config=st.builds(
        lambda **given: replace(SMALL, **given),
        packing=st.booleans(),
        accumulate=st.integers(1, 2),
        eval_share=st.sampled_from([0.0, 0.2]),
        eval_every=st.integers(1, 4),
        checkpoint_every=st.integers(0, 4),
        gradient_checkpointing=st.booleans(),
        dtype=st.sampled_from(["float32", "bfloat16"]),
        schedule=st.sampled_from(["linear", "constant"]),
    ),
)
def test_wherever_it_is_cut_off(
    data: Path, tmp_path_factory: pytest.TempPathFactory, cuts: list[int], config: SftConfig
) -> None:
    check_goes_on(data, tmp_path_factory.mktemp("adapters"), cuts, config)
