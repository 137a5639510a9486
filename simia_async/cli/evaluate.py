"""`simia eval`."""

from rich.table import Table
from rich.text import Text
from simia_store import printable

from simia_async.cli import options
from simia_async.cli.output import AsJson, print_json, progress_bar, report, run, show, stdout
from simia_async.config import EvalConfig
from simia_async.evaluation.bootstrap import Estimate
from simia_async.evaluation.contamination import Contamination
from simia_async.evaluation.paired import Comparison, Paired
from simia_async.evaluation.shares import PolicyScore, Share
from simia_async.runs.evaluate import EvalProgress, EvalResult, run_evaluate
from simia_async.runs.record import default_path

_FINDINGS = 5
"""That are told one by one."""


@options.takes_settings(EvalConfig)
def evaluate(path: options.Run = None, as_json: AsJson = False, *, config: EvalConfig) -> None:
    """Play held-out tasks with the base and with adapters; count by the world's exact check.

    The same command with the same --run goes on with an evaluation that was cut off.
    """

    async def main() -> EvalResult:
        with progress_bar("evaluate", hidden=as_json) as bar:

            def tell(p: EvalProgress) -> None:
                bar.update(p.done, p.total, "conversations")

            place = path or default_path("eval")
            return await run_evaluate(config, place, report=report, on_progress=tell)

    result = run(main)
    if as_json:
        print_json(result)
    else:
        print_scores(result)


def print_scores(result: EvalResult) -> None:
    """The table of scores; below it comparisons and what training data was found to hold."""
    show("run", result.run)
    if any(score.trials > 1 for score in result.scores):
        print_passes(result)
    else:
        print_shares(result)
    for comparison in result.comparisons:
        print_comparison(comparison)
    if result.contamination is not None:
        print_contamination(result.contamination)


def print_shares(result: EvalResult) -> None:
    """Every task once: shares of those that were solved."""
    table = Table(title=f"{_tasks(result)}, exact check (95% interval)")
    table.add_column("policy", overflow="fold")
    table.add_column("sampled")
    table.add_column("needs action", justify="right")
    table.add_column("no action", justify="right")
    table.add_column("unfinished", justify="right")
    for score in result.scores:
        table.add_row(
            Text(printable(score.name)),
            score.sampled,
            shown(score.needs_action),
            shown(score.no_action),
            str(score.unfinished),
        )
    stdout.print(table)


def print_passes(result: EvalResult) -> None:
    """Every task several times: pass^k."""
    trials = max(score.trials for score in result.scores)
    table = Table(
        title=f"{_tasks(result)}, {trials} trials each, exact check (95% interval over tasks)"
    )
    table.add_column("policy", overflow="fold")
    table.add_column("sampled")
    for column in ("needs action", "no action", "all tasks"):
        table.add_column(column, justify="right")
    for score in result.scores:
        table.add_section()
        table.add_row(Text(printable(score.name)), score.sampled, end_section=False)
        _add_passes(table, score)
    stdout.print(table)
    for score in result.scores:
        if score.unfinished:
            what = f"{score.unfinished} trials of {score.name}, {score.sampled}"
            show("unfinished", f"{what}; they count as not solved")


def _add_passes(table: Table, score: PolicyScore) -> None:
    for each in score.passes:
        figures = (each.needs_action, each.no_action, each.all)
        table.add_row("", f"pass^{each.k}", *map(_estimate, figures))


def print_comparison(compared: Comparison) -> None:
    """A line a kind of tasks: wins and losses with their test, differences with intervals."""
    place = f" of {compared.baseline}" if compared.baseline else ""
    sampled = f"T={compared.temperature:g}" if compared.temperature else "greedy"
    title = f"{compared.policy} against {compared.against}{place}, {sampled}, task by task"
    kinds = {
        "needs action": compared.needs_action,
        "no action": compared.no_action,
        "all tasks": compared.all,
    }
    table = Table(title=Text(printable(title)))
    table.add_column("")
    table.add_column("win/tie/loss", justify="right", no_wrap=True)
    table.add_column("p", justify="right", no_wrap=True)
    table.add_column("difference (95% interval)", justify="right", no_wrap=True)
    for name, pair in kinds.items():
        if pair is not None:
            counts = f"{pair.wins}/{pair.ties}/{pair.losses}"
            table.add_row(name, counts, f"{pair.p_value:.3g}", _differences(pair))
    stdout.print(table)


def _differences(pair: Paired) -> str:
    lines = []
    for each in pair.differences:
        name = f"pass^{each.k} " if len(pair.differences) > 1 else ""
        of = each.of
        lines.append(f"{name}{of.value:+.2f} ({of.low:+.2f} to {of.high:+.2f})")
    return "\n".join(lines)


def print_contamination(found: Contamination) -> None:
    """How many tasks training data holds, and the first of them."""
    counts = found.counts
    show(
        "checked",
        f"{found.tasks} tasks against {found.training_texts} of training: {counts['exact']} said "
        f"alike, {counts['near']} nearly, {counts['seed']} of one seed, {counts['shared_ids']} "
        f"share ids; {counts['left_out']} left out",
    )
    for each in found.findings[:_FINDINGS]:
        near = f" ({each.similarity:.2f})" if each.kind == "near" and each.similarity else ""
        ids = f" ({', '.join(each.ids[:3])})" if each.ids else ""
        show("", f"{each.task_id}: {each.kind}{near}{ids}, {each.where}")
    if len(found.findings) > _FINDINGS:
        show("", f"… and {len(found.findings) - _FINDINGS} more; all of them: --json")


def _tasks(result: EvalResult) -> str:
    named = "held-out" if result.split == "heldout" else result.split
    return f"{result.tasks} {named} tasks"


def _estimate(estimate: Estimate | None) -> str:
    if estimate is None:
        return "no such task"
    return f"{estimate.value:.2f} ({estimate.low:.2f}–{estimate.high:.2f})"


def shown(share: Share) -> str:
    """A share with its interval."""
    if not share.total:
        return "no such task"
    low, high = share.interval
    return f"{share.hits}/{share.total} = {share.value:.2f} ({low:.2f}–{high:.2f})"
