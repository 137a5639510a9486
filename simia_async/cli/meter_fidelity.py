"""`simia meter fidelity`."""

from collections import Counter
from collections.abc import Callable

import typer
from rich.table import Table
from rich.text import Text
from simia_store import printable

from simia_async.cli import options
from simia_async.cli.generate import cost_note
from simia_async.cli.meter_common import DryRun, Resume, Yes, agree_on_cost, or_fail, told
from simia_async.cli.output import AsJson, print_json, progress_bar, report, run, show, stdout
from simia_async.config import FidelityConfig
from simia_async.meters.fidelity import Fidelity
from simia_async.meters.figures import Figure
from simia_async.runs.fidelity import FidelityPlan, plan_fidelity, run_fidelity
from simia_async.runs.fidelity_result import FidelityResult
from simia_async.runs.meter_session import MeterProgress
from simia_async.runs.record import default_path

_REASONS = 3
"""Reasons that are shown for answers that could not be used."""

_KINDS = {"changes": "change the world", "looks up": "look up", "unknown": "may do either"}
_FIGURES = {
    "usable": "usable",
    "error_agreement": "errors agree",
    "errors_met": "errors met",
    "successes_met": "successes met",
    "exact": "exact",
    "keys_f1": "keys F1",
    "leaves_f1": "values F1",
    "consistent": "consistent",
}
_OF_TOOLS = {
    "usable": "usable",
    "error_agreement": "errors",
    "exact": "exact",
    "keys_f1": "keys",
    "leaves_f1": "values",
    "consistent": "consistent",
}


@options.takes_settings(FidelityConfig, resume="resume")
def fidelity(
    path: options.Run = None,
    resume: Resume = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    *,
    config: FidelityConfig,
) -> None:
    """How true the simulator's tools are to recorded ones.

    The simulator is asked for every observation of recorded conversations, given what was recorded
    before it, and each is held against the recorded one. What it will cost is told before anything
    is asked. Run it again on the same database, or with --resume, to go on where it was cut off.
    """
    plan = or_fail(plan_fidelity, config, resume or path or default_path("fidelity"))
    _tell_left_out(plan)
    agree_on_cost(plan.estimate, yes=yes, dry_run=dry_run)

    async def main() -> FidelityResult:
        with progress_bar("meter fidelity", hidden=as_json) as bar:

            def show_progress(progress: MeterProgress) -> None:
                bar.update(progress.done, progress.wanted, f"calls{cost_note(progress.spending)}")

            return await run_fidelity(plan, report=report, on_progress=show_progress)

    result = run(main)
    if as_json:
        print_json(result)
    else:
        print_result(result)
    if result.measured < result.wanted:
        raise typer.Exit(1)


def _tell_left_out(plan: FidelityPlan) -> None:
    if plan.undeclared:
        tools = ", ".join(f"{name} ({n})" for name, n in sorted(plan.undeclared.items()))
        report(f"left out are calls of tools that the environment does not declare: {tools}")
    if plan.unanswered:
        report(f"left out are {plan.unanswered} calls that no observation answers")
    if plan.by_name:
        report(
            "the environment does not declare whether these change the world, so their names "
            f"decide: {', '.join(f'{name} ({plan.kinds[name]})' for name in plan.by_name)}"
        )


def print_result(result: FidelityResult) -> None:
    """The figures, by kind of call and by tool, and the baselines."""
    by_code = f", {result.by_code} of them answered by code" if result.by_code else ""
    show("measured", f"{result.measured} of {result.wanted} calls{by_code}")
    show("of", f"{result.conversations} conversations")
    found = result.report
    kinds = {_KINDS[kind]: part for kind, part in found.by_kind.items()}
    _print_figures("the simulator, 95% intervals", {"all calls": found.overall} | kinds)
    _print_figures("answers without a model", found.baselines)
    _print_tools(found.by_tool)
    _print_reasons(result.unusable)
    if result.budget_spent:
        show("left", f"{result.wanted - result.measured}: the budget is spent")
    elif result.failed:
        show("failed", f"{result.failed}; run it again to ask for them")
    if result.spending.spent_usd is not None:
        show("spent", f"${result.spending.spent_usd:.4f}")
    show("run", result.run)


def _print_figures(title: str, parts: dict[str, Fidelity]) -> None:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for name, part in parts.items():
        table.add_column(f"{name}\n{part.calls} calls", justify="right")
    for field, heading in _FIGURES.items():
        cells = [_cell(getattr(part, field), part.calls, told) for part in parts.values()]
        table.add_row(heading, *cells)
    stdout.print(table)


def _print_tools(tools: dict[str, Fidelity]) -> None:
    table = Table(title="by tool, in percent", title_justify="left")
    table.add_column("tool", overflow="fold")
    table.add_column("n", justify="right")
    for heading in _OF_TOOLS.values():
        table.add_column(heading, justify="right")
    for name, part in tools.items():
        cells = [_cell(getattr(part, field), part.calls, _briefly) for field in _OF_TOOLS]
        table.add_row(Text(printable(name)), str(part.calls), *cells)
    stdout.print(table)


def _cell(figure: Figure, calls: int, tell: Callable[[Figure], str]) -> str:
    """A figure; what it was measured on stands with it where that is not all calls."""
    of = f"\nof {figure.n}" if figure.value is not None and figure.n != calls else ""
    return f"{tell(figure)}{of}"


def _briefly(figure: Figure) -> str:
    if figure.value is None:
        return "–"
    interval = ""
    if figure.low is not None and figure.high is not None:
        interval = f"\n{figure.low:.0%}–{figure.high:.0%}".replace("%", "")
    return f"{figure.value:.0%}".replace("%", "") + interval


def _print_reasons(reasons: Counter[str]) -> None:
    for reason, count in reasons.most_common(_REASONS):
        show("unusable", f"{count} times: {reason}")
    if len(reasons) > _REASONS:
        show("unusable", f"for {len(reasons) - _REASONS} more reasons, see simia report")
