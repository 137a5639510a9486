"""Whether a seed may be used as an example, by what its reviewer said and by the rules."""

from typing import Any

import msgspec

from simia_async.environments import Environment, Seed
from simia_async.messages import Message
from simia_async.simulation import Review
from simia_async.synthesis.rules import RuleSettings, apply_rules


class SeedVerdict(msgspec.Struct, frozen=True):
    """What the pre-filter decided."""

    cause: str | None
    """What keeps the seed out: `incomplete`, `illogical`, `malformed` or `unsound`; None: it is
    used."""
    reason: str | None
    detail: dict[str, Any]
    """What the reviewer said."""
    reconstructed: list[Message] | None = None
    """The conversation with what was missing filled in, if that is what is used."""


def prefilter(
    seed: Seed, review: Review, environment: Environment, settings: RuleSettings
) -> SeedVerdict:
    """Decide on a seed. What the rules would not keep is no example, whatever the reviewer says.

    What a reviewer filled in counts only where the file itself tells that something is missing, and
    only if all that it does tell is unchanged.
    """
    detail: dict[str, Any] = msgspec.structs.asdict(review)
    filled_in = detail.pop("messages")
    cause = _objection(seed, review)
    if seed.incomplete and filled_in and review.logical and review.well_formed:
        verdict = apply_rules(filled_in, environment, settings)
        if _told(filled_in) != _told(seed.messages):
            detail["reconstruction"] = "it changes what was told"
        elif verdict.rejected_by is None:
            return SeedVerdict(None, review.reason, detail, verdict.messages)
        else:
            detail["reconstruction"] = f"{verdict.rejected_by}: {verdict.reason}"
    if cause is not None:
        return SeedVerdict(cause, review.reason or seed.incomplete, detail)
    verdict = apply_rules(seed.messages, environment, settings)
    if verdict.rejected_by is not None:
        return SeedVerdict("unsound", f"{verdict.rejected_by}: {verdict.reason}", detail)
    return SeedVerdict(None, review.reason, detail)


def _told(messages: list[Message]) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in messages if message.content]


def _objection(seed: Seed, review: Review) -> str | None:
    if seed.incomplete is not None or not review.complete:
        return "incomplete"
    if not review.logical:
        return "illogical"
    return None if review.well_formed else "malformed"
