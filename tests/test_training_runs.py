"""SFT, GRPO and evaluation, end to end through their real children, small."""

import json
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from simia_store import EnvironmentRecord, Reader, RunStatus, TrajectoryStatus, open_store

import simia_async
from simia_async.config import TINY
from simia_async.errors import ConfigError, EndpointError, StoreError, UsageError
from simia_async.models import model_directory
from simia_async.rendering.renderer import Renderer
from simia_async.runs.sft import stored_places

pytest.importorskip("torch")

from simia_async.training.samples import read_sft_samples


async def test_the_whole_loop(tmp_path: Path) -> None:
    data = (await simia_async.generate(run=tmp_path / "g.db", n=24)).run
    tuned = await simia_async.train_sft(data, run=tmp_path / "s.db", epochs=2)
    assert tuned.adapter == tmp_path / "s-adapters" / "v00001"
    assert tuned.last_loss < tuned.first_loss

    run = tmp_path / "rl.db"
    settings = {"steps": 2, "groups": 3, "group_size": 2, "seed": 1}
    steps = [
        step async for step in simia_async.train_rl(run=run, adapter=str(tuned.adapter), **settings)
    ]
    assert [step.policy_version for step in steps] == [2, 3]
    assert steps[-1].adapter.name == "v00003"
    for step in steps:
        values = step.values
        assert values["rollouts"] == 6
        counted = values["trained"] + values["masked"] + values["zero_variance"]
        assert counted == values["rollouts"], "a rollout went missing without being counted"
    with Reader(run) as reader:
        assert reader.run().status == RunStatus.DONE
        assert [a.version for a in reader.adapters()] == [1, 2, 3]
        for group in (group for step in (1, 2) for group in reader.groups(step)):
            versions = {t.policy_version for t in reader.trajectories(group_id=group.id)}
            assert versions == {group.policy_version}, "a group is pinned to one version"
            assert len(group.rewards) == group.size

    scores = await simia_async.evaluate(
        run=tmp_path / "e.db", adapters=(str(tuned.adapter), str(steps[-1].adapter)), tasks=6
    )
    assert scores.scores[0].name == "base"
    for score in scores.scores:
        assert score.needs_action.total + score.no_action.total == 6
        assert score.unfinished == 0
    with Reader(scores.run) as reader:
        assert {t.split for t in reader.trajectories()} == {"heldout"}


async def test_data_without_trajectories_is_told_by_the_trainer(tmp_path: Path) -> None:
    """The sentence comes from the child, over its pipe, and no run is left behind."""
    run = tmp_path / "s.db"
    data = tmp_path / "g.db"
    async with open_store(data) as store:
        await store.append(EnvironmentRecord("mini-retail", "policy", []))
    with pytest.raises(UsageError, match="kept no trajectory"):
        await simia_async.train_sft(data, run=run)
    with pytest.raises(StoreError, match="no such run"):
        Reader(run)


async def test_unknown_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="unknown setting 'epoch'; did you mean 'epochs'"):
        await simia_async.train_sft("x", epoch=3)
    with pytest.raises(ConfigError, match="group_size: found 1"):
        await anext(simia_async.train_rl(group_size=1))
    with pytest.raises(ConfigError, match="n: found 'many'; it must be a whole number"):
        await simia_async.generate(n="many")


async def test_a_simulator_that_refuses_everything_ends_the_run(tmp_path: Path) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"error": {"message": "no such model"}}, status=404)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", refuse)
    server = TestServer(app)
    await server.start_server()
    url = f"http://127.0.0.1:{server.port}/v1"
    simulator = simia_async.Endpoint(base_url=url, model="m")
    try:
        with pytest.raises(EndpointError, match="HTTP 404: no such model"):
            await simia_async.evaluate(run=tmp_path / "e.db", tasks=4, simulator=simulator)
    finally:
        await server.close()
    with Reader(tmp_path / "e.db") as reader:
        assert reader.run().status == RunStatus.FAILED


@pytest.mark.soak
async def test_several_runs_of_several_environments_are_learnt_from(tmp_path: Path) -> None:
    data = []
    for environment in ("mini-retail", "mini-library"):
        run = tmp_path / f"{environment}.db"
        data.append((await simia_async.generate(run=run, environment=environment, n=6)).run)
    tuned = await simia_async.train_sft(data, run=tmp_path / "s.db", epochs=1)
    manifest = json.loads((tuned.adapter / "simia_manifest.json").read_text())
    with Reader(data[0]) as first, Reader(data[1]) as second:
        readers = (first, second)
        kept = [len(list(each.trajectories(status=TrajectoryStatus.KEPT))) for each in readers]
        policies = [each.environment().policy for each in readers]
    assert manifest["samples"] + manifest["too_long"] == sum(kept)
    assert manifest["data"] == f"{data[0]}, {data[1]}"
    renderer = Renderer(model_directory(TINY))
    read = read_sft_samples(data, renderer, 1024)
    for source, policy in enumerate(policies):
        samples = [sample for sample in read.samples if sample.source == source]
        assert 0 < len(samples) <= kept[source]
        assert all(policy in renderer.decode(sample.ids) for sample in samples)
    assert stored_places(tmp_path / "s.db") == (data, tmp_path / "s-adapters")
