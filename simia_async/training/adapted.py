"""A base model whose adapter is trained: its parameters, its optimizer, and their state to keep."""

from typing import Any

import torch

from simia_async.training.losses import clip_gradients
from simia_async.training.processes import ALONE, Processes

Tensors = dict[str, torch.Tensor]


class AdaptedModel:
    """A model with AdamW (arXiv 1711.05101) on the parameters of its adapter alone.

    Where several `processes` train it, each has all of the adapter and of the optimizer, and takes
    the same steps.
    """

    def __init__(
        self,
        model: Any,
        *,
        learning_rate: float,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
        processes: Processes = ALONE,
    ) -> None:
        self.model = model
        self.processes = processes
        self._trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self._parameters = list(self._trained.values())
        self._optimizer = torch.optim.AdamW(
            self._parameters, lr=learning_rate, weight_decay=weight_decay, betas=betas
        )

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        device: torch.device = self._parameters[0].device
        return device

    def set_rate(self, rate: float) -> None:
        """Learn at this rate from now on."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate

    def clip_gradients(self, limit: float) -> float:
        """Add up the gradients of all processes and scale them to a norm of at most `limit`; return
        the norm they had.

        Raises `UsageError` if it is not finite.
        """
        self._add_up_gradients()
        return clip_gradients(self._parameters, limit)

    def take_step(self) -> None:
        """One optimizer step on the gradients, which are none afterwards."""
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def _add_up_gradients(self) -> None:
        if self.processes.count == 1:
            return
        gradients = [each.grad for each in self._parameters if each.grad is not None]
        # In one piece, since each sum waits for all processes.
        summed = self.processes.sums(torch.cat([each.flatten() for each in gradients]))
        pieces = torch.split(summed, [each.numel() for each in gradients])
        for gradient, piece in zip(gradients, pieces, strict=True):
            gradient.copy_(piece.view_as(gradient))

    def weights(self) -> Tensors:
        """A copy of the adapter's parameters by name, in main memory."""
        return {name: p.detach().cpu().clone() for name, p in self._trained.items()}

    def set_weights(self, weights: Tensors) -> None:
        """Put the adapter's parameters back."""
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(weights[name])

    def optimizer_state(self) -> Tensors:
        """What the optimizer remembers: `<number of the parameter>/<name>`."""
        states = self._optimizer.state_dict()["state"]
        return {f"{n}/{key}": value for n, state in states.items() for key, value in state.items()}

    def set_optimizer_state(self, tensors: Tensors) -> None:
        """Go on from `optimizer_state`."""
        states: dict[int, Tensors] = {}
        for name, value in tensors.items():
            number, key = name.split("/")
            states.setdefault(int(number), {})[key] = value
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": states, "param_groups": groups})
