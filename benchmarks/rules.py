"""(e) What each rule of synthesis costs: µs of CPU for one conversation, least of several rounds.

Conversations are the 100 real ones of tau-bench where they lie beside this checkout, else those
that are told from the seeds of mini-retail.
"""

import time
from collections.abc import Callable
from pathlib import Path

import jsonschema

from simia_async.builtin.author import retell
from simia_async.environments import Environment, load_environment, load_seeds
from simia_async.messages import Message
from simia_async.simulation.code_answers import arguments_of
from simia_async.synthesis.rules import RULES, Case, Reject, Rule, RuleSettings, apply_rules
from simia_async.synthesis.rules.schemas import fits

REAL = Path(__file__).parents[2] / "shared/data/tau_bench/airline_gpt4o_trajectories.jsonl"
ROUNDS = 20

Conversations = list[list[Message]]


def conversations() -> tuple[Environment, Conversations]:
    if REAL.exists():
        return load_environment("airline"), [seed.messages for seed in load_seeds(REAL)]
    environment = load_environment("mini-retail")
    seeds = load_seeds(environment.seeds_file or Path())
    told = [retell(seed.messages, draw, scripted_world=True) for seed in seeds for draw in range(5)]
    return environment, told


def least_us(work: Callable[[], None], times: int) -> float:
    """CPU time of one of `times` pieces of `work`."""
    spent = []
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        spent.append(time.process_time() - started)
    return min(spent) / times * 1e6


def cost_of_rule(rule: Rule, environment: Environment, told: Conversations) -> float:
    """Without joining the texts, which the first rule does for all."""
    cases = [Case(messages, environment, RuleSettings()) for messages in told]
    for case in cases:
        assert case.lower_text is not None

    def judge() -> None:
        for case in cases:
            try:
                rule(case)
            except Reject:
                continue

    return least_us(judge, len(told))


def cost_of_all(environment: Environment, told: Conversations) -> float:
    def judge() -> None:
        for messages in told:
            apply_rules(messages, environment)

    return least_us(judge, len(told))


def cost_of_validation(environment: Environment, told: Conversations) -> tuple[float, float]:
    """A call's arguments: jsonschema alone, and with the compiled check before it."""
    calls = [call for messages in told for message in messages for call in message.tool_calls or ()]
    asked = [(call.function.name, arguments_of(call) or {}) for call in calls]

    def plain() -> None:
        for name, arguments in asked:
            errors = environment.validators[name].iter_errors(arguments)
            jsonschema.exceptions.best_match(errors)

    def compiled() -> None:
        for name, arguments in asked:
            fits(environment, name, arguments)

    return least_us(plain, len(asked)), least_us(compiled, len(asked))


def main() -> None:
    environment, told = conversations()
    characters = sum(len(Case(each, environment, RuleSettings()).text) for each in told)
    print(f"{len(told)} conversations of {characters // len(told)} characters")
    for rule in RULES:
        print(f"{rule.__name__:22} {cost_of_rule(rule, environment, told):8.1f} µs")
    print(f"{'all, as applied':22} {cost_of_all(environment, told):8.1f} µs")
    plain, compiled = cost_of_validation(environment, told)
    print(
        f"one call: jsonschema {plain:.1f} µs, compiled {compiled:.1f} µs: {plain / compiled:.0f}×"
    )


if __name__ == "__main__":
    main()
