"""Settings of every kind of run. Defaults are the embedded, offline ones."""

import math
from typing import Literal

import msgspec

from simia_async.config.bounds import at_least_one, positive
from simia_async.config.endpoint import Endpoint
from simia_async.errors import ConfigError

TINY = "builtin/tiny"
"""Name of the tiny base policy that ships with simia-async."""

RunKind = Literal["generate", "sft", "rl", "eval"]


def _fit_for_a_seed(value: int) -> None:
    if not 0 <= value < 2**31:
        raise ConfigError(f"seed: found {value}; it must be at least 0 and below 2**31")


class GenerateConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Simia-SFT: amplify seeds into `n` kept trajectories."""

    environment: str = "mini-retail"
    seeds: str | None = None
    """JSONL file; None: the seeds that come with the environment."""
    n: int = 64
    """Trajectories to keep; simulation stops at 1.5 times as many."""
    keep_failed: bool = False
    """Also amplify seeds whose true reward is 0."""
    declare_tools: tuple[str, ...] = ()
    """Tools to declare with a schema inferred from the seeds' calls."""
    seed: int = 0
    simulator: Endpoint = Endpoint()

    def __post_init__(self) -> None:
        at_least_one("n", self.n)
        _fit_for_a_seed(self.seed)


class SftConfig(msgspec.Struct, frozen=True, kw_only=True):
    """LoRA supervised fine-tuning on a run's kept trajectories."""

    model: str = TINY
    epochs: int = 3
    learning_rate: float = 4e-3
    tokens_per_batch: int = 2048
    lora_rank: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        at_least_one("epochs", self.epochs)
        at_least_one("tokens_per_batch", self.tokens_per_batch)
        at_least_one("lora_rank", self.lora_rank)
        positive("learning_rate", self.learning_rate)
        _fit_for_a_seed(self.seed)


class RolloutConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What training and evaluation by rollouts have in common."""

    environment: str = "mini-retail"
    model: str = TINY
    max_turns: int = 14
    """How often the policy may speak in a conversation."""
    max_tokens: int = 110
    """Limit of one turn of the policy."""
    context: int = 1024
    """Limit of a whole conversation, in tokens."""
    seed: int = 0
    simulator: Endpoint = Endpoint()

    def __post_init__(self) -> None:
        for name in ("max_turns", "max_tokens", "context"):
            at_least_one(name, getattr(self, name))
        _fit_for_a_seed(self.seed)


class GrpoConfig(RolloutConfig, frozen=True, kw_only=True):
    """Simia-RL: GRPO on rollouts in the simulated world. On-policy: rollouts, then the step."""

    adapter: str | None = None
    """Adapter to start from, such as SFT's; None starts from the base."""
    steps: int = 3
    groups: int = 8
    group_size: int = 8
    learning_rate: float = 1e-3
    clip_low: float = 0.2
    clip_high: float = 0.28
    tokens_per_batch: int = 6000
    lora_rank: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("steps", "groups", "tokens_per_batch", "lora_rank"):
            at_least_one(name, getattr(self, name))
        for name in ("learning_rate", "clip_low", "clip_high"):
            positive(name, getattr(self, name))
        if self.group_size < 2:
            raise ConfigError(
                f"group_size: found {self.group_size}; group-relative advantages need at least 2"
            )


class EvalConfig(RolloutConfig, frozen=True, kw_only=True):
    """Held-out evaluation with the world's exact check."""

    adapters: tuple[str, ...] = ()
    """Adapter directories; the base is always evaluated too."""
    tasks: int = 60
    temperature: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one("tasks", self.tasks)
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ConfigError(f"temperature: found {self.temperature}; it must be at least 0")
