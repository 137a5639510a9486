"""The engine against plain transformers and peft, on adapters that were trained."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from simia_async.inference.engine import Engine  # noqa: E402
from simia_async.inference.requests import SampleRequest  # noqa: E402
from tests.trained_adapters import (  # noqa: E402
    MODEL,
    RENDERER,
    opening,
    plain_logprobs,
    plain_model,
    trained_adapters,
)

CONVERSATIONS, TURNS, MAX_TOKENS, TEMPERATURE = 6, 6, 24, 0.9
OBSERVATION = RENDERER.encode(
    "\n<|im_start|>user\n<tool_response>\n{'order': 'W1234', 'status': 'pending'}\n"
    "</tool_response><|im_end|>\n<|im_start|>assistant\n"
)


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return trained_adapters(tmp_path_factory.mktemp("adapters"), 2)


@pytest.fixture(scope="module")
def engine(adapters: list[Path]) -> Engine:
    engine = Engine(MODEL, RENDERER.eos_id)
    for version, path in enumerate(adapters, 1):
        engine.load(f"policy@{version}", path).result()
    return engine


def test_versions_mixed_over_long_conversations_are_as_plain_forward_passes(
    engine: Engine, adapters: list[Path]
) -> None:
    ids = [opening(number) for number in range(CONVERSATIONS)]
    said: list[list[tuple[int, list[int], list[float]]]] = [[] for _ in ids]
    for turn in range(TURNS):
        futures = [
            engine.sample(
                SampleRequest(prompt, f"policy@{n % 3}", MAX_TOKENS, TEMPERATURE, 100 * n + turn)
            )
            for n, prompt in enumerate(ids)
        ]
        for number, future in enumerate(futures):
            sampled = future.result()
            said[number].append((len(ids[number]), sampled.token_ids, sampled.logprobs))
            ids[number] = ids[number] + sampled.token_ids + OBSERVATION
    models = [plain_model(path) for path in (None, *adapters)]
    assert max(map(len, ids)) > 500
    for number, turns in enumerate(said):
        expected = plain_logprobs(models[number % 3], ids[number], turns[0][0], TEMPERATURE)
        for start, tokens, logprobs in turns:
            behind = start - turns[0][0]
            plain = expected[behind : behind + len(tokens)]
            assert torch.allclose(torch.tensor(logprobs), plain, atol=1e-4)


def test_greedy_turns_are_those_that_plain_generate_makes(
    engine: Engine, adapters: list[Path]
) -> None:
    answers = []
    for version, path in enumerate((None, *adapters)):
        model = plain_model(path)
        prompts = [opening(number) for number in range(2)]
        asked = [SampleRequest(ids, f"policy@{version}", 40, 0.0, 0) for ids in prompts]
        futures = [engine.sample(request) for request in asked]
        for prompt, future in zip(prompts, futures, strict=True):
            ids = torch.tensor([prompt])
            made = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=40,
                do_sample=False,
                eos_token_id=RENDERER.eos_id,
                pad_token_id=0,
            )
            assert future.result().token_ids == made[0, len(prompt) :].tolist()
        answers.append([future.result().token_ids for future in futures])
    assert answers[0] != answers[1] != answers[2] != answers[0], "training has changed something"
