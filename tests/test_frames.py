"""Frames between owner and children: a pipe may cut them anywhere."""

import itertools
import math
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from simia_async.supervision.frames import (
    Failed,
    FromChild,
    Metrics,
    Published,
    Ready,
    ToChild,
    TrainGrpo,
    TrainSft,
    Unpacker,
    pack,
)

INTEGERS = st.integers(-(2**63), 2**63 - 1)
# NaN is unequal to itself, so the comparison could not see that it came through; see below.
VALUES = st.dictionaries(st.text(), st.floats(allow_nan=False))
CONFIG = st.dictionaries(st.text(), st.none() | st.booleans() | INTEGERS | st.text())

FROM_CHILD = (
    st.builds(Ready, INTEGERS)
    | st.builds(Metrics, INTEGERS, VALUES)
    | st.builds(Published, INTEGERS, st.text(), st.none() | st.text(), INTEGERS)
    | st.builds(Failed, st.text(), st.booleans())
)
TO_CHILD = st.builds(TrainSft, st.lists(st.text()), CONFIG) | st.builds(
    TrainGrpo, st.text(), CONFIG, INTEGERS, INTEGERS, st.none() | st.text()
)


def through_a_pipe(frames: list[Any], cuts: list[int], expected: Any) -> list[Any]:
    stream = b"".join(map(pack, frames))
    edges = sorted({0, *(cut % (len(stream) + 1) for cut in cuts), len(stream)})
    decoder, unpacker = msgspec.msgpack.Decoder(expected), Unpacker()
    return [
        decoder.decode(body)
        for start, end in itertools.pairwise(edges)
        for body in unpacker.feed(stream[start:end])
    ]


@settings(max_examples=100, deadline=None, database=None)
@given(st.lists(FROM_CHILD, max_size=6), st.lists(st.integers(0, 2000), max_size=8))
def test_what_a_child_says_arrives_whole_however_it_is_cut(
    frames: list[FromChild], cuts: list[int]
) -> None:
    assert through_a_pipe(frames, cuts, FromChild) == frames


@settings(max_examples=50, deadline=None, database=None)
@given(st.lists(TO_CHILD, max_size=4), st.lists(st.integers(0, 2000), max_size=8))
def test_what_an_owner_says_arrives_whole_however_it_is_cut(
    frames: list[ToChild], cuts: list[int]
) -> None:
    assert through_a_pipe(frames, cuts, ToChild) == frames


def test_frames_survive_a_pipe_that_gives_one_byte_at_a_time() -> None:
    frames = [Ready(1), Failed("no", usage=True), Published(1, "/a", None, 2)]
    assert through_a_pipe(frames, list(range(1000)), FromChild) == frames


def test_a_frame_waits_for_its_last_byte() -> None:
    data = pack(Ready(8000))
    unpacker = Unpacker()
    assert unpacker.feed(data[:-1]) == []
    assert unpacker.feed(b"") == []
    assert unpacker.feed(data[-1:]) == [data[4:]]
    assert unpacker.feed(b"") == []


def test_a_loss_that_is_not_a_number_is_reported_as_such() -> None:
    (frame,) = through_a_pipe([Metrics(1, {"loss": math.nan, "max": math.inf})], [], FromChild)
    assert math.isnan(frame.values["loss"])
    assert frame.values["max"] == math.inf
