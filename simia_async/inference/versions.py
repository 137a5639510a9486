"""The base and the adapters loaded beside it, by name."""

from pathlib import Path

import torch
from transformers import PreTrainedModel

from simia_async.errors import UnknownModel, UsageError
from simia_async.inference.weights import load_base, merged
from simia_async.models import policy_name

BASE = policy_name(0)


class Versions:
    """`policy@0` is the base. Raises `UsageError` for a model whose kind of attention cannot be
    served.

    A name is *open* while it takes requests: loaded, and not about to be unloaded.
    """

    def __init__(self, model_dir: Path) -> None:
        base = load_base(model_dir)
        self.context: int = base.config.max_position_embeddings
        self.layers: int = base.config.num_hidden_layers
        embedding = base.get_input_embeddings()
        assert isinstance(embedding, torch.nn.Embedding)
        self.vocabulary = embedding.num_embeddings
        """Token ids are below this."""
        self._weights = {BASE: base}
        self._paths = {BASE: model_dir}
        self._open = {BASE}

    def __getitem__(self, name: str) -> PreTrainedModel:
        return self._weights[name]

    @property
    def open(self) -> dict[str, Path]:
        """Names that can be asked for, and where each was loaded from; the oldest first."""
        return {name: path for name, path in list(self._paths.items()) if name in self._open}

    def require(self, name: str) -> None:
        """Raises `UnknownModel` if the name is not open."""
        if name not in self._open:
            raise UnknownModel(f"no model {name!r}; loaded: {', '.join(self.open)}")

    def load(self, name: str, path: Path) -> None:
        """Load an adapter; what is loaded already from there may be loaded again.

        Raises `UsageError` if it does not fit, or if the name is taken.
        """
        if name not in self._weights:
            self._weights[name] = merged(self._weights[BASE], path)
            self._paths[name] = path
            self._open.add(name)
        elif self._paths[name] != path:
            raise UsageError(f"the adapter {name!r} is loaded already, from another path")

    def close(self, name: str) -> None:
        """Take no more requests for an adapter. Raises `UsageError` if it is not open."""
        if name not in self._open or name == BASE:
            raise UsageError(f"no adapter {name!r} is loaded")
        self._open.remove(name)

    def unload(self, name: str) -> None:
        """Let the weights of a closed adapter go."""
        del self._weights[name], self._paths[name]
