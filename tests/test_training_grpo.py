"""GRPO on stored groups: what is learnt, what is measured, and that a run goes on exactly."""

import asyncio
import json
import shutil
import sqlite3
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

torch = pytest.importorskip("torch")

from simia_async.config import GrpoConfig, PolicyEndpoint  # noqa: E402
from simia_async.errors import UsageError  # noqa: E402
from simia_async.runs.sft import TRAINER  # noqa: E402
from simia_async.supervision.frames import Metrics, Published, TrainGrpo  # noqa: E402
from simia_async.supervision.process import ChildProcess  # noqa: E402
from simia_async.training.groups import Rules, read_groups  # noqa: E402
from simia_async.training.grpo import GrpoTrainer  # noqa: E402
from simia_async.training.losses import RECIPES, policy_loss  # noqa: E402
from tests.rl_groups import store_steps  # noqa: E402
from tests.sft_runs import adapter_bytes, left_over  # noqa: E402
from tests.trained_adapters import plain_logprobs, plain_model, trained_adapters  # noqa: E402

SMALL = GrpoConfig(lora_rank=4, tokens_per_batch=90, learning_rate=1e-2)
MEASURES = {
    "advantage_std",
    "clip_fraction",
    "entropy",
    "grad_norm",
    "kl",
    "learning_rate",
    "loss",
    "ratio_p01",
    "ratio_p50",
    "ratio_p99",
    "response_tokens",
    "staleness",
    "staleness_max",
    "tokens",
    "tokens_per_second",
    "train_seconds",
    "trained",
}
COUNTS = {"rollouts", "masked", "zero_variance", "unspoken", "overflow", "stale", "overlong"}
ALL = Rules(
    version=0, max_staleness=9, limit=1000, vocabulary=10_000, leave_one_out=False, by_std=False
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three steps, each on the version before."""
    return asyncio.run(store_steps(tmp_path_factory.mktemp("data") / "rl.db", steps=3))


def take(trainer: GrpoTrainer, data: Path, steps: range) -> list[dict[str, float]]:
    measured = []
    for step in steps:
        measured.append(trainer.step(data, step, step))
        trainer.publish(step)
    return measured


def optimizers(out: Path) -> list[str]:
    return sorted(file.parent.name for file in out.glob("v*/optimizer.safetensors"))


async def by_child(
    config: GrpoConfig, data: Path, out: Path, steps: range, resume_from: Path
) -> list[dict[str, float]]:
    """The same in a process of its own, as a run that goes on asks for it."""
    measured = []
    async with ChildProcess.start("trainer", TRAINER, ["--out", str(out)]) as trainer:
        for step in steps:
            begin = str(resume_from) if step == steps.start else None
            await trainer.send(TrainGrpo(str(data), msgspec.to_builtins(config), step, step, begin))
            metrics, published = await trainer.receive(), await trainer.receive()
            assert isinstance(metrics, Metrics)
            before = str(out / f"v{step - 1:05}")
            assert published == Published(step, str(out / f"v{step:05}"), before, step)
            measured.append(metrics.values)
    return measured


async def test_a_run_goes_on_bit_for_bit(data: Path, tmp_path: Path) -> None:
    """With all that a step depends on: the policy it began with, its own probabilities, AdamW,
    the rate of the step.
    """
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    (start,) = trained_adapters(tmp_path, 1, steps=2)
    config = replace(SMALL, adapter=str(start), kl_coefficient=0.2, importance_cap=1.5)
    config = replace(config, steps=3, schedule="cosine", warm_up=0.5, weight_decay=0.1)
    measured = take(GrpoTrainer(config, whole), data, range(1, 4))
    assert optimizers(whole) == ["v00002", "v00003"]

    first = GrpoTrainer(config, cut)
    take(first, data, range(1, 2))
    # Killed after it published, before the run had noted that.
    first.step(data, 2, 2)
    first.publish(2)
    (cut / "v00002" / "adapter_model.safetensors").write_bytes(b"half of it")
    assert optimizers(cut) == ["v00001", "v00002"]

    again = await by_child(config, data, cut, range(2, 4), cut / "v00001")
    assert adapter_bytes(cut) == adapter_bytes(whole)
    assert (cut / "v00003" / "optimizer.safetensors").read_bytes() == (
        whole / "v00003" / "optimizer.safetensors"
    ).read_bytes()
    assert left_over(cut) == []
    assert optimizers(cut) == ["v00002", "v00003"]
    timed = {"train_seconds", "tokens_per_second"}
    for before, after in zip(measured[1:], again, strict=True):
        assert {n: v for n, v in after.items() if n not in timed} == {
            n: v for n, v in before.items() if n not in timed
        }


def test_the_reference_is_the_policy_that_the_run_began_with(data: Path, tmp_path: Path) -> None:
    """The base, or the adapter; and so after the run went on. One optimizer step a step."""
    (start,) = trained_adapters(tmp_path, 1, steps=2)
    for adapter in (None, str(start)):
        out = tmp_path / f"from {adapter is None}"
        config = replace(SMALL, adapter=adapter, kl_coefficient=0.1, minibatches=1)
        first, second = take(GrpoTrainer(config, out), data, range(1, 3))
        assert first["kl_reference"] == 0
        assert second["kl_reference"] > 1e-4
        again = GrpoTrainer(config, out, out / "v00002").step(data, 3, 3)
        assert again["kl_reference"] > 1e-4


def test_where_it_cannot_go_on_is_named(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "a"
    take(GrpoTrainer(SMALL, out), data, range(1, 2))
    version = out / "v00001"
    with pytest.raises(UsageError, match=r"adapter_model.safetensors: holds another adapter than"):
        GrpoTrainer(replace(SMALL, lora_rank=8), out, version)
    (version / "optimizer.safetensors").write_bytes(b"garbage")
    with pytest.raises(UsageError, match=r"optimizer.safetensors: cannot be read, so the run"):
        GrpoTrainer(SMALL, out, version)
    with pytest.raises(UsageError, match="v00009: no adapter here"):
        GrpoTrainer(SMALL, out, out / "v00009")


@pytest.mark.parametrize("loss", sorted(RECIPES))
def test_every_loss_learns_and_measures(data: Path, tmp_path: Path, loss: str) -> None:
    (values,) = take(GrpoTrainer(replace(SMALL, loss=loss), tmp_path), data, range(1, 2))
    assert set(values) == MEASURES | COUNTS
    assert values["rollouts"] == values["trained"] == 8
    assert values["tokens"] == 80
    assert values["response_tokens"] == 10
    assert values["ratio_p01"] <= values["ratio_p50"] <= values["ratio_p99"]
    assert values["kl"] > 0
    assert values["grad_norm"] > 0
    manifest = json.loads((tmp_path / "v00001" / "simia_manifest.json").read_text())
    assert manifest["config"]["loss"] == loss
    assert (manifest["version"], manifest["step"], manifest["parent"]) == (1, 1, None)
    assert {"base_sha256", "data_sha256", "device", "dtype", "versions"} <= set(manifest)


@pytest.mark.parametrize("temperature", [0.7, 1.0])
async def test_the_policy_that_sampled_is_the_one_that_learns(
    tmp_path: Path, temperature: float
) -> None:
    """One optimizer step, so that each ratio is that of engine and trainer."""
    data = await store_steps(tmp_path / "rl.db", temperature=temperature)
    config = replace(SMALL, minibatches=1, policy=PolicyEndpoint(temperature=temperature))
    values = GrpoTrainer(config, tmp_path / "a").step(data, 1, 1)
    assert values["kl"] < 1e-9
    assert values["ratio_p01"] == pytest.approx(1, abs=1e-4)
    assert values["ratio_p99"] == pytest.approx(1, abs=1e-4)
    assert values["clip_fraction"] == 0
    other = replace(config, policy=PolicyEndpoint(temperature=1.3))
    assert GrpoTrainer(other, tmp_path / "b").step(data, 1, 1)["kl"] > 1e-4


def test_what_is_left_out_is_counted_and_nothing_is_made_up(data: Path, tmp_path: Path) -> None:
    trainer = GrpoTrainer(replace(SMALL, adapter=None, max_staleness=1), tmp_path)
    before = trainer.step(data, 9, 9)
    trainer.publish(1)
    untouched = adapter_bytes(tmp_path)["v00001"]
    assert (before["rollouts"], before["trained"]) == (0, 0)
    stale = trainer.step(data, 1, 3)
    assert (stale["stale"], stale["rollouts"], stale["trained"]) == (8, 8, 0)
    assert set(stale) == COUNTS | {
        "trained",
        "tokens",
        "loss",
        "kl",
        "learning_rate",
        "train_seconds",
        "tokens_per_second",
    }
    trainer.publish(2)
    assert adapter_bytes(tmp_path)["v00002"] == untouched
    fresh = trainer.step(data, 1, 2)
    assert (fresh["stale"], fresh["trained"], fresh["staleness"]) == (0, 8, 1)
    long = GrpoTrainer(replace(SMALL, context=27), tmp_path).step(data, 1, 1)
    assert (long["overflow"], long["trained"]) == (8, 0)
    over = GrpoTrainer(replace(SMALL, context=30, overlong_buffer=4), tmp_path).step(data, 1, 1)
    assert (over["overlong"], over["trained"]) == (8, 8)


def test_a_loss_that_is_not_finite_is_not_learnt_from(data: Path, tmp_path: Path) -> None:
    tampered = Path(shutil.copy(data, tmp_path))
    with sqlite3.connect(tampered) as database:
        changed = b"[-1e5,-1,-1,-1,-1]"
        database.execute("UPDATE turns SET logprobs = ? WHERE position = 1", (changed,))
    trainer = GrpoTrainer(SMALL, tmp_path / "a")
    with pytest.raises(UsageError, match=r"step 1: the .* is not finite; lower .* is in (.*json)"):
        trainer.step(tampered, 1, 1)
    (kept,) = (tmp_path / "a").iterdir()
    assert kept.name == "not-finite-step-1.json"
    assert json.loads(kept.read_text())[0][0]["logprobs"][5] == -1e5


def said_logprobs(data: Path, adapter: Path | None) -> dict[int, float]:
    """How likely a policy finds what the rollouts of step 1 said, by rollout."""
    model = plain_model(adapter)
    return {
        rollout.trajectory_id: float(
            plain_logprobs(model, rollout.ids, 1, 1.0)[
                [m == 1 for m in rollout.loss_mask[1:]]
            ].sum()
        )
        for rollout in read_groups(data, 1, ALL).rollouts
    }


@pytest.mark.parametrize("flipped", [False, True])
def test_what_was_rewarded_gets_likelier_and_with_the_sign_swapped_rarer(
    data: Path, tmp_path: Path, *, flipped: bool
) -> None:
    copied = Path(shutil.copy(data, tmp_path))
    if flipped:
        with sqlite3.connect(copied) as database:
            database.execute("UPDATE trajectories SET reward = 1 - reward")
    trainer = GrpoTrainer(SMALL, tmp_path / "a")
    for _ in range(3):
        trainer.step(copied, 1, 1)
    path, _ = trainer.publish(1)
    before, after = said_logprobs(data, None), said_logprobs(data, path)
    # Rewards before the sign was swapped.
    gains = {
        rollout.trajectory_id: rollout.advantage * (after[rollout.trajectory_id] - was)
        for rollout in read_groups(data, 1, ALL).rollouts
        for was in [before[rollout.trajectory_id]]
    }
    assert (sum(gains.values()) < 0) is flipped


def test_the_rate_follows_its_schedule_and_weights_decay(data: Path, tmp_path: Path) -> None:
    falling = replace(SMALL, steps=4, schedule="linear", warm_up=0.5)
    steps = take(GrpoTrainer(falling, tmp_path / "a"), data, range(1, 3))
    peak = SMALL.learning_rate
    assert [step["learning_rate"] for step in steps] == pytest.approx(
        [0.5 * 0.775 * peak, 0.55 * peak]
    )
    decayed = GrpoTrainer(replace(SMALL, weight_decay=0.5), tmp_path / "b")
    plain = GrpoTrainer(SMALL, tmp_path / "c")
    for trainer in (decayed, plain):
        take(trainer, data, range(1, 2))
    one, two = (adapter_bytes(tmp_path / place)["v00001"] for place in ("b", "c"))
    assert one != two


def test_without_a_learning_rate_nothing_changes(data: Path, tmp_path: Path) -> None:
    (start,) = trained_adapters(tmp_path / "start", 1, steps=2)
    config = replace(SMALL, learning_rate=0.0, adapter=str(start))
    take(GrpoTrainer(config, tmp_path / "a"), data, range(1, 3))
    assert said_logprobs(data, tmp_path / "a" / "v00002") == said_logprobs(data, start)


@pytest.mark.parametrize("loss", sorted(RECIPES))
def test_rewards_by_chance_teach_nothing_on_average(loss: str) -> None:
    """A bandit of four arms: over many groups with rewards by chance, its gradient is noise."""
    torch.manual_seed(0)
    arms = torch.tensor([1.0, 0.0, -0.5, 0.3], requires_grad=True)
    recipe, size, gradients = RECIPES[loss], 8, []
    for _ in range(600):
        logprobs = arms.log_softmax(0)[torch.multinomial(arms.detach().softmax(0), size, True)]
        rewards = torch.rand(size)
        advantages = rewards - rewards.mean()
        if recipe.by_std:
            advantages = advantages / rewards.std(correction=0)
        clip = {"clip_low": recipe.clip_low, "clip_high": recipe.clip_high}
        weights = torch.full((size,), 1 / size)
        loss_terms = policy_loss(logprobs, logprobs.detach(), advantages, weights, **clip)
        gradients.append(torch.autograd.grad(loss_terms.loss, arms)[0])
    drift = torch.stack(gradients)
    errors = drift.std(0) / len(gradients) ** 0.5
    assert (drift.mean(0).abs() < 4 * errors).all()
    assert (errors > 0).all()


def test_packed_or_padded_the_same_is_learnt(tmp_path: Path) -> None:
    """Rollouts that begin alike, as those of an environment do, and some that do not."""
    path = asyncio.run(store_steps(tmp_path / "rl.db", groups=3))
    with sqlite3.connect(path) as database:
        alike = "SELECT prompt_ids FROM turns WHERE trajectory_id = 1 AND position = 0"
        change = f"UPDATE turns SET prompt_ids = ({alike}) WHERE position = 0"
        database.execute(change + " AND trajectory_id < 9")
    one = replace(SMALL, minibatches=1, kl_coefficient=0.1, importance_cap=3.0)
    steps = {}
    for packing in (True, False):
        trainer = GrpoTrainer(replace(one, packing=packing), tmp_path / str(packing))
        trainer.step(path, 1, 1)
        values = trainer.step(path, 1, 1)
        steps[packing] = [v for name, v in sorted(values.items()) if "second" not in name]
    assert steps[True] == pytest.approx(steps[False], rel=2e-3, abs=1e-5)


def test_half_precision_and_fewer_activations_give_nearly_the_same(
    data: Path, tmp_path: Path
) -> None:
    """The type of the base's weights changes the ratios a little, fewer activations nothing."""
    one = replace(SMALL, minibatches=1)
    plain = GrpoTrainer(one, tmp_path / "a").step(data, 1, 1)
    fewer = GrpoTrainer(replace(one, gradient_checkpointing=True), tmp_path / "b").step(data, 1, 1)
    half = GrpoTrainer(replace(one, dtype="bfloat16", device="cpu"), tmp_path / "c")
    rough = half.step(data, 1, 1)
    assert fewer["grad_norm"] == pytest.approx(plain["grad_norm"], rel=1e-4)
    assert rough["grad_norm"] == pytest.approx(plain["grad_norm"], rel=0.2)
    assert plain["kl"] < 1e-9 < rough["kl"] < 1e-2
    path, _ = half.publish(1)
    manifest = json.loads((path / "simia_manifest.json").read_text())
    assert (manifest["device"], manifest["dtype"]) == ("cpu", "bfloat16")
