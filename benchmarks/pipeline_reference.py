"""The pattern of microsoft/Simia-Agent-Training (Simia_SFT/Tau2), in our own words.

Run as `python pipeline_reference.py URL N BATCH SAVING`; prints one line of JSON.

The synchronous `openai` client in 200 threads, a new pool for each batch, and a barrier at its
end, where all conversations so far are written as one JSON file (`SAVING` = `batch`), if they are
(`end`: the file is written once). When all are there, the file is read, the rules and the
comparison go over it one by one, and what is kept is written.

What the reference does besides is left out, in its favour: a log with every prompt and answer, the
progress bars, a second of sleep before each call, repeated attempts, the reading of an answer line
by line, and four more passes of post-processing that read and write the whole file.
"""

import json
import sys
import tempfile
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


def run(
    client: openai.OpenAI, url: str, n: int, batch: int, saves: bool, directory: Path
) -> tuple[int, dict[str, float]]:
    """How many are kept, and CPU seconds by part."""
    parts = Parts()
    material = material_of(url)
    prompts = Prompts(material.environment)
    progress = directory / "progress.json"
    prompt = parts.timed("prompt", prompts.prompt)
    create = parts.timed("client", client.chat.completions.create)
    loads = parts.timed("reading the reply", json.loads)
    save = parts.timed("JSON file", write)

    def generate(plan: Plan) -> Conversation:
        reply = create(
            model="m",
            messages=prompt(plan),
            response_format={"type": "json_object"},
            seed=plan.index,
        )
        conversation: Conversation = loads(reply.choices[0].message.content)
        return conversation

    conversations: list[Conversation] = []
    samples = list(islice(plans(material.seeds, material.environment, config_of(url, n)), n))
    for first in range(0, n, batch):
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            futures = [pool.submit(generate, plan) for plan in samples[first : first + batch]]
            conversations += [future.result() for future in as_completed(futures)]
        if saves:
            save(progress, conversations)
    if not saves:
        save(progress, conversations)
    conversations = parts.timed("JSON file", read)(progress)
    duplicates = Duplicates(config_of(url, n).similarity)
    for seed in material.seeds:
        duplicates.add(seed.id, fingerprint(seed.messages), sketch(seed.messages))
    process = parts.timed("rules and duplicates", post_process)
    kept = process(conversations, material.environment, duplicates)
    save(directory / "kept.json", kept)
    return len(kept), parts.sums()


def main(url: str, n: int, batch: int, saving: str) -> None:
    with (
        tempfile.TemporaryDirectory(dir=".") as directory,
        openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=300) as client,
    ):
        elapsed = stopwatch()
        kept, parts = run(client, url, n, batch, saving == "batch", Path(directory))
        cpu_s, wall_s = elapsed()
    said = {"kept": kept, "cpu_s": cpu_s, "wall_s": wall_s, "parts": parts}
    print(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
