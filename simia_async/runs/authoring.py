"""Writing trajectories: what the author makes of a seed, and what the rules say to it."""

import anyio
import anyio.to_thread
from simia_store import CallRecord

from simia_async.clients import ChatClient
from simia_async.config import GenerateConfig
from simia_async.environments import Environment
from simia_async.runs.harvest import Finished, tell
from simia_async.simulation import Draft, Simulator
from simia_async.synthesis.plans import Plan
from simia_async.synthesis.rules import RuleSettings, apply_rules


class Author:
    """Writes what is planned, one conversation a call."""

    def __init__(
        self, config: GenerateConfig, environment: Environment, client: ChatClient
    ) -> None:
        self._config = config
        self._environment = environment
        self._simulator = Simulator(client, environment)
        self._settings = rule_settings(config)
        # One thread at a time: more would only take the interpreter from the event loop.
        self._judging = anyio.CapacityLimiter(1)

    async def write(self, plan: Plan, ledger: list[CallRecord]) -> Finished:
        """One conversation. Raises `EndpointError`."""
        request_seed = self._config.seed + plan.index
        draft = await self._simulator.author(
            plan.seed, plan.wishes, request_seed, ledger, plan.index
        )
        return await anyio.to_thread.run_sync(self._judge, draft, limiter=self._judging)

    def _judge(self, draft: Draft) -> Finished:
        """Rules and comparison: too much work for the event loop."""
        verdict = apply_rules(draft.messages, self._environment, self._settings)
        if verdict.rejected_by is not None:
            return Finished(verdict, slips=draft.slips)
        return Finished(verdict, tell(verdict.messages, self._config.similarity), draft.slips)


def rule_settings(config: GenerateConfig) -> RuleSettings:
    """What the rules go by."""
    return RuleSettings(config.think, config.max_characters)
