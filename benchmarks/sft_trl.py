"""Real tokens of SFT per CPU-second: ours beside TRL's SFTTrainer, in several of its settings.

    python benchmarks/sft_trl.py --trl-python PYTHON [--models tiny larger] [--rounds 3]

Same weights, conversations (of the embedded world), LoRA, AdamW, float32 and one thread; each in a
fresh process, in turns; the first epoch warms up. Padding is not counted. Both are profiled last.
"""

import argparse
import asyncio
import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from serving import run_stack
from transformers import Qwen3Config, Qwen3ForCausalLM

from simia_async.config import TINY, GenerateConfig
from simia_async.models import model_directory
from simia_async.rendering.renderer import Renderer
from simia_async.runs.generate import run_generate
from simia_async.training.samples import read_sft_samples

SAMPLES = {"tiny": 96, "larger": 6}
ALONE = {"per_device_train_batch_size": 1}
SETTINGS = {
    "packed": ALONE | {"packing": True, "max_length": 2048},
    "packed, 512": ALONE | {"packing": True, "max_length": 512, "gradient_accumulation_steps": 4},
    "padding-free": {"per_device_train_batch_size": 6, "padding_free": True},
    "padded, by length": {
        "per_device_train_batch_size": 6,
        "train_sampling_strategy": "group_by_length",
    },
    "one by one, six a step": ALONE | {"gradient_accumulation_steps": 6},
    "one by one, one a step": ALONE,
}
"""Of TRL. Six conversations are about the 2,048 tokens that we take a step with."""


def write_samples(place: Path) -> None:
    run = place / "conversations.db"
    asyncio.run(run_generate(GenerateConfig(n=max(SAMPLES.values())), run, report=print))
    samples = read_sft_samples([run], Renderer(model_directory(TINY)), 1024).samples
    told = [{"ids": sample.ids, "loss_mask": sample.loss_mask} for sample in samples]
    for name, count in SAMPLES.items():
        (place / f"{name}.json").write_text(json.dumps(told[:count]))


def larger_model(place: Path) -> Path:
    """Random weights in Qwen3's shape, and the tiny base's tokenizer."""
    shape = {"hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 8}
    heads = {"num_attention_heads": 8, "num_key_value_heads": 8, "head_dim": 64}
    config = Qwen3Config(vocab_size=32_000, tie_word_embeddings=True, **shape, **heads)
    Qwen3ForCausalLM(config).save_pretrained(place / "larger")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(model_directory(TINY) / name, place / "larger")
    return place / "larger"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", nargs="+", choices=SAMPLES, default=list(SAMPLES))
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--trl-python", required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        write_samples(place)
        for name in arguments.models:
            model = model_directory(TINY) if name == "tiny" else larger_model(place)
            compare(arguments, name, model, place / f"{name}.json")


def compare(arguments: argparse.Namespace, name: str, model: Path, samples: Path) -> None:
    arms = {"ours": (sys.executable, "sft_ours", "{}")}
    for setting in arguments.settings:
        arms[setting] = (arguments.trl_python, "sft_trl", json.dumps(SETTINGS[setting]))
    rates: dict[str, list[float]] = {arm: [] for arm in arms}
    for _ in range(arguments.rounds):
        for arm, (python, stack, setting) in arms.items():
            result = run_stack(python, stack, model, samples, setting, "plain")
            rates[arm].append(result["tokens"] / result["cpu_s"])
            print(f"{name}, {arm}: {rates[arm][-1]:,.0f}", file=sys.stderr, flush=True)
    print(f"\n{name} model\n\n| | tokens per CPU-second | ours is |\n|---|---|---|")
    for arm, measured in rates.items():
        ratios = [a / b for a, b in zip(rates["ours"], measured, strict=True)]
        times = f"**{statistics.median(ratios):.2f}×** ({min(ratios):.2f}–{max(ratios):.2f})"
        title = "ours" if arm == "ours" else f"TRL, {arm}"
        median = statistics.median(measured)
        print(f"| {title} | {median:,.0f} | {'' if arm == 'ours' else times} |", flush=True)
    best = max(arguments.settings, key=lambda setting: statistics.median(rates[setting]))
    for arm in ("ours", best):
        python, stack, setting = arms[arm]
        profile: object = run_stack(python, stack, model, samples, setting, "profiled")["profile"]
        print(f"\nprofile of {arm} (operation, share, calls): {profile}", flush=True)


if __name__ == "__main__":
    main()
