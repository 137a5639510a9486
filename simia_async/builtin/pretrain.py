"""Make the tiny base: `python -m simia_async.builtin.pretrain OUT_DIR`.

A 1M-parameter Qwen3-shaped model and its own BPE tokenizer, trained from nothing on rule-made
conversations in random worlds. `mini-retail` is not among them. Fixed seeds and fixed steps; it
takes about half an hour on one core.
"""

import argparse
import itertools
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from simia_async.builtin.lessons import lessons
from simia_async.rendering.renderer import Renderer, Sample

STEPS = 4000
TOKENS_PER_BATCH = 2048
DRILL_STEPS = 200
"""First steps that show information requests alone, without a policy: copying is learnt first."""
LEARNING_RATE = 4e-3
VOCABULARY = 1024
CONTEXT = 1024

_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_MARKS = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]
_MARKS += ["<tools>", "</tools>", "<think>", "</think>"]
# One token per digit, `_` and other punctuation in runs: what has to be copied is spelled the
# same wherever it stands.
_PIECES = r" ?[A-Za-z]+|[0-9]|[^\sA-Za-z0-9]+(?:[ \n]+[^\sA-Za-z0-9]+)*|\s+"


def build_tokenizer(out: Path) -> None:
    """Train the BPE and write it with the chat template."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=_SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )

    def texts() -> Iterator[str]:
        for messages, tools in itertools.islice(lessons(10_000_000, drill=False), 3000):
            for message in messages:
                yield message.content or ""
                for call in message.tool_calls or ():
                    yield f'\n{{"name": "{call.function.name}", "arguments": '
                    yield call.function.arguments
            for tool in tools:
                function = tool["function"]
                yield f"\n{function['name']}({', '.join(function['parameters']['properties'])})"
            yield "system\nuser\nassistant\n"

    tokenizer.train_from_iterator(texts(), trainer)
    tokenizer.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in _MARKS])
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",  # noqa: S106
        pad_token="<|endoftext|>",  # noqa: S106
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    ).save_pretrained(out)
    template = Path(__file__).parent / "tiny" / "chat_template.jinja"
    if not (out / template.name).exists():
        shutil.copy(template, out)


def batches(renderer: Renderer) -> Iterator[list[Sample]]:
    """Batches of similar length, `TOKENS_PER_BATCH` padded tokens each."""
    for phase in itertools.count():
        source = lessons(1_000_000 + phase * 1000, drill=phase == 0)
        # Enough for the drill in phase 0; afterwards fresh conversations every 1,000.
        count = DRILL_STEPS * 16 if phase == 0 else 1000
        samples = [renderer.sample(*d) for d in itertools.islice(source, count)]
        samples.sort(key=lambda sample: len(sample.ids))
        ready: list[list[Sample]] = [[]]
        for sample in samples:
            if (len(ready[-1]) + 1) * len(sample.ids) > TOKENS_PER_BATCH:
                ready.append([])
            ready[-1].append(sample)
        random.Random(phase).shuffle(ready)
        yield from ready[:DRILL_STEPS] if phase == 0 else ready


def pretrain(out: Path, steps: int) -> None:
    """Train and write the model to `out`, in half precision to keep the repository small."""
    torch.manual_seed(0)
    out.mkdir(parents=True, exist_ok=True)
    build_tokenizer(out)
    renderer = Renderer(out)
    pad_id = renderer.encode("<|endoftext|>")[0]
    config = Qwen3Config(
        vocab_size=VOCABULARY + len(_MARKS),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=3,
        num_attention_heads=8,
        num_key_value_heads=8,
        head_dim=32,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        bos_token_id=None,
        eos_token_id=renderer.eos_id,
        pad_token_id=pad_id,
    )
    model = Qwen3ForCausalLM(config)
    named = list(model.named_parameters())
    matrices = [p for name, p in named if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in named if p.ndim != 2 or "embed" in name]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(matrices, lr=1.0, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=1.0, weight_decay=0.0, betas=(0.9, 0.95)),
    ]
    average = 0.0
    for step, batch in enumerate(itertools.islice(batches(renderer), steps), 1):
        for group in itertools.chain(*(optimizer.param_groups for optimizer in optimizers)):
            group["lr"] = LEARNING_RATE * _schedule(step, steps)
        loss, spoken = _loss(model, batch, pad_id)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        average = spoken if step == 1 else 0.95 * average + 0.05 * spoken
        if step % 50 == 0:
            print(f"step {step}/{steps}  loss on the agent's tokens {average:.4f}", flush=True)
    model.half().save_pretrained(out)  # type: ignore[no-untyped-call]


def _schedule(step: int, steps: int) -> float:
    """Warm-up over 50 steps, flat to half, then linear to 3%."""
    progress = step / steps
    decay = 1.0 if progress < 0.5 else max(0.03, 1 - (progress - 0.5) / 0.5 * 0.97)
    return min(1.0, step / 50) * decay


def _loss(model: Qwen3ForCausalLM, batch: list[Sample], pad_id: int) -> tuple[torch.Tensor, float]:
    """Cross-entropy with weight 1 on the agent's tokens and 0.1 on the rest; and the former's."""
    longest = max(len(sample.ids) for sample in batch)
    ids_bt = torch.full((len(batch), longest), pad_id)
    weights_bt = torch.zeros(len(batch), longest)
    for row, sample in enumerate(batch):
        ids_bt[row, : len(sample.ids)] = torch.tensor(sample.ids)
        mask = torch.tensor(sample.loss_mask, dtype=torch.float)
        weights_bt[row, : len(sample.ids)] = 0.1 + 0.9 * mask
    weights, targets = weights_bt[:, 1:], ids_bt[:, 1:]
    counted = weights > 0
    hidden = model.model(input_ids=ids_bt[:, :-1], use_cache=False).last_hidden_state[counted]
    losses = F.cross_entropy(model.lm_head(hidden), targets[counted], reduction="none")
    weights = weights[counted]
    return (losses * weights).sum() / weights.sum(), losses[weights == 1.0].mean().item()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    pretrain(arguments.out, arguments.steps)
