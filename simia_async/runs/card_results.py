"""A card's parts on results: evaluations with their intervals, and meters."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from simia_store import Reader, StoreError

from simia_async.errors import UsageError
from simia_async.evaluation.bootstrap import Estimate
from simia_async.evaluation.paired import Paired
from simia_async.evaluation.pass_k import passes
from simia_async.runs.comparison import compare
from simia_async.runs.eval_record import Arm, Evaluation, read_evaluation
from simia_async.runs.record import run_name
from simia_async.synthesis.markdown import escaped, table

_METERS = ("luck/", "fidelity/", "agreement/")
"""What the metrics of meters begin with."""

_CONTAMINATION = {
    "training_texts": "tasks and conversations of training that were searched",
    "tasks": "evaluation tasks",
    "exact": "said alike in training",
    "near": "said nearly alike",
    "seed": "made of a seed that training data is made of",
    "shared_ids": "naming an id that training data names",
    "left_out": "left out of the evaluation",
}


def evaluation_sections(paths: Sequence[Path], of: Reader) -> list[str]:
    """pass^k of every evaluation, and what its policies are to each other. `of` is the run that
    the card is of, whose own held-out shares stand here too.
    """
    sections = ["## Evaluation", *_inside_training(of)]
    if not paths:
        return [*sections, "No evaluation was named (`simia card --eval`): not measured."]
    published = {adapter.path for adapter in of.adapters()}
    for path in paths:
        sections += _evaluation(path, read_evaluation(path))
        if published and path != of.path and not published & _played(path):
            sections.append("None of these policies is an adapter that the run of this card made.")
    return sections


def meter_sections(paths: Sequence[Path], of: Reader) -> list[str]:
    """What meters have measured, each in a run of its own, and what the run measured itself."""
    sections = ["## Meters"]
    own = [name for name in of.metric_names() if name.startswith(_METERS)]
    if own:
        sections += ["Measured by the run itself:", table(("measure", "value"), _measures(of, own))]
    for path in paths:
        with Reader(path) as reader:
            run = reader.run()
            kind = run.kind if run else "no"
            title = f"### {escaped(run_name(path))}: a run of kind {escaped(kind)}"
            measures = _measures(reader, reader.metric_names())
            sections += [title, table(("measure", "value"), measures)]
            if run is not None and run.status != "done":
                sections.append(f"It is {escaped(run.status)}, not done.")
    if not (own or paths):
        sections.append("No meter was named (`simia card --meter`): not measured.")
    return sections


def _inside_training(of: Reader) -> list[str]:
    run = of.run()
    names = [name for name in of.metric_names() if name.startswith("eval/")]
    if run is None or run.kind != "rl" or not names:
        return []
    count = run.config.get("eval_tasks")
    return [
        f"Inside training, on {count} held-out tasks, each once. The run picks its best adapter by "
        "these shares, so they flatter it, and they have no intervals:",
        table(("share", "after the last step"), _last(of, names)),
    ]


def _measures(reader: Reader, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What a meter found, each measure with its interval where it has one."""
    told = dict(_last(reader, names))
    ends = {f"{name}_{end}" for name in told for end in ("low", "high")}
    for name, value in told.items():
        low, high = told.get(f"{name}_low"), told.get(f"{name}_high")
        if name not in ends:
            yield name, value if low is None or high is None else f"{value} ({low}–{high})"


