"""The governor in a real event loop: waiting, giving up, going away."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

import pytest

from simia_async.clients.governor import Governor, Outcome, Ticket
from simia_async.config import Endpoint
from simia_async.errors import EndpointUnavailable

OK = Outcome("ok")
DOWN = Outcome("unavailable")


def governor(**settings: Any) -> Governor:
    settings = {"max_in_flight": 1, "requests_per_minute": 6e6, **settings}
    return Governor(Endpoint(base_url="http://127.0.0.1:1/v1", model="m", **settings))


def enter(governor: Governor, *, deadline: float | None = None) -> Awaitable[Ticket]:
    return governor.enter(1, fresh=False, deadline=deadline)


async def waiting(governor: Governor, calls: int) -> list[asyncio.Task[Ticket]]:
    tasks = [asyncio.ensure_future(enter(governor)) for _ in range(calls)]
    await asyncio.sleep(0)
    assert governor.statistics().waiting == calls
    return tasks


def timers() -> int:
    """Timers that the loop still holds."""
    loop: Any = asyncio.get_running_loop()
    return sum(not handle.cancelled() for handle in loop._scheduled)


async def open_breaker(governor: Governor) -> None:
    for _ in range(8):
        governor.leave(await enter(governor), DOWN)
    assert governor.is_down


async def test_a_waiting_call_that_is_cancelled_leaves_the_queue() -> None:
    subject = governor()
    running = await enter(subject)
    first, second, third = await waiting(subject, 3)
    second.cancel()
    await asyncio.sleep(0)
    assert subject.statistics().waiting == 2
    subject.leave(running, OK)
    subject.leave(await first, OK)
    subject.leave(await third, OK)
    with pytest.raises(asyncio.CancelledError):
        await second
    assert (subject.statistics().in_flight, subject.statistics().waiting) == (0, 0)
    assert timers() == 0


async def test_a_call_that_is_cancelled_in_the_moment_of_its_turn_passes_it_on() -> None:
    subject = governor()
    running = await enter(subject)
    first, second = await waiting(subject, 2)
    subject.leave(running, OK)
    first.cancel()
    subject.leave(await second, OK)
    with pytest.raises(asyncio.CancelledError):
        await first
    seen = subject.statistics()
    assert (seen.in_flight, seen.waiting, seen.abandoned) == (0, 0, 1)


async def test_a_call_whose_retry_budget_ends_in_the_queue_is_told_so() -> None:
    subject = governor()
    running = await enter(subject)
    deadline = asyncio.get_running_loop().time() + 0.05
    with pytest.raises(EndpointUnavailable, match="retry budget"):
        await enter(subject, deadline=deadline)
    subject.leave(running, OK)
    assert (subject.statistics().in_flight, subject.statistics().waiting) == (0, 0)
    assert timers() == 0


async def test_a_turn_that_comes_in_time_leaves_no_timer() -> None:
    subject = governor()
    running = await enter(subject)
    task = asyncio.ensure_future(enter(subject, deadline=float("inf")))
    await asyncio.sleep(0)
    subject.leave(running, OK)
    subject.leave(await task, OK)
    assert timers() == 0


async def test_all_who_wait_for_an_endpoint_that_stays_down_are_told() -> None:
    subject = governor(retry_budget_s=0.2, max_in_flight=8)
    await open_breaker(subject)
    began = time.monotonic()
    tasks = await waiting(subject, 20)
    assert all(
        isinstance(result, EndpointUnavailable)
        for result in await asyncio.gather(*tasks, return_exceptions=True)
    )
    assert time.monotonic() - began < 10
    assert subject.statistics().waiting == 0
    assert timers() == 0


async def test_an_endpoint_that_is_back_is_found_by_a_probe() -> None:
    subject = governor(max_in_flight=8)
    await open_breaker(subject)
    tasks = await waiting(subject, 5)
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    (probe,) = [task for task in tasks if task.done()]
    assert subject.statistics().breaker == "half-open"
    subject.leave(await probe, OK)
    for task in tasks:
        if task is not probe:
            subject.leave(await asyncio.wait_for(task, 0.1), OK)
    assert subject.statistics().breaker == "closed"
    assert timers() == 0


async def test_a_probe_that_is_cancelled_makes_room_for_another() -> None:
    subject = governor(max_in_flight=8)
    await open_breaker(subject)
    first, second = await waiting(subject, 2)
    probe = await first
    subject.leave(probe, Outcome("abandoned"))
    subject.leave(await asyncio.wait_for(second, 2), OK)
    assert not subject.is_down


async def test_the_bound_of_calls_at_once_can_be_changed_while_they_wait() -> None:
    subject = governor()
    tickets = [await enter(subject)]
    tasks = await waiting(subject, 5)
    subject.set_max_in_flight(4)
    await asyncio.sleep(0)
    assert [task.done() for task in tasks] == [True, True, True, False, False]
    subject.set_max_in_flight(2)
    tickets += [await task for task in tasks[:3]]
    for ticket in tickets[:2]:
        subject.leave(ticket, OK)
    await asyncio.sleep(0)
    assert not tasks[3].done()
    for ticket in tickets[2:]:
        subject.leave(ticket, OK)
    for task in tasks[3:]:
        subject.leave(await task, OK)
    assert subject.statistics().in_flight == 0


async def test_calls_that_wait_for_a_quota_go_when_it_is_back() -> None:
    # 100 at once, then 100 a second.
    subject = governor(max_in_flight=200, requests_per_minute=6000)
    began = time.monotonic()
    for ticket in await asyncio.gather(*(enter(subject) for _ in range(120))):
        subject.leave(ticket, OK)
    assert time.monotonic() - began > 0.15
    assert timers() == 0


async def seconds_for(waiters: int) -> float:
    subject = governor(max_in_flight=16, requests_per_minute=60e6)
    began = time.process_time()

    async def call() -> None:
        ticket = await enter(subject)
        await asyncio.sleep(0)
        subject.leave(ticket, OK)

    await asyncio.gather(*(call() for _ in range(waiters)))
    assert subject.statistics().ok == waiters
    assert timers() == 0
    return time.process_time() - began


@pytest.mark.soak
async def test_the_time_for_many_who_wait_is_in_proportion_to_their_number() -> None:
    few = min([await seconds_for(1000) for _ in range(3)])
    assert await seconds_for(10_000) < 10 * few * 3


async def test_timers_are_not_set_for_each_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = governor(max_in_flight=10_000, requests_per_minute=60)
    running = await enter(subject)
    loop = asyncio.get_running_loop()
    call_at, set_ = loop.call_at, []
    monkeypatch.setattr(loop, "call_at", lambda *args: set_.append(args) or call_at(*args))
    tasks = await waiting(subject, 5000)
    assert len(set_) <= 2
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(set_) <= 2
    subject.leave(running, OK)
    assert subject.statistics().waiting == 0
    assert timers() == 0


@pytest.mark.both_loops
async def test_what_is_due_at_once_does_not_stop_the_timer_from_being_set_anew() -> None:
    subject = governor(max_in_flight=8, requests_per_minute=60_000.0)
    outcomes = [OK, Outcome("rate_limited", retry_after_s=0.001), OK, DOWN]

    async def call(number: int) -> None:
        ticket = await enter(subject)
        await asyncio.sleep(0.0005 * (number % 3))
        subject.leave(ticket, outcomes[number % len(outcomes)])

    await asyncio.gather(*map(call, range(300)))
    assert (subject.statistics().in_flight, subject.statistics().waiting) == (0, 0)
