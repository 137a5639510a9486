"""A card's part on training: adapters, what was learnt from and what was not, curves in short."""

import math
from collections.abc import Iterator
from pathlib import Path

from simia_store import Reader, RunRecord

from simia_async.synthesis.markdown import table

_DROPS = {
    "trained": "learnt from",
    "masked": "not: without a reward",
    "zero_variance": "not: all of the group did as well",
    "stale": "not: played by a policy that is too old",
    "overflow": "not: too long",
    "unspoken": "not: the policy did not get to speak",
    "overlong": "learnt from, with the reward lowered for the length",
}
_ONCE = {"too_long": "left out as too long", "unspoken": "left out: the agent says nothing"}
"""What SFT says of all its data at every step."""
_CURVES = (
    *("rollout/reward_mean", "rollout/solved_needs_action", "rollout/solved_no_action"),
    *("eval/needs_action", "eval/no_action", "eval/needs_action@T=1", "eval/no_action@T=1"),
    *("train/loss", "train/eval_loss", "train/kl", "train/kl_reference", "train/entropy"),
    *("train/clip_fraction", "train/grad_norm", "train/staleness", "train/learning_rate"),
    *("rollout/tokens", "rollout/turns", "rollout/tool_error_rate", "rollout/no_reward"),
)
"""Metrics that are told of; and those of the hidden judge, whatever they are."""


def training_sections(reader: Reader, run: RunRecord) -> list[str]:
    """Nothing for a run that does not train."""
    if run.kind not in ("sft", "rl"):
        return []
    adapters = [
        (a.version, a.step, a.path if Path(a.path).is_dir() else f"{a.path} (not there any more)")
        for a in reader.adapters()
    ]
    drops = _left_out(reader) if run.kind == "sft" else _learnt_from(reader)
    return [
        "## Training",
        table(("began with", ""), _began_with(run)),
        "Adapters:",
        table(("version", "step", "directory"), adapters),
        "What was learnt from, and what was not:",
        table(("rollouts" if run.kind == "rl" else "trajectories", "count"), drops),
        "Curves in short:",
        table(("metric", "first", "lowest", "highest", "last", "values"), _curves(reader)),
    ]


def _began_with(run: RunRecord) -> Iterator[tuple[str, object]]:
    policy = run.config.get("policy") or {}
    yield "base", policy.get("tokenizer") or run.config.get("model")
    yield "adapter", run.config.get("adapter") or "none"


def _learnt_from(reader: Reader) -> Iterator[tuple[str, object]]:
    yield "played", _total(reader, "rollouts")
    for name, words in _DROPS.items():
        yield words, _total(reader, name)


def _total(reader: Reader, name: str) -> int:
    """Over steps."""
    return round(sum(metric.value for metric in reader.metrics(f"train/{name}")))


def _left_out(reader: Reader) -> Iterator[tuple[str, object]]:
    for name, words in _ONCE.items():
        values = reader.metrics(f"train/{name}")
        if values:
            yield words, round(values[-1].value)


def _curves(reader: Reader) -> Iterator[tuple[object, ...]]:
    names = reader.metric_names()
    audited = [name for name in names if name.startswith("audit/")]
    for name in (*(name for name in _CURVES if name in names), *audited):
        # A step that was cut off is measured again: its last value counts.
        steps = {metric.step: metric.value for metric in reader.metrics(name)}
        values = [value for value in steps.values() if math.isfinite(value)]
        if values:
            shown = (values[0], min(values), max(values), values[-1])
            yield name, *(f"{value:.4g}" for value in shown), len(values)
