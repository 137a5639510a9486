"""The losses by hand, against one written with loops, and against finite differences."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

torch = pytest.importorskip("torch")

from simia_async.config import TINY, GrpoConfig  # noqa: E402
from simia_async.models import model_directory  # noqa: E402
from simia_async.training.adapters import attach_adapter  # noqa: E402
from simia_async.training.groups import Rollout  # noqa: E402
from simia_async.training.losses import (  # noqa: E402
    RECIPES,
    entropies,
    importance,
    k3,
    policy_loss,
    recipe_of,
    sampled_logprobs,
    token_weights,
)
from simia_async.training.samples import SftSample, as_batch, split_by_tokens  # noqa: E402
from simia_async.training.step_batches import lay_out  # noqa: E402
from tests.trained_adapters import plain_logprobs, plain_model  # noqa: E402

LOSSES = sorted(RECIPES)


def one_token(loss: str, ratio: float, advantage: float, **more: float) -> float:
    """The loss of a single token of weight 1."""
    recipe = RECIPES[loss]
    extras = {name: torch.tensor([value]) for name, value in more.items() if name != "kl"}
    behaviour = torch.tensor([-1.0])
    terms = policy_loss(
        behaviour + math.log(ratio),
        behaviour,
        torch.tensor([advantage]),
        torch.tensor([1.0]),
        clip_low=recipe.clip_low,
        clip_high=recipe.clip_high,
        kl_coefficient=more.get("kl", 0.0),
        **extras,
    )
    outside = not 1 - recipe.clip_low <= ratio <= 1 + recipe.clip_high
    assert terms.is_clipped_n.tolist() == [outside]
    assert terms.ratios_n.item() == pytest.approx(ratio)
    return float(terms.loss)


@pytest.mark.parametrize(
    ("ratio", "advantage", "wanted"),
    [
        (1.0, 0.5, dict.fromkeys(LOSSES, -0.5)),
        (1.1, 0.5, dict.fromkeys(LOSSES, -0.55)),
        # Held at 1.2 or 1.28, and with rloo not at all.
        (1.5, 0.5, {"grpo": -0.6, "dr_grpo": -0.64, "dapo": -0.64, "rloo": -0.75}),
        # A good action that became rarer is not held.
        (0.5, 0.5, dict.fromkeys(LOSSES, -0.25)),
        # Held at 0.8.
        (0.5, -0.5, {"grpo": 0.4, "dr_grpo": 0.4, "dapo": 0.4, "rloo": 0.25}),
        # A bad action that became likelier is not held.
        (1.5, -0.5, dict.fromkeys(LOSSES, 0.75)),
    ],
)
def test_a_token_by_hand(ratio: float, advantage: float, wanted: dict[str, float]) -> None:
    for loss in LOSSES:
        assert one_token(loss, ratio, advantage) == pytest.approx(wanted[loss], rel=1e-5)


def test_reference_and_importance_by_hand() -> None:
    """Reference twice as likely as the policy: k3 is 2 - 1 - log 2."""
    reference = -1.0 + math.log(2.0)
    distance = 0.1 * (1 - math.log(2))
    away = one_token("dr_grpo", 1.0, 0.5, reference_n=reference, kl=0.1)
    assert away == pytest.approx(-0.5 + distance, rel=1e-5)
    assert one_token("dapo", 1.5, 0.5, importance_n=0.5) == pytest.approx(-0.32, rel=1e-5)
    both = one_token("dapo", 1.0, 0.5, importance_n=0.5, reference_n=reference, kl=0.1)
    assert both == pytest.approx(-0.25 + distance, rel=1e-5)
    weights = importance(torch.tensor([-1.0, -1.0]), torch.tensor([-2.0, -0.5]), 2.0)
    assert weights.tolist() == pytest.approx([2.0, math.exp(-0.5)])


@pytest.mark.parametrize(
    ("loss", "wanted"),
    [
        ("grpo", [1 / 2, 1 / 6]),  # two rollouts, of 1 and 3 tokens
        ("dapo", [1 / 4, 1 / 4]),
        ("dr_grpo", [1 / 5, 1 / 5]),
        ("rloo", [1 / 5, 1 / 5]),
    ],
)
def test_what_a_token_counts_for_by_hand(loss: str, wanted: list[float]) -> None:
    assert token_weights(RECIPES[loss], [1, 3], 5.0) == wanted


def test_settings_go_before_the_recipe() -> None:
    assert recipe_of(GrpoConfig()) == RECIPES["dr_grpo"]
    own = recipe_of(GrpoConfig(loss="rloo", normalise_by_std=True, clip_low=0.1, clip_high=0.3))
    assert (own.leave_one_out, own.by_std, own.clip_low, own.clip_high) == (True, True, 0.1, 0.3)
    assert not recipe_of(GrpoConfig(loss="grpo", normalise_by_std=False)).by_std


def rollout(number: int, rng: Random) -> Rollout:
    """One of one to three turns, of any length."""
    ids, mask, sampled = [], [], []
    for _ in range(rng.randint(1, 3)):
        said = [rng.randrange(1000) for _ in range(rng.randint(1, 6))]
        heard = [rng.randrange(1000) for _ in range(rng.randint(1, 5))]
        ids += heard + said
        mask += [0] * len(heard) + [1] * len(said)
        sampled += said
    logprobs = [-3 * rng.random() for _ in sampled]
    return Rollout(number, ids, mask, sampled, logprobs, rng.uniform(-1, 1), 0)


def of_one_rollout(
    loss: str, advantage: float, tokens: list[dict[str, float]], config: GrpoConfig
) -> list[float]:
    """What each of its tokens gains, from the formulas of the papers."""
    low, high = {"grpo": (0.2, 0.2), "rloo": (9, 1e9)}.get(loss, (0.2, 0.28))
    gains = []
    for token in tokens:
        ratio = math.exp(token["now"] - token["old"])
        held = max(1 - low, min(1 + high, ratio))
        gain = min(ratio * advantage, held * advantage)
        if config.importance_cap:
            gain *= min(config.importance_cap, math.exp(token["old"] - token["behaviour"]))
        away = token["reference"] - token["now"]
        gains.append(gain - config.kl_coefficient * (math.exp(away) - away - 1))
    return gains


def by_loops(
    minibatch: list[Rollout],
    told: dict[int, list[dict[str, float]]],
    config: GrpoConfig,
    mean: float,
) -> float:
    gains = {
        r.trajectory_id: of_one_rollout(config.loss, r.advantage, told[r.trajectory_id], config)
        for r in minibatch
    }
    match config.loss:
        case "grpo":
            return -sum(sum(each) / len(each) for each in gains.values()) / len(gains)
        case "dapo":
            return -sum(map(sum, gains.values())) / sum(map(len, gains.values()))
    return -sum(map(sum, gains.values())) / mean


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("cap", [None, 1.2])
@pytest.mark.parametrize("packing", [False, True])
def test_a_whole_step_is_the_papers(loss: str, cap: float | None, *, packing: bool) -> None:
    """Laid out in batches, shuffled and concatenated, or one token after the other."""
    rng = Random(loss)
    rollouts = [rollout(number, rng) for number in range(9)]
    config = GrpoConfig(
        loss=loss, importance_cap=cap, kl_coefficient=0.3, tokens_per_batch=40, packing=packing
    )
    told = {
        r.trajectory_id: [
            {
                "now": logprob + rng.gauss(0, 0.4),
                "old": logprob + rng.gauss(0, 0.3) if cap else logprob,
                "behaviour": logprob,
                "reference": logprob + rng.gauss(0, 0.4),
            }
            for logprob in r.logprobs
        ]
        for r in rollouts
    }
    minibatches = lay_out(rollouts, config, 1, torch.device("cpu"))
    assert len(minibatches) == 2
    assert sum(map(len, minibatches)) > 2
    seen = [r.trajectory_id for m in minibatches for batch in m for r in batch.rollouts]
    assert sorted(seen) == list(range(9))
    mean = sum(len(r.sampled) for r in rollouts) / 2
    recipe = recipe_of(config)
    for minibatch in minibatches:
        total = 0.0
        for batch in minibatch:
            batch.check_ids()
            tokens = [token for r in batch.rollouts for token in told[r.trajectory_id]]
            part = {name: torch.tensor([t[name] for t in tokens]) for name in tokens[0]}
            weighed = importance(part["old"], batch.behaviour_n, cap) if cap else None
            total += policy_loss(
                part["now"],
                part["old"],
                batch.advantages_n,
                batch.weights_n,
                clip_low=recipe.clip_low,
                clip_high=recipe.clip_high,
                importance_n=weighed,
                reference_n=part["reference"],
                kl_coefficient=config.kl_coefficient,
            ).loss.item()
        members = [r for batch in minibatch for r in batch.rollouts]
        assert total == pytest.approx(by_loops(members, told, config, mean), rel=1e-4)


def test_the_order_of_a_step_is_its_own() -> None:
    rng = Random(0)
    rollouts = [rollout(number, rng) for number in range(8)]

    def orders(config: GrpoConfig, step: int) -> list[list[int]]:
        laid_out = lay_out(rollouts, config, step, torch.device("cpu"))
        return [[r.trajectory_id for batch in m for r in batch.rollouts] for m in laid_out]

    assert orders(GrpoConfig(), 1) == orders(GrpoConfig(), 1)
    assert orders(GrpoConfig(), 1) != orders(GrpoConfig(), 2)
    assert orders(GrpoConfig(), 1) != orders(GrpoConfig(seed=1), 1)
    assert len(orders(GrpoConfig(minibatches=20), 1)) == 8
    assert lay_out([], GrpoConfig(), 1, torch.device("cpu")) == []


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("more", [False, True])
def test_the_gradient_is_that_of_finite_differences(loss: str, *, more: bool) -> None:
    torch.manual_seed(0)

    def near(logprobs, spread):
        return logprobs + spread * torch.randn(20, dtype=torch.float64)

    behaviour = -torch.rand(20, dtype=torch.float64)
    advantages = torch.randn(20, dtype=torch.float64)
    weights = torch.rand(20, dtype=torch.float64)
    logprobs = near(behaviour, 0.4).requires_grad_()
    extras = {
        "reference_n": near(behaviour, 0.5),
        "kl_coefficient": 0.7,
        "importance_n": importance(near(behaviour, 0.4), behaviour, 1.1),
    }

    def of(x):
        clip = {"clip_low": RECIPES[loss].clip_low, "clip_high": RECIPES[loss].clip_high}
        return policy_loss(
            x, behaviour, advantages, weights, **clip, **(extras if more else {})
        ).loss

    assert torch.autograd.gradcheck(of, (logprobs,))


def test_clipped_tokens_have_no_gradient() -> None:
    behaviour = torch.tensor([-1.0, -1.0])
    logprobs = torch.tensor([-0.5, -1.0], requires_grad=True)
    ones = torch.ones(2)
    policy_loss(logprobs, behaviour, ones, ones, clip_low=0.2, clip_high=0.28).loss.backward()
    assert logprobs.grad.tolist() == [0, -1]


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=8))
def test_the_estimate_of_kl_is_never_negative(log_ratios: list[float]) -> None:
    estimates = k3(torch.tensor(log_ratios, dtype=torch.float64)).tolist()
    assert min(estimates) >= 0
    for estimate, x in zip(estimates, log_ratios, strict=True):
        assert estimate == pytest.approx(math.exp(x) - 1 - x, rel=1e-6, abs=1e-9)


def test_the_estimate_of_kl_is_right_on_average() -> None:
    """Every token as often as the policy samples it."""
    p, q = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.2, 0.2, 0.6]).double()
    exact = (p * (p / q).log()).sum()
    assert float((p * k3((q / p).log())).sum()) == pytest.approx(float(exact))


def test_entropies_are_those_of_the_distributions() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2500, 7)
    direct = [-sum(p * math.log(p) for p in row.softmax(0).tolist()) for row in logits[::311]]
    assert entropies(logits)[::311].tolist() == pytest.approx(direct, rel=1e-4)
    assert entropies(torch.zeros(1, 8)).tolist() == pytest.approx([math.log(8)])


@pytest.mark.parametrize("temperature", [1.0, 0.6, 1.7])
def test_logprobs_are_those_of_the_temperature(temperature: float) -> None:
    rng = Random(1)
    told = [rng.randrange(10, 1000) for _ in range(12)]
    model = attach_adapter(model_directory(TINY), None, 4)
    batch = as_batch([SftSample(1, told, [0] * 7 + [1] * 5), SftSample(2, told[:4], [0, 0, 0, 1])])
    with torch.no_grad():
        ours, logits = sampled_logprobs(model, batch, temperature)
    plain = plain_model(None)
    theirs = [
        *plain_logprobs(plain, told, 7, temperature),
        *plain_logprobs(plain, told[:4], 3, temperature),
    ]
    assert ours.tolist() == pytest.approx([float(x) for x in theirs], abs=1e-5)
    # What the entropy is of: the distribution that tokens are drawn from.
    said = torch.tensor([*told[7:], told[3]])
    drawn_from = torch.log_softmax(logits, -1).gather(1, said[:, None])[:, 0]
    assert drawn_from.tolist() == pytest.approx(ours.tolist(), abs=1e-5)


def test_a_batch_is_shifted_and_its_padding_masked() -> None:
    long = SftSample(1, [1, 2, 3, 4], [0, 0, 1, 1])
    short = SftSample(2, [5, 6], [0, 1])
    batch = as_batch([long, short])
    assert batch.inputs_bt.tolist() == [[1, 2, 3], [5, 6, 0]]
    assert batch.targets_bt.tolist() == [[2, 3, 4], [6, 0, 0]]
    assert batch.mask_bt.tolist() == [[0, 1, 1], [1, 0, 0]]


def test_ids_that_were_not_sampled_are_noticed() -> None:
    told = rollout(1, Random(2))
    changed = replace(told, sampled=[*told.sampled[:-1], told.sampled[-1] + 1])
    for each, same in ((told, True), (changed, False)):
        ((batch,),) = lay_out([each], GrpoConfig(), 1, torch.device("cpu"))
        if same:
            batch.check_ids()
        else:
            with pytest.raises(AssertionError):
                batch.check_ids()


def test_every_sample_is_in_one_batch_that_fits() -> None:
    lengths = [5, 100, 30, 30, 30, 7, 250]
    batches = list(split_by_tokens(lengths, 100))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= 100
