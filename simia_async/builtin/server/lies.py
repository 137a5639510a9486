"""What is untrue in the answers of a scripted simulator, and how often: a known share of them, so
that meters can be tested against it, and training too.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import msgspec

from simia_async.builtin.answers import Answer
from simia_async.builtin.server.draws import Chance
from simia_async.errors import ConfigError
from simia_async.messages import Message
from simia_async.simulation.code_answers import arguments_of
from simia_async.simulation.replies import Judgement, ToolReply

_UNTRUE_ERROR = {"error": "not possible at the moment"}


class Lies(msgspec.Struct, frozen=True, kw_only=True):
    """The shares of answers that are untrue. Raises `ConfigError` unless they are from 0 to 1."""

    wrong_observations: float = 0.0
    """Of what tools return: every value that the call did not name is another one; what was done is
    said to have failed, and is not done; what failed is said to be done."""
    flipped_judgements: float = 0.0
    """Of judgements: the reward r is 1 - r, and what is met is not."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise ConfigError(f"{name}: found {share:g}; it must be a share from 0 to 1")

    @property
    def are_told(self) -> bool:
        """Whether anything is ever untrue."""
        return self.wrong_observations > 0 or self.flipped_judgements > 0

    def told(self, answer: Answer, sections: dict[str, Any], chance: Chance) -> Answer:
        """The answer to a prompt of these sections, or an untrue one."""
        if isinstance(answer, ToolReply) and chance("observation") < self.wrong_observations:
            return _untrue_reply(answer, sections, chance)
        if isinstance(answer, Judgement) and chance("judgement") < self.flipped_judgements:
            return _flipped(answer)
        return answer


def _flipped(judgement: Judgement) -> Judgement:
    return Judgement(
        1 - judgement.reward,
        judgement.reasoning,
        {name: 1 - share for name, share in judgement.criteria.items()},
    )


def _untrue_reply(reply: ToolReply, sections: dict[str, Any], chance: Chance) -> ToolReply:
    if reply.is_error:
        return ToolReply({"ok": True})
    if reply.ops:
        return ToolReply(_UNTRUE_ERROR, is_error=True)
    history = msgspec.convert(sections["history"], list[Message])
    named = {
        value
        for call in history[-1].tool_calls or ()
        for value in (arguments_of(call) or {}).values()
        if isinstance(value, str | int)
    }
    others: dict[str, list[Any]] = {}
    for key, value in _leaves(sections.get("state")):
        others.setdefault(key, []).append(value)
    return ToolReply(_altered(reply.observation, "", named, others, chance))


def _altered(
    value: Any, key: str, named: Collection[Any], others: dict[str, list[Any]], chance: Chance
) -> Any:
    match value:
        case dict():
            return {
                name: _altered(each, name, named, others, chance) for name, each in value.items()
            }
        case list():
            return [_altered(each, key, named, others, chance) for each in value]
        case bool():
            return not value
        case None:
            return None
    if value in named:
        return value
    candidates = sorted({str(each): each for each in others.get(key, ()) if each != value}.items())
    if candidates:
        return candidates[int(chance(f"instead of {key}: {value}") * len(candidates))][1]
    if isinstance(value, str):
        return _with_other_digits(value) or f"not {value}"
    return value + 1


def _with_other_digits(text: str) -> str | None:
    """The text with each digit the next one; None if it has none."""
    changed = re.sub(r"\d", lambda digit: str((int(digit[0]) + 1) % 10), text)
    return None if changed == text else changed


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Texts and numbers, with the key under which each stands."""
    match value:
        case dict():
            parts: Iterable[tuple[str, Any]] = value.items()
        case list():
            parts = ((key, each) for each in value)
        case _:
            if isinstance(value, str | int | float) and not isinstance(value, bool):
                yield key, value
            return
    for name, each in parts:
        yield from _leaves(each, name)
