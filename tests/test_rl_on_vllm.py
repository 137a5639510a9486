"""RL with its policy on vLLM: what is asked of it, against a stand-in for vLLM."""

from pathlib import Path
from typing import Any

import pytest
from simia_store import GroupRecord, Reader, TurnRecord

pytest.importorskip("torch")

import simia_async
from simia_async.clients import ChatClient
from simia_async.config import TINY, Endpoint, PolicyEndpoint
from simia_async.rollouts.token_voice import TokenPolicy
from simia_async.runs.policies import PolicyHost
from tests.conftest import serve
from tests.standin_vllm import BASE, LOGPROB, StandInVllm


def settings(base_url: str) -> dict[str, Any]:
    policy = PolicyEndpoint(base_url=base_url, model=BASE, tokenizer=TINY, temperature=0.7)
    small = {"groups": 2, "group_size": 2, "max_turns": 2, "max_tokens": 30, "context": 1500}
    return {"policy": policy, "steps": 3, "max_staleness": 1, **small}


async def test_each_version_is_there_while_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server, run = StandInVllm(), Path("rl.db")
    async with serve(server.app()) as base_url:
        trained = simia_async.train_rl(run=run, **settings(base_url))
        assert [step.step async for step in trained] == [1, 2, 3]
    assert server.refused == []
    check_sampling(server)
    check_versions(server, run)


async def test_a_server_that_outlived_a_session_is_told_anew(tmp_path: Path) -> None:
    server = StandInVllm()
    server.loaded["policy@1"] = "/of/another/run"
    async with (
        serve(server.app()) as base_url,
        ChatClient.connect(Endpoint(base_url=base_url, model=BASE)) as client,
    ):
        host = PolicyHost(client, make_none, {})
        await host.load(1, tmp_path)
        assert server.loaded == {"policy@1": str(tmp_path)}
        await host.unload(1)
    assert server.log == [("unload", "policy@1"), ("load", "policy@1"), ("unload", "policy@1")]


def make_none(version: int, temperature: float | None) -> TokenPolicy:
    raise AssertionError("nobody speaks")


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
