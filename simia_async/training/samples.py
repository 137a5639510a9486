"""What the trainer learns from, read back from the store."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import torch
from simia_store import Reader, TrajectoryStatus

from simia_async.errors import UsageError
from simia_async.messages import Message
from simia_async.rendering.renderer import Renderer


class TrainingSample(msgspec.Struct, frozen=True):
    """One conversation as token ids; all lists have length T."""

    ids: list[int]
    loss_mask: list[int]
    """1 where the policy spoke."""
    logprobs: list[float]
    """Behaviour log-probabilities, 0 where the policy did not speak."""
    advantage: float


class SftSample(msgspec.Struct, frozen=True):
    """One kept trajectory as token ids and the mask of what the agent said, both of length T."""

    trajectory_id: int
    ids: list[int]
    loss_mask: list[int]

    @property
    def spoken(self) -> int:
        """Tokens that are predicted; the first of a conversation never is."""
        return sum(self.loss_mask[1:])


class Batch(msgspec.Struct, frozen=True):
    """Samples shifted, so that position t predicts `targets` t: padded on the right to the longest,
    or packed side by side in one row.
    """

    inputs_bt: torch.Tensor
    targets_bt: torch.Tensor
    mask_bt: torch.Tensor
    logprobs_bt: torch.Tensor
    advantages_b: torch.Tensor
    lengths: list[int] | None = None
    """Of the samples in a packed row; None in a padded batch."""
    positions_bt: torch.Tensor | None = None
    """In a packed row they begin anew with each sample."""


def read_sft_samples(data: Path, renderer: Renderer, limit: int) -> tuple[list[SftSample], int]:
    """Kept trajectories of a run as samples, and how many were longer than `limit` tokens.

    Raises `UsageError` if none is left.
    """
    samples, too_long = [], 0
    with Reader(data) as reader:
        environment = reader.environment()
        for trajectory in reader.trajectories(status=TrajectoryStatus.KEPT):
            told = [msgspec.convert(t.message, Message) for t in reader.turns(trajectory.id)]
            system = Message("system", environment.policy)
            sample = renderer.sample([system, *told], environment.tools)
            if len(sample.ids) > limit:
                too_long += 1
            else:
                samples.append(SftSample(trajectory.id, sample.ids, sample.loss_mask))
    if not samples:
        raise UsageError(
            f"{data}: no trajectory to train on ({too_long} are longer than the model's context "
            f"of {limit} tokens)"
            if too_long
            else f"{data}: kept no trajectory; there is nothing to train on"
        )
    return samples, too_long


def read_groups(data: Path, step: int) -> tuple[list[TrainingSample], dict[str, float]]:
    """Samples of one training step, and how many rollouts were left out and why.

    Advantages are rewards minus their group's mean. Rollouts without a reward are masked, groups
    whose rewards are all the same teach nothing, nor does a rollout in which the policy never got
    to speak: all are counted.
    """
    counts = {"rollouts": 0.0, "masked": 0.0, "zero_variance": 0.0, "unspoken": 0.0}
    samples = []
    with Reader(data) as reader:
        for group in reader.groups(step):
            members = list(reader.trajectories(group_id=group.id))
            counts["rollouts"] += len(members)
            rewards = [t.reward for t in members if t.reward is not None]
            counts["masked"] += len(members) - len(rewards)
            if len(set(rewards)) < 2:
                counts["zero_variance"] += len(rewards)
                continue
            mean = sum(rewards) / len(rewards)
            for trajectory in members:
                if trajectory.reward is not None:
                    sample = _read_rollout(reader, trajectory.id, trajectory.reward - mean)
                    if any(sample.loss_mask):
                        samples.append(sample)
                    else:
                        counts["unspoken"] += 1
    return samples, counts


def _read_rollout(reader: Reader, trajectory_id: int, advantage: float) -> TrainingSample:
    ids: list[int] = []
    mask: list[int] = []
    logprobs: list[float] = []
    for turn in reader.turns(trajectory_id):
        ids += turn.prompt_ids + turn.token_ids
        mask += [0] * len(turn.prompt_ids) + [1] * len(turn.token_ids)
        logprobs += [0.0] * len(turn.prompt_ids) + turn.logprobs
    return TrainingSample(ids, mask, logprobs, advantage)


def as_batch(samples: Sequence[TrainingSample]) -> Batch:
    """One padded batch. Padding has mask 0, so the value of its ids does not matter."""
    rows, longest = len(samples), max(len(sample.ids) for sample in samples)
    ids_bt = torch.zeros(rows, longest, dtype=torch.long)
    mask_bt = torch.zeros(rows, longest)
    logprobs_bt = torch.zeros(rows, longest)
    for row, sample in enumerate(samples):
        end = len(sample.ids)
        ids_bt[row, :end] = torch.tensor(sample.ids)
        mask_bt[row, :end] = torch.tensor(sample.loss_mask, dtype=torch.float)
        logprobs_bt[row, :end] = torch.tensor(sample.logprobs)
    return Batch(
        inputs_bt=ids_bt[:, :-1],
        targets_bt=ids_bt[:, 1:],
        mask_bt=mask_bt[:, 1:],
        logprobs_bt=logprobs_bt[:, 1:],
        advantages_b=torch.tensor([sample.advantage for sample in samples]),
    )


def as_packed_row(samples: Sequence[SftSample]) -> Batch:
    """All samples in one row. None predicts the first token of the next."""
    lengths = [len(sample.ids) - 1 for sample in samples]
    inputs = [token for sample in samples for token in sample.ids[:-1]]
    targets = [token for sample in samples for token in sample.ids[1:]]
    mask = [spoken for sample in samples for spoken in sample.loss_mask[1:]]
    positions = [position for length in lengths for position in range(length)]
    return Batch(
        inputs_bt=torch.tensor([inputs]),
        targets_bt=torch.tensor([targets]),
        mask_bt=torch.tensor([mask], dtype=torch.float),
        logprobs_bt=torch.zeros(1, len(inputs)),
        advantages_b=torch.zeros(len(samples)),
        lengths=lengths,
        positions_bt=torch.tensor([positions]),
    )


def pack_by_tokens(lengths: Sequence[int], tokens_per_batch: int) -> Iterator[list[int]]:
    """Indices in rows of at most `tokens_per_batch` tokens, first fit, the longest first.

    A longer sample has a row of its own.
    """
    rows: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
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
