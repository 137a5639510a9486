"""A request under way."""

import random
from concurrent.futures import Future

import msgspec

from simia_async.inference.requests import Drawn, Sampled, SampleRequest


class Turn(msgspec.Struct, eq=False):
    """What a request has come to so far, and the row of the cache it has."""

    request: SampleRequest
    future: "Future[Sampled]"
    random: random.Random
    slot: int
    cached: int
    """How many tokens of the prompt were in the row already."""
    drawn: list[Drawn] = []

    @property
    def model(self) -> str:
        """Which version it asks."""
        return self.request.model

    @property
    def end(self) -> int:
        """Length of the conversation so far."""
        return len(self.request.prompt_ids) + len(self.drawn)

    @property
    def next_ids(self) -> list[int]:
        """Tokens whose keys and values are still to be computed."""
        return [self.drawn[-1].token] if self.drawn else self.request.prompt_ids[self.cached :]

    def say(self, drawn: Drawn) -> str | None:
        """Take one token more. Gives why the turn ends with it, if it does."""
        self.drawn.append(drawn)
        watched = self.request.watch is not None and self.request.watch(drawn)
        if drawn.ends or watched:
            return "stop"
        return "length" if len(self.drawn) >= self.request.max_tokens else None

    def answer(self, result: Sampled | Exception) -> None:
        """Tell who waits for it, if anybody still does."""
        if not self.future.set_running_or_notify_cancel():
            return
        if isinstance(result, Sampled):
            self.future.set_result(result)
        else:
            self.future.set_exception(result)


def in_widths(turns: list[Turn]) -> list[list[Turn]]:
    """New turns in batches of one model and about one number of new tokens, so that little is
    padded.
    """
    rest = sorted(turns, key=lambda turn: (turn.model, len(turn.next_ids)))
    batches = []
    while rest:
        widest = 2 * len(rest[0].next_ids) + 8
        batch = [t for t in rest if t.model == rest[0].model and len(t.next_ids) <= widest]
        batches.append(batch)
        rest = rest[len(batch) :]
    return batches
