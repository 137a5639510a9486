"""What the trainer learns from, read back from the store."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
import torch
from simia_store import Reader, TrajectoryStatus

from simia_async.errors import RenderError, UsageError
from simia_async.messages import Message, messages_for_policy
from simia_async.rendering.renderer import Renderer


class Sample(Protocol):
    """One conversation as token ids."""

    @property
    def ids(self) -> list[int]:
        """Length T."""

    @property
    def loss_mask(self) -> list[int]:
        """1 where the policy spoke; length T."""


class SftSample(msgspec.Struct, frozen=True, omit_defaults=True):
    """One kept trajectory as token ids and the mask of what the agent said, both of length T. If
    the model's template rewrites earlier turns it is one of several, each with other turns in its
    mask.
    """

    trajectory_id: int
    ids: list[int]
    loss_mask: list[int]
    source: int = 0
    """Which of the runs that are learnt from holds it."""

    @property
    def spoken(self) -> int:
        """Tokens that are predicted; the first of a conversation never is."""
        return sum(self.loss_mask[1:])


SILENT = SftSample(0, ids=[0, 0], loss_mask=[0, 0])
"""Teaches nothing."""


class Batch(msgspec.Struct, frozen=True):
    """Samples shifted, so that position t predicts `targets` t: padded on the right to the longest,
    or packed side by side in one row.
    """

    inputs_bt: torch.Tensor
    targets_bt: torch.Tensor
    mask_bt: torch.Tensor
    lengths: list[int] | None = None
    """Of the samples in a packed row; None in a padded batch."""
    positions_bt: torch.Tensor | None = None
    """In a packed row they begin anew with each sample."""
    shared: int = 0
    """Inputs at the beginning of the row that are the beginning of the other samples too."""

    def on(self, device: torch.device) -> "Batch":
        """The same on a device."""
        tensors = {n: v for n, v in msgspec.structs.asdict(self).items() if torch.is_tensor(v)}
        return msgspec.structs.replace(self, **{n: v.to(device) for n, v in tensors.items()})


class SftData(msgspec.Struct, frozen=True):
    """Kept trajectories of runs as samples, and how many gave none."""

    samples: list[SftSample]
    too_long: int
    """Longer than the model's context."""
    unspoken: int
    """Without a word of the agent."""


def read_sft_samples(data: Sequence[Path], renderer: Renderer, limit: int) -> SftData:
    """Kept trajectories of one or more runs, each of an environment of its own, as samples of at
    most `limit` tokens.

    Raises `UsageError` if none of a run is left, if one is no conversation, or if the model's
    template cannot render it.
    """
    read = [_read_run(path, source, renderer, limit) for source, path in enumerate(data)]
    return SftData(
        [sample for each in read for sample in each.samples],
        sum(each.too_long for each in read),
        sum(each.unspoken for each in read),
    )


def _read_run(data: Path, source: int, renderer: Renderer, limit: int) -> SftData:
    samples, too_long, unspoken = [], 0, 0
    with Reader(data) as reader:
        environment = reader.environment()
        for trajectory in reader.trajectories(status=TrajectoryStatus.KEPT):
            system = Message("system", environment.policy)
            try:
                told = messages_for_policy(reader.turns(trajectory.id))
                rendered = renderer.samples([system, *told], environment.tools)
            except (msgspec.ValidationError, RenderError) as error:
                raise UsageError(f"{data}: trajectory {trajectory.id}: {error}") from error
            pieces = [
                SftSample(trajectory.id, each.ids, each.loss_mask, source) for each in rendered
            ]
            if max(len(piece.ids) for piece in pieces) > limit:
                too_long += 1
            elif not any(piece.spoken for piece in pieces):
                unspoken += 1
            else:
                samples += pieces
    if not samples:
        raise UsageError(f"{data}: {_why_nothing(too_long, unspoken, limit)}")
    return SftData(samples, too_long, unspoken)


