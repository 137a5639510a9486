"""A base that lies on many devices, a share of every layer on each (FSDP2)."""

from typing import Any

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers.modeling_layers import GradientCheckpointingLayer

from simia_async.errors import UsageError
from simia_async.training.processes import Processes


def shard_base(model: Any, device: torch.device, processes: Processes) -> None:
    """Divide the frozen weights of the decoder's layers between the processes, and move everything
    to `device`. While a layer computes, all of it is gathered there.

    The adapter, and what lies outside the layers (embedding, last norm, output), is whole in every
    process. Source: https://docs.pytorch.org/docs/stable/distributed.fsdp.fully_shard.html

    Raises `UsageError` for a model whose layers are not told apart.
    """
    mesh = init_device_mesh(device.type, (processes.count,))
    decoder = model.get_base_model().get_decoder()
    layers = [each for each in decoder.modules() if isinstance(each, GradientCheckpointingLayer)]
    if not layers:
        raise UsageError("--launch: this model cannot be divided by its layers; leave it out")
    for layer in layers:
        adapter = {parameter for parameter in layer.parameters() if parameter.requires_grad}
        fully_shard(layer, mesh=mesh, reshard_after_forward=True, ignored_params=adapter)
    whole = {each for each in model.parameters() if not hasattr(each, "device_mesh")}
    # It holds nothing itself; it is what knows the order of the layers.
    fully_shard(decoder, mesh=mesh, reshard_after_forward=True, ignored_params=whole)
    for tensor in (*whole, *model.buffers()):
        tensor.data = tensor.data.to(device)
