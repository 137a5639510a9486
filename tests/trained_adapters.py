"""Adapters that were trained for some steps, each on conversations of its own."""

from pathlib import Path

import msgspec
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, PreTrainedModel

from simia_async.builtin.mini_retail import MINI_RETAIL
from simia_async.builtin.play import oracle_dialogue
from simia_async.builtin.templates import TEMPLATES, draw_task
from simia_async.config import TINY
from simia_async.messages import Message
from simia_async.models import model_directory
from simia_async.rendering.renderer import Renderer
from simia_async.training.adapters import attach_adapter, publish_adapter

MODEL = model_directory(TINY)
RENDERER = Renderer(MODEL)
TOOLS = MINI_RETAIL.tools()


def dialogue(number: int) -> list[Message]:
    """A conversation of mini-retail as its oracle has it."""
    task = draw_task(MINI_RETAIL, TEMPLATES[number % len(TEMPLATES)], number, "train")
    return oracle_dialogue(MINI_RETAIL, task)


def opening(number: int) -> list[int]:
    """Policy, tools, and what the user says first."""
    return RENDERER.prompt_ids(dialogue(number)[:2], TOOLS)


def trained_adapters(directory: Path, count: int, steps: int = 12) -> list[Path]:
    """Version n is at n - 1."""
    return [_train(directory, version, steps) for version in range(1, count + 1)]


def _in_words_of(version: int, messages: list[Message]) -> list[Message]:
    """Every version has an accent, so that they can be told apart."""
    return [
        msgspec.structs.replace(message, content=f"{'Well, ' * version}{message.content or ''}")
        if message.role == "assistant"
        else message
        for message in messages
    ]


def _train(directory: Path, version: int, steps: int) -> Path:
    torch.manual_seed(version)
    model = attach_adapter(MODEL, None, rank=8)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-2)
    for step in range(steps):
        sample = RENDERER.sample(_in_words_of(version, dialogue(step)), TOOLS)
        ids, mask = torch.tensor([sample.ids]), torch.tensor([sample.loss_mask])
        loss = model(ids, labels=ids.masked_fill(mask == 0, -100)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return publish_adapter(model, directory, version, {"version": version})


def plain_model(adapter: Path | None) -> PreTrainedModel:
    """Base and adapter in plain transformers and peft, not merged."""
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    model = model if adapter is None else PeftModel.from_pretrained(model, adapter)
    model.train(mode=False)
    return model


def plain_logprobs(
    model: PreTrainedModel, ids: list[int], start: int, temperature: float
) -> torch.Tensor:
    """Log-probabilities of the tokens from `start` on, of one plain forward pass."""
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, start - 1 : -1]
    logprobs = torch.log_softmax(logits / temperature, dim=-1)
    return logprobs.gather(1, torch.tensor(ids[start:])[:, None])[:, 0]
