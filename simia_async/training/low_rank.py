"""LoRA's linear layers in fewer passes over memory than peft's own take, where that is the same."""

from types import MethodType
from typing import Any

import torch
from peft.tuners.lora import Linear


class _LowRankLinear(torch.autograd.Function):
    """x Wᵀ + b + scale · (x Aᵀ) Bᵀ (LoRA, arXiv 2106.09685), added up in place.

    x is (N, in), W (out, in), b (out) or None, A (rank, in), B (out, rank). W and b learn nothing.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x_ni: torch.Tensor,
        weight_oi: torch.Tensor,
        bias_o: torch.Tensor | None,
        down_ri: torch.Tensor,
        up_or: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        low_nr = x_ni @ down_ri.T
        ctx.save_for_backward(x_ni, low_nr, weight_oi, down_ri, up_or)
        ctx.scale = scale
        out_no = torch.nn.functional.linear(x_ni, weight_oi, bias_o)
        return out_no.addmm_(low_nr, up_or.T, alpha=scale)

    @staticmethod
    def backward(ctx: Any, grad_no: torch.Tensor) -> Any:
        x_ni, low_nr, weight_oi, down_ri, up_or = ctx.saved_tensors
        grad_low_nr = (grad_no @ up_or).mul_(ctx.scale)
        grad_x_ni = None
        if ctx.needs_input_grad[0]:
            grad_x_ni = (grad_no @ weight_oi).addmm_(grad_low_nr, down_ri)
        grad_up_or = (grad_no.T @ low_nr).mul_(ctx.scale)
        return grad_x_ni, None, None, grad_low_nr.T @ x_ni, grad_up_or, None


def quicken(model: torch.nn.Module) -> None:
    """Let the LoRA layers of `model` that are plain ones take the shorter way.

    Plain is: one adapter of the base's type, neither dropout nor a variant such as DoRA, and a base
    that does not learn. Others stay as they are.
    """
    for module in model.modules():
        if isinstance(module, Linear) and _is_plain(module):
            setattr(module, "forward", MethodType(_forward, module))  # noqa: B010 (a method)


def _is_plain(layer: Any) -> bool:
    base, names = layer.base_layer, layer.active_adapters
    if type(base) is not torch.nn.Linear or list(layer.lora_A) != list(names) or len(names) != 1:
        return False
    down, up = layer.lora_A[names[0]], layer.lora_B[names[0]]
    return (
        not layer.merged
        and names[0] not in layer.lora_variant
        and isinstance(layer.lora_dropout[names[0]], torch.nn.Identity)
        and down.bias is None
        and up.bias is None
        and base.weight.dtype == down.weight.dtype == up.weight.dtype
        and not base.weight.requires_grad
    )


def _forward(layer: Any, x: torch.Tensor) -> torch.Tensor:
    base, name = layer.base_layer, layer.active_adapters[0]
    if layer.disable_adapters:
        out: torch.Tensor = base(x)
        return out
    down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
    flat_ni = x.reshape(-1, x.shape[-1])
    out_no: torch.Tensor = _LowRankLinear.apply(  # type: ignore[no-untyped-call]
        flat_ni, base.weight, base.bias, down, up, layer.scaling[name]
    )
    return out_no.view(*x.shape[:-1], -1)
