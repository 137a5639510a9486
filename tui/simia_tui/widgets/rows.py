"""What a list shows: rows that have numbers, where they are read from, and how they are drawn."""

from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

import msgspec
from rich.style import Style

from simia_tui.palette import Palette


class Row(Protocol):
    """Rows have numbers that are theirs for good."""

    @property
    def id(self) -> int:
        """The number."""


R = TypeVar("R", bound=Row)


class Rows(NamedTuple, Generic[R]):
    """Rows in order, and whether others follow."""

    rows: list[R]
    more: bool


class Source(Protocol[R]):
    """Where rows are read from."""

    async def page(self, limit: int, after: R | None, *, backwards: bool) -> Rows[R]:
        """The next rows after one, or those before it, nearest first; from an end without one."""

    async def count_after(self, row: R, limit: int) -> int:
        """How many come after a row, counted up to a limit."""


class Column(msgspec.Struct, Generic[R], frozen=True):
    """One column. `cell` tells a row's text and its style."""

    title: str
    width: int
    """In cells; 0 takes what is left."""
    cell: Callable[[R, Palette], tuple[str, Style]]
    right: bool = False
    from_width: int = 0
    """It is left out where the list is narrower."""
