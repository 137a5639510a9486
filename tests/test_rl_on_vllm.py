"""RL with its policy on vLLM: what is asked of it, against a stand-in for vLLM."""

from pathlib import Path
from typing import Any

import pytest
from simia_store import GroupRecord, Reader, TurnRecord

pytest.importorskip("torch")

import simia_async
from simia_async.config import TINY, PolicyEndpoint
from tests.conftest import serve
from tests.standin_vllm import BASE, LOGPROB, StandInVllm

STEPS = 3


def settings(base_url: str, steps: int) -> dict[str, Any]:
    policy = PolicyEndpoint(base_url=base_url, model=BASE, tokenizer=TINY, temperature=0.7)
    small = {"groups": 2, "group_size": 2, "max_turns": 2, "max_tokens": 30, "context": 1500}
    return {"policy": policy, "steps": steps, "max_staleness": 1, **small}


async def train(run: Path, server: StandInVllm, steps: int) -> list[int]:
    async with serve(server.app()) as base_url:
        trained = simia_async.train_rl(run=run, **settings(base_url, steps))
        return [step.step async for step in trained]


async def test_each_version_is_there_while_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server, run = StandInVllm(), Path("rl.db")
    assert await train(run, server, STEPS) == [1, 2, 3]
    assert server.refused == []
    check_sampling(server)
    check_versions(server, run)
    # The server goes on while the run is resumed, and holds what it was told to hold.
    before = dict(server.loaded)
    assert await train(run, server, STEPS + 1) == [4]
    assert before.keys() == {"policy@3"}
    assert set(server.loaded) == {"policy@4"}


def check_sampling(server: StandInVllm) -> None:
    """What is learnt from is asked for: ids and log-probabilities at the run's temperature."""
    for asked in server.completions:
        assert all(type(number) is int for number in asked["prompt"])
        assert asked["return_token_ids"] is True
        assert asked["logprobs"] == 0
        assert asked["temperature"] == 0.7
        assert asked["max_tokens"] <= 30


def check_versions(server: StandInVllm, run: Path) -> None:
    """Each was loaded once, from where it lies, and let go when no group was pinned to it."""
    assert [name for what, name in server.log if what == "load"] == [
        "policy@1",
        "policy@2",
        "policy@3",
    ]
    for name in ("policy@1", "policy@2"):
        own = [what for what, model in server.log if model == name]
        assert own == ["load", *["complete"] * (len(own) - 2), "unload"]
    assert (Path("/") / server.loaded["policy@3"] / "adapter_model.safetensors").exists()
    with Reader(run) as reader:
        pinned = {group.policy_version for group in reader.all(GroupRecord)}
        turns = [turn for turn in reader.all(TurnRecord) if turn.token_ids]
    names = {f"policy@{version}" if version else BASE for version in pinned}
    assert {name for what, name in server.log if what == "complete"} == names
    assert len(names) > 1
    assert all(set(turn.logprobs) == {LOGPROB} for turn in turns)
