"""The harvest: what is kept depends on the numbers of trajectories, never on who was first."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simia_store import (
    TrajectoryRecord,
    TrajectoryStatus,
    open_store,
)

from simia_async.environments import Seed
from simia_async.messages import Message
from simia_async.runs.harvest import Finished, Harvest
from simia_async.synthesis.rules import Repair, Verdict

RUNNING, PASSED = TrajectoryStatus.RUNNING, TrajectoryStatus.PASSED
KEPT, REJECTED = TrajectoryStatus.KEPT, TrajectoryStatus.REJECTED


def saying(text: str) -> list[Message]:
    return [Message("user", text), Message("assistant", "I see.")]


def begun(number: int) -> TrajectoryRecord:
    return TrajectoryRecord(number, "desk", f"s/{number}", RUNNING, detail={"seed": "s"})


def finished(harvest: Harvest, text: str | None) -> Finished:
    """A sound conversation, or, without a text, one that a rule rejects."""
    if text is None:
        return Finished(Verdict([], rejected_by="no_empty_turns", reason="turn 0 is empty"))
    messages = saying(text)
    return Finished(Verdict(messages), harvest.tell(messages))


def play(order: list[int], texts: list[str | None]) -> dict[int, TrajectoryRecord]:
    """What stands in the store at the end, when trajectories end in this order."""
    harvest = Harvest(similarity=1.0)
    stored: dict[int, TrajectoryRecord] = {}
    for number in order:
        done = finished(harvest, texts[number - 1])
        ended, _ = harvest.end(begun(number), done)
        stored[number] = ended
        stored |= {each.trajectory.id: each.trajectory for each in harvest.arrive(ended, done)}
    assert harvest.waiting == 0
    assert harvest.done == set(order)
    statuses = [trajectory.status for trajectory in stored.values()]
    assert harvest.kept == statuses.count(KEPT)
    assert harvest.rejected.total() == statuses.count(REJECTED)
    return stored


TEXTS = st.lists(st.none() | st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=8)


@settings(max_examples=150, deadline=None, database=None)
@given(TEXTS.flatmap(lambda texts: st.tuples(st.just(texts), st.permutations(range(len(texts))))))
def test_whatever_the_order_the_same_ones_are_kept(
    drawn: tuple[list[str | None], list[int]],
) -> None:
    texts, order = drawn
    in_turn = play(list(range(1, len(texts) + 1)), texts)
    mixed = play([at + 1 for at in order], texts)
    assert {n: (t.status, t.rejected_by, t.reason) for n, t in mixed.items()} == {
        n: (t.status, t.rejected_by, t.reason) for n, t in in_turn.items()
    }


def test_one_that_passed_waits_for_those_before_it() -> None:
    harvest = Harvest(similarity=1.0)
    second = finished(harvest, "a")
    ended, turns = harvest.end(begun(2), second)
    assert (ended.status, len(turns)) == (PASSED, 2)
    assert harvest.arrive(ended, second) == []
    assert (harvest.waiting, harvest.kept) == (1, 0)
    first = finished(harvest, "a")
    ended, _ = harvest.end(begun(1), first)
    assert ended.status == KEPT
    own, waited = harvest.arrive(ended, first)
    assert (own.trajectory.id, own.messages) == (1, saying("a"))
    assert waited.trajectory.rejected_by == "duplicate"
    assert waited.trajectory.reason == "says the same as trajectory 1"


def test_those_that_wait_for_nobody_any_more_are_settled() -> None:
    harvest = Harvest(similarity=1.0)
    for number in (3, 2):
        done = finished(harvest, "a")
        harvest.arrive(harvest.end(begun(number), done)[0], done)
    settled = harvest.settle_rest()
    assert [(s.trajectory.id, s.trajectory.status) for s in settled] == [(2, KEPT), (3, REJECTED)]
    assert harvest.waiting == 0


def test_what_a_seed_says_is_not_kept() -> None:
    harvest = Harvest(similarity=0.85)
    words = " ".join(f"word{n}" for n in range(300))
    harvest.avoid([Seed("s:1", saying(words))])
    for number, text in enumerate([words, words + " and one more", "something else"], 1):
        done = finished(harvest, text)
        ended, _ = harvest.end(begun(number), done)
        harvest.arrive(ended, done)
    assert harvest.kept == 1
    assert dict(harvest.rejected) == {"duplicate": 1, "near_duplicate": 1}


def test_repairs_and_slips_are_counted_a_trajectory_each() -> None:
    harvest = Harvest(similarity=1.0)
    messages = saying("a")
    repairs = [Repair("proper_end", "a last word"), Repair("proper_end", "another")]
    done = Finished(Verdict(messages, repairs), harvest.tell(messages), ["a bare list"])
    ended, _ = harvest.end(begun(1), done)
    harvest.arrive(ended, done)
    assert dict(harvest.repaired) == {"proper_end": 1, "draft_form": 1}
    assert [each["reason"] for each in ended.detail["repairs"]] == [
        "a bare list",
        "a last word",
        "another",
    ]


@pytest.fixture
async def cut_off_run(tmp_path: Path) -> Path:
    """1 is rejected, 2 was running, 3 passed and waits, 4 failed at the endpoint, 5 is kept."""
    harvest = Harvest(similarity=1.0)
    async with open_store(tmp_path / "run.db") as store:
        for number, text in ((1, None), (3, "a"), (5, "b")):
            ended, turns = harvest.end(begun(number), finished(harvest, text))
            await store.append(ended, *turns)
        await store.append(begun(2))
        failed = Finished(Verdict([], rejected_by="simulator", reason="no answer"))
        await store.append(harvest.end(begun(4), failed)[0])
    return store.path


async def test_a_run_is_taken_up_where_it_was_cut_off(cut_off_run: Path) -> None:
    harvest = Harvest(similarity=1.0)
    left = harvest.recall(cut_off_run)
    assert [trajectory.id for trajectory in left] == [2]
    assert harvest.done == {1, 3, 5}
    # 3 and 5 wait for 2 and 4, which are asked again.
    assert (harvest.kept, harvest.waiting) == (0, 2)
    assert harvest.settle() == []
    done = finished(harvest, "a")
    kept, waited = harvest.arrive(harvest.end(begun(2), done)[0], done)
    assert (kept.trajectory.status, waited.trajectory.status) == (KEPT, REJECTED)
    assert [settled.trajectory.id for settled in harvest.settle_rest()] == [5]
