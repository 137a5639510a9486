"""`simia meter judge`."""

import typer
from rich.table import Table
from rich.text import Text
from simia_store import printable

from simia_async.cli import options
from simia_async.cli.generate import cost_note
from simia_async.cli.meter_common import DryRun, Resume, Yes, agree_on_cost, or_fail, told
from simia_async.cli.output import AsJson, print_json, progress_bar, report, run, show, stdout
from simia_async.config import AgreementConfig
from simia_async.meters.agreement import Agreement
from simia_async.runs.agreement import AgreementPlan, plan_agreement, run_agreement
from simia_async.runs.agreement_result import AgreementResult
from simia_async.runs.meter_session import MeterProgress
from simia_async.runs.record import default_path

_REASONS = 3
"""Reasons that are shown for verdicts that could not be used."""


@options.takes_settings(AgreementConfig, resume="resume")
def judge(
    path: options.Run = None,
    resume: Resume = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    *,
    config: AgreementConfig,
) -> None:
    """How far the judge agrees with true rewards.

    It judges recorded conversations whose rewards are known, as it would judge rollouts. What it
    will cost is told before anything is asked. Run it again on the same database, or with
    --resume, to go on where it was cut off.
    """
    plan = or_fail(plan_agreement, config, resume or path or default_path("agreement"))
    _tell_left_out(plan)
    agree_on_cost(plan.estimate, yes=yes, dry_run=dry_run)

    async def main() -> AgreementResult:
        with progress_bar("meter judge", hidden=as_json) as bar:

            def show_progress(progress: MeterProgress) -> None:
                note = f"conversations{cost_note(progress.spending)}"
                bar.update(progress.done, progress.wanted, note)

            return await run_agreement(plan, report=report, on_progress=show_progress)

    result = run(main)
    if as_json:
        print_json(result)
    else:
        print_result(result)
    if result.answered < result.wanted:
        raise typer.Exit(1)


def _tell_left_out(plan: AgreementPlan) -> None:
    if plan.without_reward:
        report(f"left out are {plan.without_reward} conversations without a true reward")
    if plan.incomplete:
        report(f"left out are {plan.incomplete} conversations of which the file tells not all")


def print_result(result: AgreementResult) -> None:
    """The figures, the confusion, calibration, and the kinds of failure."""
    show("judge", result.judge)
    show("verdicts", f"{told(result.verdicts)} of {result.verdicts.n} conversations")
    found = result.agreement
    if found.conversations:
        _print_figures(found)
        _print_kinds(result)
        _print_calibration(found)
    else:
        show("agreement", "none can be told: no verdict came that could be used")
    for reason, count in result.unusable.most_common(_REASONS):
        show("unusable", f"{count} times: {reason}")
    if result.budget_spent:
        show("left", f"{result.wanted - result.answered}: the budget is spent")
    elif result.failed:
        show("failed", f"{result.failed}; run it again to judge them")
    if result.spending.spent_usd is not None:
        show("spent", f"${result.spending.spent_usd:.4f}")
    show("run", result.run)


def _print_figures(found: Agreement) -> None:
    table = Table(title="against the true rewards, 95% intervals", title_justify="left")
    for heading in ("figure", "value", "n"):
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    for name, figure, percent in (
        ("accuracy", found.accuracy, True),
        ("accuracy of always the more frequent", found.majority, True),
        ("Cohen's kappa", found.kappa, False),
        ("true successes found", found.successes_found, True),
        ("true failures found", found.failures_found, True),
        ("reward above the true one (bias)", found.bias, False),
        ("Brier score (0 is best)", found.brier, False),
        ("calibration error, ECE (0 is best)", found.ece, False),
    ):
        table.add_row(name, told(figure, percent=percent), str(figure.n))
    stdout.print(table)
    show("confusion", "; ".join(f"{n} {name}" for name, n in found.confusion.items()))


def _print_kinds(result: AgreementResult) -> None:
    table = Table(title="accuracy by what became of the task", title_justify="left")
    for heading in ("in truth", "n", "judged rightly"):
        table.add_column(heading, justify="left" if heading == "in truth" else "right")
    for kind, figure in result.agreement.by_kind.items():
        table.add_row(Text(printable(kind), overflow="fold"), str(figure.n), told(figure))
    stdout.print(table)


def _print_calibration(found: Agreement) -> None:
    """Only where rewards are graded: of two values the confusion tells all."""
    if len(found.bins) < 3:
        return
    table = Table(title="calibration", title_justify="left")
    for heading in ("judged", "n", "mean judged", "mean true"):
        table.add_column(heading, justify="right")
    for part in found.bins:
        table.add_row(
            f"{part.low:.1f}–{part.high:.1f}", str(part.n), f"{part.judged:.2f}", f"{part.true:.2f}"
        )
    stdout.print(table)
