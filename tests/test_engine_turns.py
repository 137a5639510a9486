"""Conversations of several turns, with versions mixed and prefixes kept: the log-probabilities stay
those of a plain forward pass, and nothing is lost or mixed when versions come and go.
"""

from concurrent.futures import Future
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from peft import PeftModel  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

from simia_async.config import TINY  # noqa: E402
from simia_async.errors import UnknownModel, UsageError  # noqa: E402
from simia_async.inference.engine import Engine  # noqa: E402
from simia_async.inference.requests import Drawn, Sampled, SampleRequest  # noqa: E402
from simia_async.models import model_directory  # noqa: E402
from simia_async.rendering.renderer import Renderer  # noqa: E402
from simia_async.training.adapters import attach_adapter, publish_adapter  # noqa: E402

MODEL = model_directory(TINY)
RENDERER = Renderer(MODEL)
OBSERVATION = RENDERER.encode("\n<|im_start|>user\nAnd then?<|im_end|>\n<|im_start|>assistant\n")
MAX_TOKENS = 12


def first_prompt(number: int) -> list[int]:
    text = f"Please cancel order W{1000 + number // 3}{', now' * (number % 3)}."
    return RENDERER.encode(
        f"<|im_start|>system\nHelp.<|im_end|>\n<|im_start|>user\n{text}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three adapters that change the model visibly, each in its own way."""
    directory = tmp_path_factory.mktemp("adapters")
    paths = []
    for version in (1, 2, 3):
        torch.manual_seed(version)
        model = attach_adapter(MODEL, None, rank=4)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(std=0.05)
        paths.append(publish_adapter(model, directory, version, {"version": version}))
    return paths


def plain_model(adapters: list[Path], version: int):
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    return PeftModel.from_pretrained(model, adapters[version - 1]) if version else model


def ask(engine: Engine, version: int, ids: list[int], seed: int) -> "Future[Sampled]":
    return engine.sample(SampleRequest(ids, f"policy@{version}", MAX_TOKENS, 0.8, seed))


def plain_logprobs(model, ids: list[int], start: int):
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, start - 1 : -1]
    logprobs = torch.log_softmax(logits / 0.8, dim=-1)
    return logprobs.gather(1, torch.tensor(ids[start:])[:, None])[:, 0]


@pytest.mark.parametrize("slots", [64, 5])
def test_logprobs_over_turns_are_those_of_a_plain_forward_pass(
    adapters: list[Path], slots: int
) -> None:
    """With fewer slots than conversations, too: then rows are taken from others."""
    engine = Engine(MODEL, RENDERER.eos_id, max_slots=slots)
    versions = range(3)
    for version in versions[1:]:
        engine.load(f"policy@{version}", adapters[version - 1]).result()
    ids = [first_prompt(number) for number in range(24)]
    spans: list[list[tuple[int, Sampled]]] = [[] for _ in ids]
    for turn in range(4):
        futures = [ask(engine, n % 3, prompt, 100 * n + turn) for n, prompt in enumerate(ids)]
        for number, future in enumerate(futures):
            sampled = future.result()
            spans[number].append((len(ids[number]), sampled))
            ids[number] = ids[number] + sampled.token_ids + OBSERVATION
    models = [plain_model(adapters, version) for version in versions]
    for number, turns in enumerate(spans):
        for start, sampled in turns:
            whole = ids[number][: start + len(sampled.token_ids)]
            expected = plain_logprobs(models[number % 3], whole, start)
            assert torch.allclose(torch.tensor(sampled.logprobs), expected, atol=1e-4)
    cached = [turns[-1][1].cached_tokens for turns in spans]
    if slots == 64:
        assert all(c >= s[-1][0] - len(OBSERVATION) - 2 for c, s in zip(cached, spans, strict=True))


