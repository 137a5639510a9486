"""The stretch of a list that is in memory, while keys move the cursor faster than rows are read."""

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("textual")

from simia_tui.widgets.few_rows import FewRows
from simia_tui.widgets.rows import Rows
from simia_tui.widgets.window import Window


class Numbered(msgspec.Struct, frozen=True):
    id: int


class SlowRows(FewRows[Numbered]):
    """Whose pages come when they are let through."""

    def __init__(self, count: int) -> None:
        super().__init__([Numbered(number) for number in range(count)])
        self.gate = asyncio.Event()
        self.gate.set()

    async def page(self, limit: int, after: Numbered | None, *, backwards: bool) -> Rows[Numbered]:
        rows = await super().page(limit, after, backwards=backwards)
        await self.gate.wait()
        return rows


async def opened(count: int, *, at_end: bool = False) -> tuple[Window[Numbered], SlowRows]:
    source = SlowRows(count)
    window = Window(source)
    window.height = 20
    await window.jump(at_end)
    return window, source


def here(window: Window[Numbered]) -> int:
    assert window.row is not None
    return window.row.id


async def test_a_key_between_a_look_at_the_run_and_its_answer_counts() -> None:
    window, source = await opened(30)
    source.gate.clear()
    looking = asyncio.ensure_future(window.refresh())
    await asyncio.sleep(0)
    assert window.go(1) is None
    source.gate.set()
    await looking
    assert here(window) == 1


@pytest.mark.parametrize("keys", [[1], [19, 19], [30, -1, 40], [-5], [150, 30]])
async def test_keys_while_rows_are_read_add_up(keys: list[int]) -> None:
    window, source = await opened(1000)
    assert window.go(95) is False
    source.gate.clear()
    reading = asyncio.ensure_future(window.extend(backwards=False))
    await asyncio.sleep(0)
    for rows in keys:
        window.go(rows)
    source.gate.set()
    await reading
    assert here(window) == min(95 + sum(keys), len(window.rows) - 1)


async def test_home_while_rows_are_read_is_home() -> None:
    window, source = await opened(1000)
    while window.go(len(window.rows) - 1 - window.cursor) is False and len(window.rows) < 450:
        await window.extend(backwards=False)
    source.gate.clear()
    reading = asyncio.ensure_future(window.extend(backwards=False))
    await asyncio.sleep(0)
    assert window.at_start
    window.put(0)
    source.gate.set()
    await reading
    assert here(window) == 0


@given(
    count=st.integers(1, 1500),
    height=st.integers(1, 60),
    steps=st.lists(st.integers(-400, 400), max_size=12),
    at_end=st.booleans(),
)
def test_the_cursor_goes_where_it_would_in_the_whole_list(
    count: int, height: int, steps: list[int], at_end: bool
) -> None:
    async def walk() -> None:
        window, _ = await opened(count, at_end=at_end)
        window.height = height
        place = here(window)
        for rows in steps:
            backwards = window.go(rows)
            while backwards is not None:
                await window.extend(backwards=backwards)
                backwards = window.go(0)
            place = max(0, min(place + rows, count - 1))
            assert here(window) == place
            assert window.top <= window.cursor < window.top + height
            assert [row.id for row in window.rows] == list(
                range(window.rows[0].id, window.rows[0].id + len(window.rows))
            )

    asyncio.run(walk())
