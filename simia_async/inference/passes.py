"""One forward pass over some rows of the cache."""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from simia_async.inference.slot_cache import SlotCache

_DENSE = 0.5
"""Share of a stretch of rows from which on it is cheaper to compute the others along with them than
to copy the keys and values of these together."""


def last_logits(
    model: PreTrainedModel,
    cache: SlotCache,
    slots: Sequence[int],
    starts: Sequence[int],
    new_ids: Sequence[list[int]],
) -> torch.Tensor:
    """Logits behind the last of each row's new ids, which begin at `starts`.

    `slots` ascend. Shorter rows are padded on the right.
    """
    width = max(map(len, new_ids))
    slots_b, first = torch.tensor(slots), slots[0]
    span = slots[-1] + 1 - first
    if span == len(slots) or (width == 1 and len(slots) >= _DENSE * span):
        rows: slice | torch.Tensor = slice(first, first + span)
        places_b, count = slots_b - first, span
    else:
        rows, places_b, count = slots_b, torch.arange(len(slots)), len(slots)
    # A row that is computed only because it lies between others is not written, and sees one token.
    ids_rt = torch.zeros(count, width, dtype=torch.long)
    starts_r = torch.zeros(count, dtype=torch.long)
    ids_rt[places_b] = torch.tensor([ids + [0] * (width - len(ids)) for ids in new_ids])
    starts_r[places_b] = torch.tensor(starts)
    positions_rt = starts_r[:, None] + torch.arange(width)
    cache.aim(slots_b, positions_rt[places_b], rows, places_b)
    last_b = torch.tensor([len(ids) - 1 for ids in new_ids])
    kept, where_b = torch.unique(last_b, return_inverse=True)
    seen = torch.arange(int(positions_rt.max()) + 1)
    logits_rkv: torch.Tensor = model(
        input_ids=ids_rt,
        attention_mask=(seen <= positions_rt[:, :, None])[:, None],
        position_ids=positions_rt,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=kept,
    ).logits
    return logits_rkv[places_b, where_b]
