"""The pattern of microsoft/Simia-Agent-Training (Simia_SFT/Tau2), in our own words.

Run as `python pipeline_reference.py URL N BATCH SAVING`; prints one line of JSON.

The synchronous `openai` client in 200 threads, and a barrier at the end of each batch, where all
conversations so far are written as one JSON file. When all are there, the file is read, the rules
and the comparison go over it one by one, and what is kept is written.

`SAVING` is `batch` for that; `end`: the file is written once; `all`: there are also, as in the
reference, a log with every prompt and answer, and four more passes that read and write the file.

What the reference does besides is left out, in its favour: the progress bars, a second of sleep
before each call, a new pool of threads for each batch, and the reading of an answer line by line.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import openai
from pipeline_parts import Parts
from pipeline_work import IN_FLIGHT, Prompts, config_of, material_of
from stacks.shape import stopwatch

from simia_async.environments import Environment
from simia_async.messages import Message
from simia_async.synthesis.dedupe import Duplicates, sketch
from simia_async.synthesis.plans import Plan, plans
from simia_async.synthesis.rules import apply_rules, fingerprint

Conversation = dict[str, Any]
MORE_PASSES = 4


def write(path: Path, conversations: list[Conversation]) -> None:
    """All of them, as the reference writes them."""
    with path.open("w", encoding="utf-8") as file:
        json.dump(conversations, file, ensure_ascii=False, indent=2)


def read(path: Path) -> list[Conversation]:
    """What `write` has written."""
    with path.open(encoding="utf-8") as file:
        conversations: list[Conversation] = json.load(file)
    return conversations


def post_process(
    conversations: list[Conversation], environment: Environment, duplicates: Duplicates
) -> list[Conversation]:
    """Those that the rules and the comparison keep, as repaired."""
    kept = []
    for number, conversation in enumerate(conversations):
        messages = msgspec.convert(conversation["messages"], list[Message])
        verdict = apply_rules(messages, environment)
        if verdict.rejected_by is not None:
            continue
        told, sketched = fingerprint(verdict.messages), sketch(verdict.messages)
        if duplicates.of(told, sketched) is None:
            duplicates.add(str(number), told, sketched)
            kept.append({"messages": [message.as_wire() for message in verdict.messages]})
    return kept


def log_call(path: Path, messages: Any, reply: str) -> None:
    """A line of the log: opened and closed for each, as the reference does."""
    entry = {"prompt": messages, "response": reply, "error": None, "success": True}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def asker(
    client: openai.OpenAI, prompts: Prompts, parts: Parts, log: Path | None
) -> Callable[[Plan], Conversation]:
    """What a thread does for one trajectory."""
    write_log = parts.timed("log", log_call)
    compose = parts.timed("prompt", prompts.prompt)
    create = parts.timed("client call", client.chat.completions.create)
    read_reply = parts.timed("reading the reply", json.loads)

    def ask(plan: Plan) -> Conversation:
        messages: Any = [message.as_wire() for message in compose(plan)]
        reply = create(
            model="m",
            messages=messages,
            response_format={"type": "json_object"},
            seed=plan.index,
        )
        text = reply.choices[0].message.content or ""
        if log:
            write_log(log, messages, text)
        conversation: Conversation = read_reply(text)
        return conversation

    return ask


def in_batches(
    ask: Callable[[Plan], Conversation],
    samples: Sequence[Plan],
    batch: int,
    at_barrier: Callable[[list[Conversation]], None],
) -> list[Conversation]:
    """All conversations, each batch waited for."""
    conversations: list[Conversation] = []
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        for first in range(0, len(samples), batch):
            asked = [pool.submit(ask, plan) for plan in samples[first : first + batch]]
            conversations += [each.result() for each in as_completed(asked)]
            at_barrier(conversations)
    return conversations


def run(
    client: openai.OpenAI, url: str, n: int, batch: int, saving: str, directory: Path
) -> tuple[int, dict[str, float]]:
    """How many are kept, and CPU seconds by part."""
    parts = Parts()
    material = material_of(url)
    config = config_of(url, n)
    samples = list(islice(plans(material.seeds, material.environment, config), n))
    write_file = parts.timed("JSON file", write)
    read_file = parts.timed("JSON file", read)
    progress = directory / "progress.json"

    def save(conversations: list[Conversation]) -> None:
        if saving != "end" or len(conversations) == n:
            write_file(progress, conversations)

    log = directory / "log.jsonl" if saving == "all" else None
    in_batches(asker(client, Prompts(material.environment), parts, log), samples, batch, save)
    for _ in range(MORE_PASSES if saving == "all" else 0):
        write_file(progress, read_file(progress))
    duplicates = Duplicates(config.similarity)
    for seed in material.seeds:
        duplicates.add(seed.id, fingerprint(seed.messages), sketch(seed.messages))
    process = parts.timed("rules and duplicates", post_process)
    kept = process(read_file(progress), material.environment, duplicates)
    write_file(directory / "kept.json", kept)
    return len(kept), parts.sums()


def main(url: str, n: int, batch: int, saving: str) -> None:
    with (
        tempfile.TemporaryDirectory() as directory,
        openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=300) as client,
    ):
        elapsed = stopwatch()
        kept, parts = run(client, url, n, batch, saving, Path(directory))
        cpu_s, wall_s = elapsed()
    said = {"kept": kept, "cpu_s": cpu_s, "wall_s": wall_s, "parts": parts}
    print(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
