"""A policy under training: prompted with token ids, and sampled ids are kept.

The first prompt is rendered once; afterwards only the ids of new messages are appended.
"""

from collections.abc import Sequence

import anyio.to_thread
import msgspec
from simia_store import CallRecord, TurnRecord

from simia_async.clients import ChatClient
from simia_async.environments import Environment
from simia_async.messages import Message
from simia_async.models import policy_name
from simia_async.rendering.call_styles import HERMES, CallStyle
from simia_async.rendering.renderer import Renderer
from simia_async.rollouts.voices import ContextFull, Said, Sampling, last_spoken, seed_of_turn


class TokenPolicy(msgspec.Struct, frozen=True):
    """Pinned to one version. `context` and `max_tokens` of its sampling are set."""

    client: ChatClient
    renderer: Renderer
    sampling: Sampling
    version: int = 0
    name: str = ""
    """Name of the model at its endpoint, where that is not the version's."""
    style: CallStyle = HERMES

    @property
    def model(self) -> str:
        """Name under which the endpoint knows this version."""
        return self.name or policy_name(self.version)

    def voice(self, environment: Environment, trajectory_id: int, seed: int) -> "TokenVoice":
        """Its voice in one conversation."""
        return TokenVoice(self, environment, trajectory_id, seed)

    def problem_of(self, text: str) -> str | None:
        """What is wrong with the tool calls in a reply's text."""
        return self.style.parse(text, "").problem


class TokenVoice:
    """One conversation, as token ids."""

    def __init__(
        self, policy: TokenPolicy, environment: Environment, trajectory_id: int, seed: int
    ) -> None:
        self._policy = policy
        self._environment = environment
        self._trajectory_id = trajectory_id
        self._seed = seed
        self._seen = 0
        """How many messages it was shown or has said."""
        self._ids: list[int] = []
        """Token ids of those."""

    def remember(self, turns: Sequence[TurnRecord], tokens: int) -> None:  # noqa: ARG002 (counted)
        """Take up the ids as they were."""
        self._seen = last_spoken(turns)
        for turn in turns[: self._seen]:
            self._ids += turn.prompt_ids + turn.token_ids

    async def speak(self, history: Sequence[Message], turn: int, ledger: list[CallRecord]) -> Said:
        """One completion of all ids so far. Raises as `Voice.speak` does."""
        sampling = self._policy.sampling
        prompt_ids = await anyio.to_thread.run_sync(self._next_ids, list(history))
        ids = self._ids + prompt_ids
        room = sampling.context - len(ids) if sampling.context else sampling.max_tokens
        if room is not None and room < 1:
            raise ContextFull(f"{sampling.context} tokens are not enough")
        limits = [limit for limit in (room, sampling.max_tokens) if limit is not None]
        completion = await self._policy.client.complete(
            ids,
            model=self._policy.model,
            ledger=ledger,
            trajectory_id=self._trajectory_id,
            max_tokens=min(limits, default=None),
            temperature=sampling.temperature,
            seed=seed_of_turn(self._seed, turn),
        )
        text = self._policy.renderer.decode(completion.token_ids)
        reply = self._policy.style.parse(text, f"call_{turn}")
        self._ids = ids + completion.token_ids
        self._seen = len(history) + 1
        return Said(
            Message("assistant", reply.content, tool_calls=reply.calls or None),
            problem=reply.problem,
            is_cut=completion.finish_reason == "length",
            prompt_ids=prompt_ids,
            token_ids=completion.token_ids,
            logprobs=completion.logprobs,
        )

    def _next_ids(self, history: list[Message]) -> list[int]:
        """Ids that the policy has not seen yet."""
        renderer = self._policy.renderer
        if not self._ids:
            opening = [Message("system", self._environment.policy), *history]
            return renderer.prompt_ids(opening, self._environment.tools)
        return renderer.continuation_ids(history[: self._seen], history[self._seen :])