def _why_nothing(too_long: int, unspoken: int, limit: int) -> str:
    if too_long:
        return (
            f"no trajectory to train on ({too_long} are longer than the model's context of "
            f"{limit} tokens)"
        )
    if unspoken:
        return f"no trajectory to train on (in {unspoken} the agent says nothing)"
    return "kept no trajectory; there is nothing to train on"


def as_batch(samples: Sequence[Sample]) -> Batch:
    """One padded batch. Padding has mask 0, so the value of its ids does not matter."""
    rows, longest = len(samples), max(len(sample.ids) for sample in samples)
    ids_bt = torch.zeros(rows, longest, dtype=torch.long)
    mask_bt = torch.zeros(rows, longest)
    for row, sample in enumerate(samples):
        end = len(sample.ids)
        ids_bt[row, :end] = torch.tensor(sample.ids)
        mask_bt[row, :end] = torch.tensor(sample.loss_mask, dtype=torch.float)
    return Batch(
        inputs_bt=ids_bt[:, :-1],
        targets_bt=ids_bt[:, 1:],
        mask_bt=mask_bt[:, 1:],
    )


def as_packed_row(samples: Sequence[Sample]) -> Batch:
    """All samples in one row. None predicts the first token of the next.

    The beginning that all of them share stands there once, in the first of them.
    """
    shared = _shared_start(samples)
    starts = [0] + [shared] * (len(samples) - 1)
    pieces = list(zip(samples, starts, strict=True))
    inputs = [token for sample, start in pieces for token in sample.ids[start:-1]]
    targets = [token for sample, start in pieces for token in sample.ids[start + 1 :]]
    mask = [spoken for sample, start in pieces for spoken in sample.loss_mask[start + 1 :]]
    positions = [at for sample, start in pieces for at in range(start, len(sample.ids) - 1)]
    return Batch(
        inputs_bt=torch.tensor([inputs]),
        targets_bt=torch.tensor([targets]),
        mask_bt=torch.tensor([mask], dtype=torch.float),
        lengths=[len(sample.ids) - 1 - start for sample, start in pieces],
        positions_bt=torch.tensor([positions]),
        shared=shared,
    )


def _shared_start(samples: Sequence[Sample]) -> int:
    """How many inputs all samples begin with, each of which predicts the same, and none a token
    that is learnt.
    """
    if len(samples) == 1:
        return 0
    shared = 0
    for tokens, spoken in zip(
        zip(*(sample.ids for sample in samples), strict=False),
        zip(*(sample.loss_mask for sample in samples), strict=False),
        strict=True,
    ):
        if len(set(tokens)) > 1 or any(spoken):
            break
        shared += 1
    return max(shared - 1, 0)


def split_in_batches(
    lengths: Sequence[int], tokens_per_batch: int, *, packing: bool
) -> Iterator[list[int]]:
    """Indices in batches: rows to pack, first fit in their order, or those of similar length."""
    if packing:
        return pack_by_tokens(lengths, tokens_per_batch, range(len(lengths)))
    return split_by_tokens(lengths, tokens_per_batch)


def pack_by_tokens(
    lengths: Sequence[int], tokens_per_batch: int, order: Sequence[int]
) -> Iterator[list[int]]:
    """Indices in rows of at most `tokens_per_batch` tokens, first fit in this order.

    A longer sample has a row of its own.
    """
    rows: list[list[int]] = []
    room: list[int] = []
    for index in order:
        fitting = (row for row, left in enumerate(room) if left >= lengths[index])
        row = next(fitting, len(rows))
        if row == len(rows):
            rows.append([])
            room.append(tokens_per_batch)
        rows[row].append(index)
        room[row] -= lengths[index]
    yield from rows


def split_by_tokens(lengths: Sequence[int], tokens_per_batch: int) -> Iterator[list[int]]:
    """Indices in batches of similar length, each of at most `tokens_per_batch` padded tokens."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[index] > tokens_per_batch:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
