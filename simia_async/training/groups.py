"""Groups of rollouts that GRPO learns from, read back from the store."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from simia_store import GroupRecord, Reader, TrajectoryRecord

from simia_async.errors import UsageError
from simia_async.training.advantages import group_advantages, overlong_penalty


class Rollout(msgspec.Struct, frozen=True):
    """One conversation as token ids; `ids` and `loss_mask` have length T."""

    trajectory_id: int
    ids: list[int]
    loss_mask: list[int]
    """1 where the policy spoke."""
    sampled: list[int]
    """The N ids that it sampled, as they are stored."""
    logprobs: list[float]
    """Behaviour log-probabilities of those, natural log."""
    advantage: float
    staleness: int
    """How many versions the policy that played it is behind the one that learns."""


class Rules(msgspec.Struct, frozen=True):
    """What decides whether a rollout is learnt from, and what it is worth."""

    version: int
    """The policy that learns."""
    max_staleness: int
    limit: int
    """Tokens of a conversation, at most."""
    vocabulary: int
    """Token ids are below it."""
    leave_one_out: bool
    by_std: bool
    overlong_buffer: int = 0


class StepData(msgspec.Struct, frozen=True):
    """The rollouts of a step that are learnt from, in the order of their ids.

    `counts` says how many there were (`rollouts`) and why the others were left out, each for the
    first of these reasons: its policy is too old (`stale`), it has no reward (`masked`), it did as
    well as all of its group (`zero_variance`), it is too long (`overflow`), or the policy did not
    get to speak (`unspoken`). `overlong` counts those whose reward was lowered for their length.
    """

    rollouts: list[Rollout]
    counts: dict[str, float]


_COUNTED = ("rollouts", "stale", "masked", "zero_variance", "overflow", "unspoken", "overlong")


def read_groups(data: Path, step: int, rules: Rules) -> StepData:
    """The groups of one training step.

    What is left out of the training for being long or without a word still counts in its group's
    mean. Raises `UsageError` if a stored conversation is not one that was sampled.
    """
    counts = dict.fromkeys(_COUNTED, 0.0)
    rollouts: list[Rollout] = []
    with Reader(data) as reader:
        for group in reader.groups(step):
            members = list(reader.trajectories(group_id=group.id))
            counts["rollouts"] += len(members)
            if rules.version - group.policy_version > rules.max_staleness:
                counts["stale"] += len(members)
                continue
            scored = [each for each in members if each.reward is not None]
            counts["masked"] += len(members) - len(scored)
            told = [_read_rollout(reader, each, group, rules) for each in scored]
            rollouts += _worth_learning(
                told, _shaped_rewards(scored, told, rules, counts), rules, counts
            )
    return StepData(rollouts, counts)


def _shaped_rewards(
    scored: Sequence[TrajectoryRecord],
    told: Sequence[Rollout],
    rules: Rules,
    counts: dict[str, float],
) -> list[float]:
    rewards = []
    for record, rollout in zip(scored, told, strict=True):
        assert record.reward is not None
        penalty = overlong_penalty(len(rollout.ids), rules.limit, rules.overlong_buffer)
        counts["overlong"] += penalty < 0
        rewards.append(record.reward + penalty)
    return rewards


def _worth_learning(
    told: Sequence[Rollout], rewards: Sequence[float], rules: Rules, counts: dict[str, float]
) -> list[Rollout]:
    """The rollouts of a group, with their advantages, but for those that are left out."""
    advantages = group_advantages(rewards, leave_one_out=rules.leave_one_out, by_std=rules.by_std)
    if advantages is None:
        counts["zero_variance"] += len(told)
        return []
    kept = []
    for rollout, advantage in zip(told, advantages, strict=True):
        if len(rollout.ids) > rules.limit:
            counts["overflow"] += 1
        elif not rollout.sampled:
            counts["unspoken"] += 1
        else:
            kept.append(msgspec.structs.replace(rollout, advantage=advantage))
    return kept


def _read_rollout(
    reader: Reader, record: TrajectoryRecord, group: GroupRecord, rules: Rules
) -> Rollout:
    """Without its advantage, which its group decides."""
    ids: list[int] = []
    mask: list[int] = []
    sampled: list[int] = []
    logprobs: list[float] = []
    for turn in reader.turns(record.id):
        where = f"{reader.path}: trajectory {record.id}, turn {turn.position}"
        if len(turn.logprobs) != len(turn.token_ids):
            raise UsageError(
                f"{where}: found {len(turn.logprobs)} log-probabilities for {len(turn.token_ids)} "
                "sampled tokens; expected one each"
            )
        if turn.token_ids and not ids and not turn.prompt_ids:
            raise UsageError(f"{where}: begins with sampled tokens; expected a prompt before them")
        ids += turn.prompt_ids + turn.token_ids
        mask += [0] * len(turn.prompt_ids) + [1] * len(turn.token_ids)
        sampled += turn.token_ids
        logprobs += turn.logprobs
        if strange := [
            i for i in turn.prompt_ids + turn.token_ids if not 0 <= i < rules.vocabulary
        ]:
            raise UsageError(
                f"{where}: found token {strange[0]}; the model's vocabulary ends at "
                f"{rules.vocabulary - 1}, so it is not the model that was played with"
            )
    staleness = rules.version - group.policy_version
    return Rollout(record.id, ids, mask, sampled, logprobs, 0.0, staleness)