def test_equal_prompts_share_what_one_of_them_computed() -> None:
    engine = Engine(MODEL, RENDERER.eos_id)
    prompt = first_prompt(0)
    group = [ask(engine, 0, prompt, seed).result for seed in range(4)]
    sampled = [result() for result in group]
    assert sorted(s.cached_tokens for s in sampled)[-3:] == [len(prompt) - 1] * 3
    alone = ask(Engine(MODEL, RENDERER.eos_id), 0, prompt, 2).result()
    assert alone.token_ids == sampled[2].token_ids


def test_versions_that_come_and_go_under_load_lose_and_mix_nothing(adapters: list[Path]) -> None:
    engine = Engine(MODEL, RENDERER.eos_id, max_slots=8)
    engine.load("policy@1", adapters[0]).result()
    old = [ask(engine, 1, first_prompt(n), n) for n in range(20)]
    loaded = engine.load("policy@2", adapters[1])
    unloaded = engine.unload("policy@1")
    with pytest.raises(UnknownModel, match="policy@1"):
        ask(engine, 1, first_prompt(0), 0)
    loaded.result()
    new = [ask(engine, 2, first_prompt(n), n) for n in range(20)]
    unloaded.result()
    assert all(future.done() for future in old), "an unload waits for what is under way"
    for version, futures in ((1, old), (2, new)):
        model = plain_model(adapters, version)
        for number, future in enumerate(futures):
            prompt, sampled = first_prompt(number), future.result()
            expected = plain_logprobs(model, prompt + sampled.token_ids, len(prompt))
            assert torch.allclose(torch.tensor(sampled.logprobs), expected, atol=1e-4)
    assert list(engine.models) == ["policy@0", "policy@2"]


def test_a_name_that_is_taken_is_refused_but_the_same_adapter_may_be_loaded_again(
    adapters: list[Path],
) -> None:
    engine = Engine(MODEL, RENDERER.eos_id)
    for _ in range(2):
        engine.load("policy@1", adapters[0]).result()
    with pytest.raises(UsageError, match="from another path"):
        engine.load("policy@1", adapters[1]).result()


def test_cancelled_requests_free_their_slots() -> None:
    engine = Engine(MODEL, RENDERER.eos_id, max_slots=2)
    heard: list[Drawn] = []
    long = SampleRequest(
        first_prompt(0), "policy@0", 800, 1.0, 0, ignore_eos=True, watch=heard.append
    )
    endless = [engine.sample(long) for _ in range(5)]
    for future in endless:
        future.cancel()
    assert ask(engine, 0, first_prompt(1), 1).result().token_ids
    assert len(heard) < 2 * 800, "the first two were not gone on with to their ends"


def test_a_request_for_which_no_room_can_be_made_is_told_and_takes_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def out_of_memory(*_: object) -> None:
        raise RuntimeError("out of memory")

    engine = Engine(MODEL, RENDERER.eos_id, max_slots=2)
    expected = ask(engine, 0, first_prompt(0), 1).result().token_ids
    with monkeypatch.context() as patch:
        patch.setattr("simia_async.inference.slot_cache.SlotCache.copy", out_of_memory)
        for _ in range(3):
            with pytest.raises(RuntimeError, match="out of memory"):
                ask(engine, 0, first_prompt(0), 1).result()
    both = [ask(engine, 0, first_prompt(0), 1) for _ in range(2)]
    assert [future.result().token_ids for future in both] == [expected] * 2


def test_narrow_sampling_draws_from_the_likeliest_alone() -> None:
    engine = Engine(MODEL, RENDERER.eos_id)
    prompt = first_prompt(0)

    def said(**settings: float) -> Sampled:
        temperature = settings.pop("temperature", 1.0)
        request = SampleRequest(prompt, "policy@0", MAX_TOKENS, temperature, 3, **settings)
        return engine.sample(request).result()

    greedy = said(temperature=0).token_ids
    for narrow in (said(top_k=1), said(top_p=1e-6)):
        assert narrow.token_ids == greedy
        assert narrow.logprobs == [0.0] * len(greedy)
    assert said(temperature=3.0).token_ids != greedy
