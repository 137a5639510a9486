"""Keys and values of many conversations, a row each, in the shape of a transformers cache.

A forward pass is told which rows it writes and where in them its tokens begin. What lies in a row
behind its conversation's end is never seen before it is written.
"""

import torch
from transformers.cache_utils import Cache, DynamicLayer

_GROWTH = 128
"""Tokens by which rows grow."""

Rows = slice | torch.Tensor
"""The rows that a pass reads: neighbours, which are read in place, or any others, which are copied
together."""


class SlotCache(Cache):
    """One layer of keys and values for each of the model's. Grows as rows and tokens need."""

    def __init__(self, layers: int) -> None:
        self._rows_of = [_SlotLayer() for _ in range(layers)]  # type: ignore[no-untyped-call]
        super().__init__(layers=list(self._rows_of))

    def aim(
        self, slots_b: torch.Tensor, positions_bt: torch.Tensor, rows: Rows, places_b: torch.Tensor
    ) -> None:
        """Say where the next pass writes: at `positions_bt` of the rows `slots_b`. The pass itself
        has the rows `rows`, and those written are at `places_b` among them.
        """
        for layer in self._rows_of:
            layer.aim(slots_b, positions_bt, rows, places_b)

    def copy(self, source: int, target: int, length: int) -> None:
        """Give a row the first tokens of another."""
        for layer in self._rows_of:
            layer.copy(source, target, length)


class _SlotLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    keys: torch.Tensor
    values: torch.Tensor

    def aim(
        self, slots_b: torch.Tensor, positions_bt: torch.Tensor, rows: Rows, places_b: torch.Tensor
    ) -> None:
        self._slots_b1, self._positions_bt = slots_b[:, None], positions_bt
        self._rows, self._places_b = rows, places_b
        self._highest, self._seen = int(slots_b.max()), int(positions_bt.max()) + 1

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            heads, size = key_states.shape[1], key_states.shape[3]
            self.keys = key_states.new_zeros(0, heads, 0, size)
            self.values = value_states.new_zeros(0, heads, 0, value_states.shape[3])
        self._grow()
        # Indices around a slice put the heads last but one.
        where = self._slots_b1, slice(None), self._positions_bt
        self.keys[where] = key_states[self._places_b].transpose(1, 2)
        self.values[where] = value_states[self._places_b].transpose(1, 2)
        return self.keys[self._rows, :, : self._seen], self.values[self._rows, :, : self._seen]

    def copy(self, source: int, target: int, length: int) -> None:
        self._highest, self._seen = target, length
        self._grow()
        self.keys[target, :, :length] = self.keys[source, :, :length]
        self.values[target, :, :length] = self.values[source, :, :length]

    def _grow(self) -> None:
        rows, _, room, _ = self.keys.shape
        if self._highest < rows and self._seen <= room:
            return
        new_rows = rows if self._highest < rows else max(2 * rows, self._highest + 1)
        new_room = max(room, -(-self._seen // _GROWTH) * _GROWTH)
        # Both or none: there may be no memory for the second.
        self.keys, self.values = (
            _enlarged(self.keys, new_rows, new_room),
            _enlarged(self.values, new_rows, new_room),
        )


def _enlarged(old: torch.Tensor, rows: int, room: int) -> torch.Tensor:
    new = old.new_zeros(rows, old.shape[1], room, old.shape[3])
    new[: old.shape[0], :, : old.shape[2]] = old
    return new
