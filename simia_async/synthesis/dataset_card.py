"""The dataset card of an export: where the data comes from, what was left out, and its limits.

Everything in it is read from the run. Names, causes and models are data: no text of theirs is
markup, in the front matter or below it.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import version

from simia_store import Reader, usage_by_role

from simia_async.config import SCRIPTED
from simia_async.synthesis.export_format import Exported, ExportFormat
from simia_async.synthesis.funnel import Funnel, funnel_of
from simia_async.synthesis.markdown import address, day, escaped, plain, table


def dataset_card(reader: Reader, exported: Exported) -> str:
    """The card as Markdown, with the front matter that the Hugging Face hub reads."""
    environment = reader.environment()
    sections = [
        _front_matter(environment.name, exported.format),
        f"# {escaped(environment.name)}: simulated trajectories of a tool-using agent",
        _opening(exported, by_policy=_has_policy(reader)),
        "## Where it comes from",
        table(("what", "value"), _provenance(reader, environment.name, len(environment.tools))),
        "## What was kept, and what was not",
        table(("step", "conversations"), _funnel(reader, exported)),
        "## Who wrote it",
        table(("role", "model", "endpoint", "calls"), _models(reader)),
        "The words that each role was asked with are kept in the run; by SHA-256:",
        table(("role", "prompt"), ((p.role, p.sha256) for p in reader.prompts())),
        "## What it cost",
        table(("role", "tokens in", "tokens out", "US dollars"), _costs(reader)),
        "## Limits",
        _limits(reader, exported),
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(environment: str, format: ExportFormat) -> str:  # noqa: A002
    # A JSON string is a YAML string, once it holds no control characters.
    name = json.dumps(plain(environment), ensure_ascii=False)
    return (
        f"---\npretty_name: {name}\n"
        "# license: yours to choose; name it here before you publish\n"
        f"task_categories:\n- text-generation\ntags:\n- simia-async\n- synthetic\n- tool-use\n"
        "configs:\n- config_name: default\n  data_files:\n  - split: train\n"
        f"    path: {format.file_name}\n---"
    )


def _has_policy(reader: Reader) -> bool:
    return any(usage.role == "policy" for usage in reader.usage())


def _opening(exported: Exported, *, by_policy: bool) -> str:
    wrote = "wrote users, agent and tools alike"
    if by_policy:
        wrote = "played users and tools, and the policy named below was the agent"
    return (
        f"{exported.count:,} conversations in the format `{exported.format}`, "
        f"in `{exported.format.file_name}`. They are simulated, not real: the simulator named "
        f"below {wrote}. `dataset_info.json` describes the file to LLaMA-Factory."
        "\n\nLicense: not stated. Whoever publishes this data chooses one, with the terms of the "
        "models below and of the seeds in mind."
    )


def _provenance(reader: Reader, environment: str, tools: int) -> Iterable[tuple[str, object]]:
    yield "environment", f"{environment} ({tools} tools)"
    if run := reader.run():
        yield "run", run.id
        yield "run began", day(run.started_at)
        yield "run ended", day(run.finished_at) if run.finished_at else f"not yet: {run.status}"
    written_by = {session.version for session in reader.sessions()}
    if written_by:
        yield "simulated with", "simia-async " + ", ".join(sorted(written_by))
    yield "exported with", f"simia-async {version('simia-async')}"
    yield "exported on", day(time.time())


def _funnel(reader: Reader, exported: Exported) -> Iterable[tuple[str, object]]:
    funnel = funnel_of(reader)
    if funnel.played:
        yield "played", funnel.played
        yield "given a reward", funnel.scored
        yield "good enough to be kept", funnel.simulated
    else:
        yield from _seeds(funnel)
    for cause, count in funnel.rejected.items():
        yield f"rejected by {cause}", count
    for cause, count in funnel.duplicates.items():
        yield f"rejected as {cause}", count
    if funnel.under_way:
        yield "not ended, or not yet told from those before", funnel.under_way
    yield "kept", funnel.kept
    yield f"written as {exported.format}", exported.count
    for rule, count in exported.repairs.most_common():
        yield f"… of these repaired by rule {rule}", count
    if exported.left_out:
        yield f"kept, and left out because {exported.format} cannot hold them", exported.left_out


def _seeds(funnel: Funnel) -> Iterable[tuple[str, object]]:
    yield "seeds read", funnel.seeds_read
    for cause, count in funnel.seeds_rejected.items():
        yield f"seeds not used: {cause}", count
    yield "seeds used", funnel.seeds_used
    if funnel.seeds_reconstructed:
        yield "… of these with what was missing filled in", funnel.seeds_reconstructed
    yield "simulated", funnel.simulated


def _models(reader: Reader) -> Iterable[tuple[object, ...]]:
    calls: Counter[tuple[str, str, str]] = Counter()
    for usage in reader.usage():
        calls[usage.role, usage.model, address(usage.endpoint)] += usage.calls
    return ((*asked, count) for asked, count in sorted(calls.items()))


def _costs(reader: Reader) -> Iterable[tuple[object, ...]]:
    for usage in usage_by_role(reader.usage()):
        usd = "price not known" if usage.cost_usd is None else f"{usage.cost_usd:.4f}"
        yield usage.role, f"{usage.tokens_in:,}", f"{usage.tokens_out:,}", usd


def _limits(reader: Reader, exported: Exported) -> str:
    lines = [
        "The conversations are simulated. Tools were answered by the simulator, not by the systems "
        "they stand for: an observation may contradict another, and no outcome was checked in a "
        "real system.",
        "The rules above check form: schemas, pairing of calls and observations, order of roles. "
        "They do not check that the agent did the right thing.",
        "What the conversations were made of, seeds or tasks, lends them its style and its errors.",
        *_limits_of_simulator(reader),
        *_limits_of_format(exported),
    ]
    return "\n".join(f"- {line}" for line in lines)


def _limits_of_simulator(reader: Reader) -> Iterable[str]:
    if any(usage.model == SCRIPTED for usage in reader.usage()):
        yield "The scripted simulator is rule-based, not an LLM: it re-tells seeds in other words."


def _limits_of_format(exported: Exported) -> Iterable[str]:
    if exported.format in (ExportFormat.OPENAI, ExportFormat.PARQUET):
        yield (
            "Arguments of calls are JSON text, as OpenAI has them. Chat templates that expect "
            "objects (Qwen 2.5, Llama 3) and LLaMA-Factory would quote them: decode them first, or "
            "export as `hermes`, `llama3` or `sharegpt`."
        )
    if exported.format is ExportFormat.SHAREGPT:
        yield "What the agent said beside a call is written as its thought, in `<think>` tags."
    if exported.end_with_observation:
        yield (
            f"{exported.end_with_observation:,} conversations end with an observation, after a "
            "tool that ends them. LLaMA-Factory skips those."
        )
