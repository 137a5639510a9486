"""What both sides of the pipeline's benchmark work on: real seeds, the prompts made of them, and
the author's answers, written down before anything is measured.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from simia_async.builtin.author import retell
from simia_async.config import Endpoint, GenerateConfig
from simia_async.environments import Environment, Seed
from simia_async.messages import Message
from simia_async.runs.material import Material, read_material
from simia_async.simulation.prompts import compose, words_of
from simia_async.simulation.replies import Draft
from simia_async.synthesis.dedupe import Duplicates, sketch
from simia_async.synthesis.plans import Plan
from simia_async.synthesis.rules import apply_rules, fingerprint
from simia_async.testing import completion

DATA = Path(__file__).parents[2] / "shared" / "data"
SEEDS = DATA / "tau_bench" / "airline_gpt4o_trajectories.jsonl"
IN_FLIGHT = 200
"""Calls at once, on either side: what the reference has threads for."""
_LONG_SEED = 9000
"""Only seeds of so many bytes of JSON are re-told: their re-tellings are 11 kB and more on
average, as the real trajectories of the reference's data are.
"""


def config_of(url: str, n: int) -> GenerateConfig:
    """The run: all rules, near-duplicates too; no seed is reviewed."""
    simulator = Endpoint(base_url=url, model="m", api_key_env="", max_in_flight=IN_FLIGHT)
    return GenerateConfig(
        environment="airline", seeds=str(SEEDS), prefilter=False, n=n, simulator=simulator
    )


def material_of(url: str) -> Material:
    """Environment and seeds. Those of airline declare every tool that is called."""
    return read_material(config_of(url, 1))


class Prompts:
    """The author's prompts, word for word those of a run of ours."""

    def __init__(self, environment: Environment) -> None:
        self._words = words_of("author", environment.prompts)
        self._tools = msgspec.Raw(msgspec.json.encode(environment.tools))
        self._named = {
            "name": environment.name,
            "role": "author",
            "policy": environment.policy,
        }

    def prompt(self, plan: Plan) -> list[Message]:
        """What is asked for one trajectory."""
        sections = compose(
            {
                "environment": self._named,
                "tools": self._tools,
                "seed": plan.seed.messages,
                "task": plan.wishes,
            }
        )
        return [Message("system", self._words), Message("user", sections)]


def answers(material: Material, wanted: int) -> list[bytes]:
    """Bodies of completions, each with another conversation that both sides will keep: sound to
    every rule, and like neither a seed nor another.
    """
    duplicates = Duplicates(GenerateConfig().similarity)
    for seed in material.seeds:
        duplicates.add(seed.id, fingerprint(seed.messages), sketch(seed.messages))
    bodies = []
    for number, messages in enumerate(_sound(material, wanted * 3)):
        told, sketched = fingerprint(messages), sketch(messages)
        if duplicates.of(told, sketched) is None:
            duplicates.add(str(number), told, sketched)
            text = msgspec.json.encode(Draft(messages)).decode()
            bodies.append(msgspec.json.encode(completion("m", text, len(text) // 4)))
        if len(bodies) == wanted:
            return bodies
    raise SystemExit(f"only {len(bodies)} of {wanted} re-tellings are told apart")


def _sound(material: Material, tries: int) -> Iterator[list[Message]]:
    seeds = _long(material.seeds)
    for number in range(tries):
        messages = retell(seeds[number % len(seeds)].messages, number, scripted_world=False)
        verdict = apply_rules(messages, material.environment)
        if verdict.rejected_by is None and not verdict.repairs:
            yield messages


def _long(seeds: Sequence[Seed]) -> list[Seed]:
    return [seed for seed in seeds if len(msgspec.json.encode(seed.messages)) >= _LONG_SEED]
