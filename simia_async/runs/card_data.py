"""A card's part on data: the environment, tasks and seeds, what was kept and what was not."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from simia_store import Reader, RunRecord, StoreError, TrajectoryStatus

from simia_async.synthesis.funnel import Funnel, funnel_of
from simia_async.synthesis.markdown import table


def data_sections(reader: Reader, run: RunRecord) -> list[str]:
    """Where the data comes from, and what became of it."""
    sections = ["## Data", table(("what", "value"), _origin(reader, run))]
    funnel = funnel_of(reader)
    if run.kind == "generate" or funnel.simulated:
        sections += ["Kept for training, and not:", table(("step", "count"), _filtered(funnel))]
    outcomes = [(o.status, o.cause, o.count) for o in reader.outcomes()]
    if outcomes:
        title = "Conversations by outcome; one without a reward is not one with a reward of 0:"
        sections += [title, table(("status", "because of", "count"), outcomes)]
    return sections


def _origin(reader: Reader, run: RunRecord) -> Iterator[tuple[str, object]]:
    for environment in [reader.environment()] if reader.row_counts()["environments"] else []:
        yield "environment", f"{environment.name} ({len(environment.tools)} tools)"
        if environment.digest:
            yield "SHA-256 of its state and effects", environment.digest
    tasks = Counter((record.split, record.status) for record in reader.tasks())
    for (split, status), count in sorted(tasks.items()):
        yield f"tasks, {split}", count if status == "ready" else f"{count} {status}"
    if "tasks_file" in run.config:
        yield "tasks are from", run.config["tasks_file"] or "the environment"
    if "seed" in run.config:
        yield "seed of chance", run.config["seed"]
    data = run.config.get("data")
    for name in [data] if isinstance(data, str) else data or ():
        yield "learnt from", _learnt_from(Path(name))


def _learnt_from(data: Path) -> str:
    """What is there now of a run that was trained on."""
    try:
        with Reader(data) as reader:
            run = reader.run()
            kept = sum(o.count for o in reader.outcomes() if o.status == TrajectoryStatus.KEPT)
            name = reader.environment().name
    except StoreError:
        return f"{data} (not there any more, so nothing is told of it)"
    return f"{data}: {run.kind if run else 'a'} run of {name}, {kept} kept trajectories"


def _filtered(funnel: Funnel) -> Iterator[tuple[str, object]]:
    if funnel.played:
        yield "played", funnel.played
        yield "given a reward", funnel.scored
        yield "good enough to be kept", funnel.simulated
    else:
        yield "seeds read", funnel.seeds_read
        for cause, count in funnel.seeds_rejected.items():
            yield f"seeds not used: {cause}", count
        yield "seeds used", funnel.seeds_used
        yield "simulated", funnel.simulated
    for rule, count in funnel.repaired.items():
        yield f"repaired by rule {rule}", count
    for cause, count in (funnel.rejected | funnel.duplicates).items():
        yield f"rejected as {cause}", count
    if funnel.under_way:
        yield "not ended, or not yet told from those before", funnel.under_way
    yield "kept", funnel.kept
