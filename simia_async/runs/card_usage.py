"""A card's parts on who was asked, how often it failed, and what it cost."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from simia_store import Reader, RunRecord, usage_by_role

from simia_async.synthesis.markdown import address, table

_HOW = {
    "mode": "user and tools are asked",
    "world": "the world is",
    "max_turns": "turns of the policy, at most",
}
_IN_WORDS = {"roles": "apart", "joint": "by one prompt", "transcript": "the conversation alone"}


def simulator_sections(reader: Reader, run: RunRecord) -> list[str]:
    """Models by role, and how the world was kept; nothing for a run that asks no model."""
    calls: Counter[tuple[str, str, str]] = Counter()
    for usage in reader.usage():
        calls[usage.role, usage.model, address(usage.endpoint)] += usage.calls
    if not calls:
        return []
    models = ((*asked, count) for asked, count in sorted(calls.items()))
    sections = ["## Simulator and policy", table(("role", "model", "endpoint", "calls"), models)]
    how = [(said, _words(run.config[n])) for n, said in _HOW.items() if run.config.get(n)]
    if how and run.kind != "tau2":
        sections.append(table(("how", ""), how))
    prompts = [(prompt.role, prompt.sha256) for prompt in reader.prompts()]
    if prompts:
        sections += [
            "The words that roles were asked with are kept in the run; by SHA-256:",
            table(("role", "prompt"), prompts),
        ]
    return sections


def usage_sections(reader: Reader) -> list[str]:
    """Calls, tokens and dollars by role; failures by role and by where conversations ended."""
    usage = reader.usage()
    if not usage:
        return ["## Calls and cost", "No model was asked."]
    head = ("role", "answered", "failed", "tokens in", "tokens out", "US dollars")
    sections = ["## Calls and cost", table(head, _costs(reader))]
    failures: Counter[tuple[str, str]] = Counter()
    for each in usage:
        if each.status != "ok":
            failures[each.role, each.status] += each.calls
    if failures:
        rows = ((*failed, count) for failed, count in sorted(failures.items()))
        sections += ["Failed attempts:", table(("role", "error", "attempts"), rows)]
    else:
        sections.append("No attempt failed.")
    boundaries = Counter(each.boundary for each in reader.trajectories() if each.boundary)
    if boundaries:
        title = "Conversations that failed, by where:"
        sections += [title, table(("boundary", "conversations"), boundaries.most_common())]
    if lost := _lost_calls(reader):
        sections.append(
            f"{lost} calls were cut off in flight; whether they were paid nobody knows."
        )
    return sections


def _costs(reader: Reader) -> Iterator[tuple[object, ...]]:
    for each in usage_by_role(reader.usage()):
        usd = "price not known" if each.cost_usd is None else f"{each.cost_usd:.4f}"
        yield each.role, each.ok, each.failed, f"{each.tokens_in:,}", f"{each.tokens_out:,}", usd


def _lost_calls(reader: Reader) -> int:
    said: Iterable[dict[str, Any]] = (
        each.sample for each in reader.statistics() if each.source == "spending"
    )
    return max((int(sample.get("lost_calls", 0)) for sample in said), default=0)


def _words(value: object) -> object:
    return _IN_WORDS.get(str(value), value)
