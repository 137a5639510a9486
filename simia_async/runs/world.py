"""The world of a run: its environment, and the words its simulator is asked with, in the record."""

from pathlib import Path

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
from simia_async.simulation.asking import words_for
from simia_async.simulation.prompts import SimulatorRole, prompt_record


async def record_world(store: Store, environment: Environment, *roles: SimulatorRole) -> None:
    """Write down what is not there yet. Words may change when a run goes on, all of them are kept.

    Raises `UsageError` as `check_same_world` does.
    """
    before, prompts = await anyio.to_thread.run_sync(_known, store.path)
    if before is None:
        await store.append(environment.as_record())
    else:
        _check_same(store.path, before, environment)
    asked = {(prompt.role, prompt.sha256) for prompt in prompts}
    records = [prompt_record(role, words_for(role, environment)) for role in roles]
    await store.append(*(each for each in records if (each.role, each.sha256) not in asked))


def check_same_world(path: Path, environment: Environment) -> None:
    """Raise `UsageError` if the run began with another policy, other tools or another state: what
    was kept before would stand under rules and schemas that it was not made for.
    """
    before, _ = _known(path)
    if before is not None:
        _check_same(path, before, environment)


def _check_same(path: Path, before: EnvironmentRecord, environment: Environment) -> None:
    now = environment.as_record()
    if not before.digest:
        # Earlier versions kept none.
        before = msgspec.structs.replace(before, digest=now.digest)
    if before != now:
        raise UsageError(
            f"{path}: the {_what_differs(before, now)} of environment {now.name!r} is not what it "
            "was when the run began; name another database with --run, or bring the old one back"
        )


async def record_scoring(store: Store, rubric: Rubric, judge: ChatClient) -> None:
    """Write down how the run judges its conversations.

    Raises `UsageError` if it judged them otherwise before: one scoring is one rubric.
    """
    told = msgspec.json.decode(msgspec.json.encode(rubric))
    before = await anyio.to_thread.run_sync(_first_scoring, store)
    if before is not None and before.rubric != told:
        raise UsageError(
            f"{store.path}: the rubric is not what it was when the run began; bring the old one "
            "back, and judge by the new one afterwards: simia judge"
        )
    model = "" if rubric.combine == "check" else judge.endpoint.model or ""
    await store.append(ScoringRecord(SCORING, told, model))


def _first_scoring(store: Store) -> ScoringRecord | None:
    with Reader(store.path) as reader:
        return next(iter(reader.scorings()), None)


def _known(path: Path) -> tuple[EnvironmentRecord | None, list[PromptRecord]]:
    with Reader(path) as reader:
        prompts = reader.prompts()
        try:
            return reader.environment(), prompts
        except StoreError:
            return None, prompts


def _what_differs(before: EnvironmentRecord, now: EnvironmentRecord) -> str:
    if before.policy != now.policy:
        return "policy"
    return "list of tools" if before.tools != now.tools else "state, or what its tools do to it,"
