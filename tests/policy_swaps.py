"""Conversations over HTTP while versions of the policy come and go."""

from pathlib import Path

import anyio
import msgspec
import torch

from simia_async.clients import ChatClient
from simia_async.models import policy_name
from tests.trained_adapters import RENDERER, opening, plain_logprobs, plain_model

TURNS, MAX_TOKENS, TEMPERATURE = 4, 20, 0.9
OBSERVATION = RENDERER.encode(
    "\n<|im_start|>user\n<tool_response>\n{'status': 'pending'}\n</tool_response><|im_end|>\n"
    "<|im_start|>assistant\n"
)


class Played(msgspec.Struct):
    """One conversation, pinned to a version."""

    version: int
    ids: list[int]
    turns: list[tuple[int, list[int], list[float]]] = []
    """Where each turn begins, its tokens and their log-probabilities."""


async def play(client: ChatClient, number: int, version: int) -> Played:
    """A conversation to its end."""
    played = Played(version, opening(number))
    for turn in range(TURNS):
        said = await client.complete(
            played.ids,
            model=policy_name(version),
            ledger=[],
            max_tokens=MAX_TOKENS,
            temperature=TEMPERATURE,
            seed=1000 * number + turn,
        )
        played.turns.append((len(played.ids), said.token_ids, said.logprobs))
        played.ids = played.ids + said.token_ids + OBSERVATION
    return played


async def play_in_waves(
    client: ChatClient, conversations: int, adapters: list[Path]
) -> list[Played]:
    """Each wave plays the version that was loaded for it, and a wave begins while the one before is
    in its midst. A version is unloaded when its wave is done, while others are under way. Version n
    is adapter n - 1.
    """
    done: list[Played] = []
    versions = len(adapters)
    size = conversations // versions

    async def load(version: int) -> None:
        body = {"lora_name": policy_name(version), "lora_path": str(adapters[version - 1])}
        await client.request("/load_lora_adapter", body)

    async def unload(version: int) -> None:
        await client.request("/unload_lora_adapter", {"lora_name": policy_name(version)})

    async def wave(version: int) -> None:
        played: list[Played] = []

        async def one(number: int) -> None:
            played.append(await play(client, number, version))
            if len(played) == size // 2:
                half_done.set()

        async with anyio.create_task_group() as conversations:
            for number in range(size):
                conversations.start_soon(one, number * versions + version)
        await unload(version)
        done.extend(played)

    async with anyio.create_task_group() as waves:
        for version in range(1, versions + 1):
            half_done = anyio.Event()
            await load(version)
            waves.start_soon(wave, version)
            await half_done.wait()
    return done


def check(played: list[Played], adapters: list[Path], conversations: int) -> None:
    """Nothing was lost, and everything was said by the version that was asked."""
    assert len(played) == conversations
    models = [plain_model(path) for path in adapters]
    for one in played:
        assert len(one.turns) == TURNS
        first = one.turns[0][0]
        expected = plain_logprobs(models[one.version - 1], one.ids, first, TEMPERATURE)
        for start, tokens, logprobs in one.turns:
            assert one.ids[start : start + len(tokens)] == tokens
            plain = expected[start - first : start - first + len(tokens)]
            assert torch.allclose(torch.tensor(logprobs), plain, atol=1e-4)
