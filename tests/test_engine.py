"""The policy engine: what it says it sampled is what the model says, adapters and all."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import openai  # noqa: E402
from aiohttp.test_utils import TestServer  # noqa: E402
from peft import PeftModel  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

from simia_async.clients import ChatClient  # noqa: E402
from simia_async.config import TINY, Endpoint  # noqa: E402
from simia_async.errors import EndpointRefused, UsageError  # noqa: E402
from simia_async.inference.engine import Engine  # noqa: E402
from simia_async.inference.requests import Sampled, SampleRequest  # noqa: E402
from simia_async.inference.server import PolicyServer  # noqa: E402
from simia_async.models import model_directory  # noqa: E402
from simia_async.rendering.renderer import Renderer  # noqa: E402
from simia_async.training.adapters import attach_adapter, publish_adapter  # noqa: E402

MODEL = model_directory(TINY)
RENDERER = Renderer(MODEL)
PROMPTS = [
    RENDERER.encode(f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n")
    for text in ("Cancel order W1234.", "Hi", "What is the status of W5678, please? Thanks.")
]


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that changes the model visibly."""
    torch.manual_seed(1)
    model = attach_adapter(MODEL, None, rank=4)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05)
    return publish_adapter(model, tmp_path_factory.mktemp("adapters"), 1, {"version": 1})


@pytest.fixture(scope="module")
def engine(adapter: Path) -> Engine:
    engine = Engine(MODEL, RENDERER.eos_id)
    engine.load("policy@1", adapter).result()
    return engine


def sample(engine: Engine, model: str, temperature: float, seed: int = 0) -> list[Sampled]:
    futures = [
        engine.sample(SampleRequest(prompt, model, 24, temperature, seed + row))
        for row, prompt in enumerate(PROMPTS)
    ]
    return [future.result() for future in futures]


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("name", ["policy@0", "policy@1"])
def test_logprobs_are_those_of_a_plain_forward_pass(
    engine: Engine, adapter: Path, name: str, temperature: float
) -> None:
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    if name == "policy@1":
        model = PeftModel.from_pretrained(model, adapter)
    for prompt, sampled in zip(PROMPTS, sample(engine, name, temperature), strict=True):
        ids = torch.tensor([prompt + sampled.token_ids])
        with torch.no_grad():
            logits = model(ids).logits[0, len(prompt) - 1 : -1]
        logprobs = torch.log_softmax(logits / (temperature or 1.0), dim=-1)
        expected = logprobs.gather(1, torch.tensor(sampled.token_ids)[:, None])[:, 0]
        assert torch.allclose(torch.tensor(sampled.logprobs), expected, atol=1e-4)
        if temperature == 0:
            assert sampled.token_ids == logits.argmax(-1).tolist()


def test_a_seed_gives_the_same_whatever_else_is_in_the_batch(engine: Engine) -> None:
    together = sample(engine, "policy@0", 1.0, seed=5)
    for row, prompt in enumerate(PROMPTS):
        alone = engine.sample(SampleRequest(prompt, "policy@0", 24, 1.0, 5 + row)).result()
        assert alone.token_ids == together[row].token_ids
    others = sample(engine, "policy@0", 1.0, seed=50)
    assert [s.token_ids for s in others] != [s.token_ids for s in together]


def test_versions_do_not_mix(engine: Engine) -> None:
    base, tuned = sample(engine, "policy@0", 0.0), sample(engine, "policy@1", 0.0)
    futures = [
        engine.sample(SampleRequest(prompt, name, 24, 0.0, 0))
        for prompt in PROMPTS
        for name in ("policy@0", "policy@1")
    ]
    mixed = [future.result() for future in futures]
    assert [s.token_ids for s in mixed[0::2]] == [s.token_ids for s in base]
    assert [s.token_ids for s in mixed[1::2]] == [s.token_ids for s in tuned]
    assert [s.logprobs for s in base] != [s.logprobs for s in tuned]


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (SampleRequest(PROMPTS[0], "policy@9", 4, 1.0, 0), "no model 'policy@9'"),
        (SampleRequest([], "policy@0", 4, 1.0, 0), "prompt is empty"),
        (SampleRequest(PROMPTS[0], "policy@0", 5000, 1.0, 0), "context length of 1024"),
    ],
)
def test_what_cannot_be_sampled_is_refused(
    engine: Engine, request_: SampleRequest, complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        engine.sample(request_)


async def test_the_endpoint_speaks_the_protocol(adapter: Path) -> None:
    server = TestServer(PolicyServer(Engine(MODEL, RENDERER.eos_id), RENDERER).app())
    await server.start_server()
    base_url = f"http://127.0.0.1:{server.port}/v1"
    try:
        foreign = openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0)
        async with foreign:
            reply = await foreign.completions.create(
                model="policy@0",
                prompt=PROMPTS[0],
                max_tokens=20,
                temperature=0,
                logprobs=0,
                extra_body={"return_token_ids": True},
            )
            assert reply.choices[0].finish_reason in ("stop", "length")
            assert reply.usage.completion_tokens == len(reply.choices[0].token_ids)
            with pytest.raises(openai.NotFoundError):
                await foreign.completions.create(model="policy@7", prompt=PROMPTS[0])
            text = await foreign.completions.create(model="policy@0", prompt="text", temperature=0)
            assert len(text.choices[0].text) > 0
        endpoint = Endpoint(base_url=base_url, model="policy@0", api_key_env="")
        async with ChatClient.connect(endpoint) as client:
            body = {"lora_name": "policy@1", "lora_path": str(adapter)}
            await client.request("/load_lora_adapter", body)
            ours = await client.complete(
                PROMPTS[0], model="policy@1", ledger=[], max_tokens=20, temperature=0, seed=0
            )
            assert len(ours.token_ids) == len(ours.logprobs) > 0
            await client.request("/unload_lora_adapter", {"lora_name": "policy@1"})
            with pytest.raises(EndpointRefused, match="no adapter"):
                await client.request("/unload_lora_adapter", {"lora_name": "policy@1"})
            with pytest.raises(EndpointRefused, match="adapter_config"):
                await client.request("/load_lora_adapter", {"lora_name": "x", "lora_path": "/no"})
    finally:
        await server.close()


def test_an_adapter_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    model = attach_adapter(MODEL, None, rank=4)
    path = publish_adapter(model, tmp_path, 3, {"version": 3})
    assert path.name == "v00003"
    assert {"adapter_config.json", "adapter_model.safetensors", "simia_manifest.json"} <= {
        file.name for file in path.iterdir()
    }
    assert [entry.name for entry in tmp_path.iterdir()] == ["v00003"]


def test_a_model_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no model at"):
        model_directory(str(tmp_path))