def _last(reader: Reader, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        yield name, f"{reader.metrics(name)[-1].value:.4g}"


def _evaluation(path: Path, played: Evaluation) -> list[str]:
    title = f"### {escaped(run_name(path))}: {escaped(played.environment.name)}, {played.run.kind}"
    if not played.is_whole:
        status = f"It is {escaped(played.run.status)}, not done: no figures are told of a part."
        return [title, status]
    compared = list(_compared(played))
    return [
        title,
        f"{len(_task_ids(played))} tasks ({played.run.config.get('split', 'heldout')}), counted by "
        f"an exact check; user and tools: {_simulator(path)}. Intervals are 95%, by bootstrap over "
        "tasks.",
        table(("policy", "sampled", "", "needs action", "no action", "all tasks"), _passes(played)),
        *_unfinished(played),
        *(
            ["Paired, task by task:", table(_PAIRED, compared)]
            if compared
            else ["No policy was compared with another."]
        ),
        *_contamination(path),
    ]


_PAIRED = ("policy", "against", "sampled", "tasks", "win/tie/loss", "p", "difference in pass^1")


def _passes(played: Evaluation) -> Iterator[tuple[object, ...]]:
    for arm, trials in played.arms.items():
        for each in passes(trials, _most(played, arm)):
            figures = map(_estimate, (each.needs_action, each.no_action, each.all))
            yield arm.policy, _sampled(arm.temperature), f"pass^{each.k}", *figures


def _most(played: Evaluation, arm: Arm) -> int:
    """Up to which k: as was asked for, as far as trials go."""
    fewest = min(len(task.solved) for task in played.arms[arm])
    return min(fewest, int(played.run.config.get("k") or fewest))


def _unfinished(played: Evaluation) -> list[str]:
    count = sum(task.unfinished for trials in played.arms.values() for task in trials)
    return [f"{count} trials did not end and count as not solved."] if count else []


def _compared(played: Evaluation) -> Iterator[tuple[object, ...]]:
    found = compare(played.arms, played.arms, None, 1)
    if place := played.run.config.get("baseline"):
        baseline = _baseline(Path(place), played)
        found += compare(played.arms, baseline.arms, place, 1) if baseline else []
    for each in found:
        against = f"{each.against} of {each.baseline}" if each.baseline else each.against
        start = (each.policy, against, _sampled(each.temperature))
        kinds = {"needs action": each.needs_action, "no action": each.no_action, "all": each.all}
        for name, pair in kinds.items():
            if pair is not None:
                yield *start, name, *_pair(pair)


def _baseline(path: Path, played: Evaluation) -> Evaluation | None:
    """What was compared with, if it is still there and the same."""
    with suppress(StoreError, UsageError):
        baseline = read_evaluation(path)
        if _task_ids(baseline) == _task_ids(played):
            return baseline
    return None


def _task_ids(played: Evaluation) -> set[str]:
    return {task.task_id for trials in played.arms.values() for task in trials}


def _simulator(path: Path) -> str:
    """Who played user and tools."""
    with Reader(path) as reader:
        models = {u.model for u in reader.usage() if u.role in ("user", "tool", "joint")}
    return escaped(", ".join(sorted(models)) or "no model")


def _pair(pair: Paired) -> tuple[str, str, str]:
    of = pair.differences[0].of
    difference = f"{of.value:+.2f} ({of.low:+.2f} to {of.high:+.2f})"
    return f"{pair.wins}/{pair.ties}/{pair.losses}", f"{pair.p_value:.3g}", difference


def _contamination(path: Path) -> list[str]:
    with Reader(path) as reader:
        found = {name: reader.metrics(f"contamination/{name}") for name in _CONTAMINATION}
    rows = [(words, round(found[n][-1].value)) for n, words in _CONTAMINATION.items() if found[n]]
    if not rows:
        return ["Not measured: whether training data holds these tasks (`--check-against`)."]
    return ["What training data holds of these tasks:", table(("tasks", "count"), rows)]


def _played(path: Path) -> set[str]:
    with Reader(path) as reader:
        return {adapter.path for adapter in reader.adapters()}


def _sampled(temperature: float | None) -> str:
    if temperature is None:
        return "not told"
    return f"T={temperature:g}" if temperature else "greedy"


def _estimate(estimate: Estimate | None) -> str:
    if estimate is None:
        return "no such task"
    return f"{estimate.value:.2f} ({estimate.low:.2f}–{estimate.high:.2f})"
