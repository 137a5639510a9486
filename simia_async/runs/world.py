"""The world of a run: its environment, and the words its simulator is asked with, in the record."""

import anyio.to_thread
import msgspec
from simia_store import (
    EnvironmentRecord,
    PromptRecord,
    Reader,
    ScoringRecord,
    Store,
    StoreError,
)

from simia_async.clients import ChatClient
from simia_async.environments import Environment
from simia_async.errors import UsageError
from simia_async.judging import Rubric
from simia_async.rollouts.conversation import SCORING
from simia_async.simulation.prompts import SimulatorRole, prompt_record


async def record_world(store: Store, environment: Environment, *roles: SimulatorRole) -> None:
    """Write down what is not there yet. Words may change when a run goes on, all of them are kept.

    Raises `UsageError` if the run began with another policy or other tools: what was kept before
    would stand under rules and schemas that it was not made for.
    """
    before, prompts = await anyio.to_thread.run_sync(_known, store)
    now = environment.as_record()
    if before is not None and not before.digest:
        # Earlier versions kept none.
        before = msgspec.structs.replace(before, digest=now.digest)
    if before is None:
        await store.append(now)
    elif before != now:
        part = _what_differs(before, now)
        raise UsageError(
            f"{store.path}: the {part} of environment {now.name!r} is not what it was when the run "
            "began; name another database with --run, or bring the old one back"
        )
    asked = {(prompt.role, prompt.sha256) for prompt in prompts}
    records = [prompt_record(role, environment.prompts) for role in roles]
    await store.append(*(each for each in records if (each.role, each.sha256) not in asked))


async def record_scoring(store: Store, rubric: Rubric, judge: ChatClient) -> None:
    """Write down how the run judges its conversations."""
    model = "" if rubric.combine == "check" else judge.endpoint.model or ""
    await store.append(ScoringRecord(SCORING, msgspec.to_builtins(rubric), model))


def _known(store: Store) -> tuple[EnvironmentRecord | None, list[PromptRecord]]:
    with Reader(store.path) as reader:
        prompts = reader.prompts()
        try:
            return reader.environment(), prompts
        except StoreError:
            return None, prompts


def _what_differs(before: EnvironmentRecord, now: EnvironmentRecord) -> str:
    if before.policy != now.policy:
        return "policy"
    return "list of tools" if before.tools != now.tools else "state, or what its tools do to it,"
