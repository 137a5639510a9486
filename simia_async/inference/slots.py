"""Which conversation lies in which row of the cache, and how much of a prompt is there already."""

import numpy as np

from simia_async.inference.slot_cache import SlotCache


class Slots:
    """Rows of a cache. A row stays as its conversation left it until another needs the room: the
    one that was idle the longest goes first.
    """

    def __init__(self, count: int, context: int, cache: SlotCache) -> None:
        self.cache = cache
        self._owners: list[str | None] = [None] * count
        self._busy = [False] * count
        self._used = [0] * count
        self._clock = 0
        self._ids = np.zeros((count, context), dtype=np.int32)
        self._lengths = np.zeros(count, dtype=np.int64)

    @property
    def are_busy(self) -> bool:
        """Whether there is no row left to take."""
        return all(self._busy)

    def take(self, model: str, prompt_ids: list[int]) -> tuple[int, int]:
        """A row for a prompt, and how many of its tokens are in it. There is one that is not busy.

        At least one token is left to be computed.
        """
        best, shared = self._longest_prefix(model, prompt_ids)
        whole = shared > 0 and shared == self._lengths[best]
        slot = best if whole and not self._busy[best] else self._oldest_idle()
        if slot != best and shared:
            self.cache.copy(best, slot, shared)
        self._owners[slot], self._busy[slot] = model, True
        self._ids[slot, : len(prompt_ids)] = prompt_ids
        self._lengths[slot] = shared
        return slot, shared

    def wrote(self, slot: int, length: int) -> None:
        """Keys and values of the row's first `length` tokens are there now."""
        self._lengths[slot] = length

    def said(self, slot: int, position: int, token: int) -> None:
        """The row's token at `position` is this."""
        self._ids[slot, position] = token

    def release(self, slot: int) -> None:
        """The row is idle; what is in it may serve the conversation's next turn."""
        self._clock += 1
        self._busy[slot], self._used[slot] = False, self._clock

    def forget(self, model: str) -> None:
        """Nothing of this model is kept."""
        for slot, owner in enumerate(self._owners):
            if owner == model:
                self._owners[slot], self._lengths[slot], self._used[slot] = None, 0, 0

    def _longest_prefix(self, model: str, prompt_ids: list[int]) -> tuple[int, int]:
        rows = [slot for slot, owner in enumerate(self._owners) if owner == model]
        if not rows:
            return 0, 0
        length = len(prompt_ids) - 1
        wanted = np.array(prompt_ids[:length], dtype=np.int32)
        same = self._ids[rows, :length] == wanted
        same &= np.arange(length) < self._lengths[rows, None]
        shared = np.where(same.all(axis=1), length, same.argmin(axis=1)) if length else [0]
        best = int(np.argmax(shared))
        return rows[best], int(shared[best])

    def _oldest_idle(self) -> int:
        idle = [slot for slot, busy in enumerate(self._busy) if not busy]
        return min(idle, key=lambda slot: (self._used[slot], slot))
