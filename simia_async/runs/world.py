"""The world of a run: its environment, and the words its simulator is asked with, in the record."""

import anyio.to_thread
from simia_store import EnvironmentRecord, PromptRecord, Reader, Store, StoreError

from simia_async.environments import Environment
from simia_async.errors import UsageError
from simia_async.simulation.prompts import SimulatorRole, prompt_record


async def record_world(store: Store, environment: Environment, *roles: SimulatorRole) -> None:
    """Write down what is not there yet. Words may change when a run goes on, all of them are kept.

    Raises `UsageError` if the run began with another policy or other tools: what was kept before
    would stand under rules and schemas that it was not made for.
    """
    before, prompts = await anyio.to_thread.run_sync(_known, store)
    now = environment.as_record()
    if before is None:
        await store.append(now)
    elif before != now:
        part = "policy" if before.policy != now.policy else "list of tools"
        raise UsageError(
            f"{store.path}: the {part} of environment {now.name!r} is not what it was when the run "
            "began; name another database with --run, or bring the old one back"
        )
    asked = {(prompt.role, prompt.sha256) for prompt in prompts}
    records = [prompt_record(role, environment.prompts) for role in roles]
    await store.append(*(each for each in records if (each.role, each.sha256) not in asked))


def _known(store: Store) -> tuple[EnvironmentRecord | None, list[PromptRecord]]:
    with Reader(store.path) as reader:
        prompts = reader.prompts()
        try:
            return reader.environment(), prompts
        except StoreError:
            return None, prompts
