"""Attention over packed rows: each sample sees itself alone, and no work is spent on the rest."""

from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from simia_async.errors import UsageError

PACKED = "simia_packed"
"""Name of this attention, as `from_pretrained` takes it."""


def _attend_apart(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    _mask: torch.Tensor | None,
    *,
    sample_lengths: list[int] | None = None,
    shared_start: int = 0,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each of the samples that lie side by side in the row.

    The first `shared_start` positions of the row are the beginning of every sample.
    """
    lengths = sample_lengths or [query.shape[2]]
    kwargs["is_causal"] = True
    apart = (_completed(states, lengths, shared_start) for states in (query, key, value))
    pieces = [
        sdpa_attention_forward(module, q, k, v, None, **kwargs)[0]
        for q, k, v in zip(*apart, strict=True)
    ]
    pieces[1:] = [piece[:, shared_start:] for piece in pieces[1:]]
    return torch.cat(pieces, dim=1), None


def _completed(states: torch.Tensor, lengths: list[int], shared: int) -> list[torch.Tensor]:
    """The states of each sample, with the beginning that stands in the row once."""
    first, *others = torch.split(states, lengths, dim=2)
    if not shared:
        return [first, *others]
    beginning = first[:, :, :shared]
    return [first, *(torch.cat([beginning, other], dim=2) for other in others)]


AttentionInterface.register(PACKED, _attend_apart)


def check_packable(config: Any, model: str) -> None:
    """Raise `UsageError` if the model's layers do not all attend to everything before."""
    kinds = getattr(config, "layer_types", None)
    window = getattr(config, "sliding_window", None)
    if (kinds is None and window) or any(kind != "full_attention" for kind in kinds or ()):
        raise UsageError(
            f"{model}: its layers do not all have full attention, which packing keeps samples "
            "apart in; use --no-packing"
        )
