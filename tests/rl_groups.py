"""Groups of short rollouts that the tiny base really sampled, stored as an RL run stores them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from simia_store import GroupRecord, TrajectoryRecord, TrajectoryStatus, TurnRecord, open_store

from tests.trained_adapters import plain_model

Reward = Callable[[int, list[int]], float | None]
"""Of a rollout, by its number and what the policy said."""

_PROMPT, _SAID, _TURNS = 9, 5, 2


def by_number(number: int, _: list[int]) -> float:
    """Zero, a half, one, zero, …"""
    return number % 3 / 2


async def store_steps(
    path: Path,
    *,
    steps: int = 1,
    groups: int = 2,
    size: int = 4,
    reward: Reward = by_number,
    temperature: float = 1.0,
    adapter: Path | None = None,
    version: Callable[[int], int] = lambda step: step - 1,
) -> Path:
    """`version` says which policy a step's groups are pinned to. They are all played by the base,
    or by `adapter`.
    """
    generator = torch.Generator().manual_seed(0)
    model = plain_model(adapter)
    async with open_store(path) as store:
        for number in range(1, steps * groups + 1):
            step = (number - 1) // groups + 1
            told = _play(model, size, temperature, generator)
            rewards = [
                reward(at, [token for turn in turns for token in turn["token_ids"]])
                for at, turns in enumerate(told)
            ]
            await store.append(GroupRecord(number, "t", step, version(step), size, rewards))
            for at, turns in enumerate(told):
                await _store_rollout(
                    store, (number - 1) * size + at + 1, number, rewards[at], turns
                )
    return path


async def _store_rollout(
    store: Any, trajectory: int, group: int, reward: float | None, turns: list[dict[str, Any]]
) -> None:
    status = TrajectoryStatus.UNSCORED if reward is None else TrajectoryStatus.SCORED
    await store.append(
        TrajectoryRecord(trajectory, "e", "t", status, group_id=group, reward=reward),
        *(TurnRecord(trajectory, at, "assistant", {}, **turn) for at, turn in enumerate(turns)),
    )


def _play(
    model: Any, size: int, temperature: float, generator: torch.Generator
) -> list[list[dict[str, Any]]]:
    """Turns of the rollouts of a group."""
    ids = torch.zeros(size, 0, dtype=torch.long)
    told: list[list[dict[str, Any]]] = [[] for _ in range(size)]
    for _ in range(_TURNS):
        prompt = torch.randint(10, 1000, (_PROMPT,), generator=generator).expand(size, _PROMPT)
        ids = torch.cat([ids, prompt], dim=1)
        said, logprobs = [], []
        for _ in range(_SAID):
            with torch.no_grad():
                logits = model(ids).logits[:, -1] / temperature
            drawn = torch.multinomial(logits.softmax(-1), 1, generator=generator)
            logprobs.append(torch.log_softmax(logits, -1).gather(1, drawn))
            said.append(drawn)
            ids = torch.cat([ids, drawn], dim=1)
        for at, turns in enumerate(told):
            turns.append(
                {
                    "prompt_ids": prompt[at].tolist(),
                    "token_ids": torch.cat(said, 1)[at].tolist(),
                    "logprobs": torch.cat(logprobs, 1)[at].tolist(),
                }
            )
    return told
