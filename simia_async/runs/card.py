"""One honest page on a run: data, simulator, judge, training, meters, results, and limits.

Everything in it is read from runs' records. Names, reasons and whatever else a model or a user
wrote is data: none of it is markup.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from simia_store import Reader, RunRecord

from simia_async.config import SCRIPTED
from simia_async.errors import UsageError
from simia_async.runs.card_data import data_sections
from simia_async.runs.card_judge import judge_sections
from simia_async.runs.card_results import evaluation_sections, meter_sections
from simia_async.runs.card_training import training_sections
from simia_async.runs.card_usage import simulator_sections, usage_sections
from simia_async.runs.own_settings import own_settings
from simia_async.runs.record import run_name
from simia_async.synthesis.markdown import address, day, escaped, table

Sections = list[str]

_METERED = {
    "luck": "the luck of the world",
    "fidelity": "the fidelity of the simulator",
    "agreement": "the agreement of the judge",
}
"""What meters tell of, by the kind of their run, which is also what their metrics begin with."""


def run_card(path: Path, evaluations: Sequence[Path] = (), meters: Sequence[Path] = ()) -> str:
    """The page on the run at `path`, with the results of evaluations and meters beside it, as
    Markdown.

    Raises `StoreError` for what is no run, and `UsageError` for one that has not begun, or for an
    evaluation that is none.
    """
    with Reader(path) as reader:
        run = reader.run()
        if run is None:
            raise UsageError(f"{path}: no run was begun there, so there is nothing to tell of")
        is_evaluation = run.kind in ("eval", "tau2")
        parts: list[Callable[[], Sections]] = [
            lambda: _head(path, reader, run),
            lambda: data_sections(reader, run),
            lambda: simulator_sections(reader, run),
            lambda: judge_sections(reader),
            lambda: training_sections(reader, run),
            lambda: evaluation_sections(
                [path, *evaluations] if is_evaluation else evaluations, reader
            ),
            lambda: meter_sections(meters, reader),
            lambda: usage_sections(reader),
            lambda: _settings(run),
            lambda: ["## Limits", _limits(reader, run, evaluations, meters)],
        ]
        return "\n\n".join(section for part in parts for section in part()) + "\n"


def _head(path: Path, reader: Reader, run: RunRecord) -> Sections:
    sessions = reader.sessions()
    cut_off = sum(each.ended_at is None for each in sessions[:-1])
    rows: list[tuple[str, object]] = [
        ("kind", run.kind),
        ("status", f"{run.status}: {run.reason}" if run.reason else run.status),
        ("began", day(run.started_at)),
        ("ended", day(run.finished_at) if run.finished_at else "not yet"),
        ("sessions", f"{len(sessions)}, of which {cut_off} were cut off"),
        ("written by", "simia-async " + ", ".join(sorted({each.version for each in sessions}))),
        ("id", run.id),
    ]
    return [
        f"# Card of a run: {escaped(run_name(path))}",
        "Made by `simia card` from the records of the runs that it names. What was not measured "
        "is said to be not measured.",
        table(("run", ""), rows),
    ]


def _settings(run: RunRecord) -> Sections:
    """Those that are not left to their defaults."""
    values, others_are_defaults = own_settings(run)
    rows = [(name, _value(value)) for name, value in values.items()]
    left = ["All others are the defaults of the version above."] if others_are_defaults else []
    return ["## Settings", table(("setting", "value"), rows), *left]


def _value(value: Any) -> str:
    if isinstance(value, str):
        return address(value) if "://" in value else value
    return msgspec.json.encode(value).decode()


def _limits(
    reader: Reader, run: RunRecord, evaluations: Sequence[Path], meters: Sequence[Path]
) -> str:
    """What a reader might take for granted and must not."""
    is_audited = any(name.startswith("audit/") for name in reader.metric_names())
    lines = []
    if run.kind != "tau2":
        lines.append(
            "Users and tools are simulated, not real: figures of the simulated world tell of that "
            "world. How far it agrees with the real one only a meter tells."
        )
    if any(usage.model == SCRIPTED for usage in reader.usage()):
        lines.append("The scripted simulator is rule-based, not an LLM.")
    if run.config.get("world") == "transcript":
        lines.append("No state was kept: observations of one conversation may contradict another.")
    if not (evaluations or run.kind in ("eval", "tau2")):
        lines.append("Not measured here: how a policy does on tasks that it was not trained on.")
    if missing := _not_metered(reader, meters):
        lines.append(
            f"Not measured here: {', '.join(missing)} (`simia meter`, and `simia card --meter`)."
        )
    if run.kind == "rl" and not is_audited:
        lines.append("Not measured: whether a hidden second judge agrees with the rewards.")
    if run.status != "done":
        lines.append(f"The run is {run.status}, not done: this page tells of a part of it.")
    lines.append("One run is one seed: how much the next would differ is not measured.")
    return "\n".join(f"- {line}" for line in lines)


def _not_metered(of: Reader, meters: Sequence[Path]) -> list[str]:
    """What neither the run itself nor one of these meters tells of."""
    kinds = {name.partition("/")[0] for name in of.metric_names()}
    for path in meters:
        with Reader(path) as reader:
            run = reader.run()
            kinds.add(run.kind if run else "")
    return [what for kind, what in _METERED.items() if kind not in kinds]
