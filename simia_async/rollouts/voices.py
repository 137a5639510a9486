"""The policy in one conversation: what it is shown, and what it says.

Two kinds. A policy under training is prompted with token ids (`TokenPolicy`): what is trained on is
exactly what was sampled. Any other is asked for chat completions (`ChatPolicy`).
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec
from simia_store import CallRecord, TurnRecord

from simia_async.environments import Environment
from simia_async.messages import Message


class Sampling(msgspec.Struct, frozen=True):
    """How a policy is sampled, and how much it may say."""

    max_turns: int
    """How often it may speak in a conversation."""
    temperature: float | None = None
    max_tokens: int | None = None
    """Limit of one turn."""
    context: int | None = None
    """Token limit of prompt and reply together."""


class Said(msgspec.Struct, frozen=True):
    """One turn of the policy."""

    message: Message
    problem: str | None = None
    """What is wrong with its tool calls; then it has none."""
    is_cut: bool = False
    """Whether it did not come to an end of its own."""
    prompt_ids: list[int] = []
    token_ids: list[int] = []
    logprobs: list[float] = []


NOT_ENDED = "the policy did not end its turn within the tokens it may use"


NOT_A_CALL = "malformed tool call: its arguments are not a JSON object"


class ContextFull(Exception):
    """The next turn would not fit; the text says why."""


class Voice(Protocol):
    """The policy in one conversation."""

    async def speak(self, history: Sequence[Message], turn: int, ledger: list[CallRecord]) -> Said:
        """What it says after `history`, which grows from call to call.

        Raises `ContextFull`, `EndpointError` or `RenderError`.
        """

    def remember(self, turns: Sequence[TurnRecord], tokens: int) -> None:
        """Take up a conversation that was cut off; `tokens` are those of prompt and reply at its
        last turn of the policy, as the endpoint counted them.
        """


class Policy(Protocol):
    """A policy, pinned to one version."""

    @property
    def version(self) -> int:
        """0: the base; n: the n-th adapter that was published. Foreign ones are 0."""

    @property
    def sampling(self) -> Sampling:
        """How it is sampled."""

    def voice(self, environment: Environment, trajectory_id: int, seed: int) -> Voice:
        """Its voice in one conversation; `seed` is of its sampling."""

    def problem_of(self, text: str) -> str | None:
        """What is wrong with the tool calls in a reply's text."""


def seed_of_turn(seed: int, turn: int) -> int:
    """Seed of one turn's sampling, below 2³¹."""
    return (seed * 1000 + turn) % 2**31


def last_spoken(turns: Sequence[TurnRecord]) -> int:
    """How many of the turns the policy has seen or said: up to its last one."""
    return max((n for n, turn in enumerate(turns, 1) if turn.role == "assistant"), default=0)
