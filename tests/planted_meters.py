"""A simulator that answers what was recorded and a judge that knows the true rewards, each but for
a planted share; and what meters must then find.
"""

import random
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from simia_async.builtin.server.protocol import ChatRequest
from simia_async.environments import Environment, load_environment
from simia_async.messages import Message
from simia_async.meters.agreement import Pair
from simia_async.meters.figures import Figure
from simia_async.meters.labels import Labelled, read_labelled
from simia_async.meters.observations import Measured, measure
from simia_async.meters.steps import Step, read_recorded, read_steps
from simia_async.meters.values import tells_error
from simia_async.simulation.prompts import read_sections
from tests.rollout_servers import Playhouse


def altered(value: Any) -> Any:
    """Another value of the same form: every leaf differs, and what told of an error tells none."""
    if tells_error(value):
        return {"ok": True}
    match value:
        case dict() if value:
            return {key: altered(each) for key, each in value.items()}
        case list() if value:
            return [altered(each) for each in value]
        case bool() | None | dict() | list():
            return f"not {value}"
        case str():
            return f"{value}!"
    return value + 1


class PlantedSimulator:
    """Plays the tools of recorded conversations, wrongly in a share of the calls."""

    def __init__(self, recorded: Path, wrong: float, seed: int = 0) -> None:
        self.environment: Environment = load_environment("airline")
        self.steps: list[Step] = list(
            read_steps(read_recorded(recorded, self.environment), self.environment)
        )
        self.wrong = wrong
        self.seed = seed
        self._by_place = {msgspec.json.encode(step.history): step for step in self.steps}

    def lies_at(self, step: Step, seed: int | None = None) -> bool:
        """Whether it answers this call wrongly."""
        chance = random.Random(f"{self.seed if seed is None else seed}/{step.number}")
        return chance.random() < self.wrong

    def step_of(self, request: ChatRequest) -> Step:
        """Which call a prompt of the role `tool` asks about."""
        history = msgspec.convert(read_sections(request.prompt)["history"], list[Message])
        return self._by_place[msgspec.json.encode(history)]

    def tool(self, request: ChatRequest) -> str:
        """The answer to it."""
        step = self.step_of(request)
        said = altered(step.truth) if self.lies_at(step) else step.truth
        answer = {"observation": said, "is_error": tells_error(said)}
        return msgspec.json.encode(answer).decode()

    @cached_property
    def measured(self) -> list[tuple[Measured, Measured]]:
        """How each call measures when it is answered truly, and when wrongly."""
        return [
            (
                measure(step.truth, step.truth, step.request, step.known),
                measure(step.truth, altered(step.truth), step.request, step.known),
            )
            for step in self.steps
        ]

    def drawn(self, seed: int) -> list[tuple[Step, Measured]]:
        """All calls, as they would be measured with the lies of this seed."""
        return [
            (step, wrong if self.lies_at(step, seed) else true)
            for step, (true, wrong) in zip(self.steps, self.measured, strict=True)
        ]

    def expected(self, figure: str) -> float:
        """What a figure is on average over all lies that might be drawn."""
        total, weight = 0.0, 0.0
        for both in self.measured:
            for measured, chance in zip(both, (1 - self.wrong, self.wrong), strict=True):
                value = getattr(measured, figure)
                if value is not None:
                    total += chance * value
                    weight += chance
        return total / weight


class PlantedJudge:
    """Gives recorded conversations their true reward, the other one in a share of them."""

    def __init__(self, recorded: Path, flips: float, seed: int = 0) -> None:
        self.labelled: list[Labelled] = read_labelled(recorded)[0]
        self.flips = flips
        self.seed = seed
        self._by_text = {_text(each.conversation.messages): each for each in self.labelled}

    def reward(self, each: Labelled, seed: int | None = None) -> float:
        """Its verdict."""
        chance = random.Random(f"{self.seed if seed is None else seed}/{each.number}")
        return 1 - each.reward if chance.random() < self.flips else each.reward

    def judge(self, request: ChatRequest) -> str:
        """The answer to a prompt of the role `judge`."""
        history = msgspec.convert(read_sections(request.prompt)["history"], list[Message])
        reward = self.reward(self._by_text[_text(history)])
        return msgspec.json.encode({"reward": reward, "reasoning": "planted"}).decode()

    def pairs(self, seed: int) -> list[Pair]:
        """All conversations with both rewards, with the flips of this seed."""
        return [
            Pair(each.task, each.kind, each.reward, self.reward(each, seed))
            for each in self.labelled
        ]

    @property
    def expected(self) -> dict[str, float]:
        """What each figure is on average, exactly where it is linear."""
        p = sum(each.reward for each in self.labelled) / len(self.labelled)
        f = self.flips
        judged = p * (1 - f) + (1 - p) * f
        by_chance = p * judged + (1 - p) * (1 - judged)
        return {
            "accuracy": 1 - f,
            "successes_found": 1 - f,
            "failures_found": 1 - f,
            "kappa": (1 - f - by_chance) / (1 - by_chance),
            "bias": judged - p,
            "brier": f,
            "ece": f,
        }


def holds(figure: Figure, truth: float) -> bool:
    """Whether the interval holds the truth; without one, whether the value is it."""
    if figure.low is None or figure.high is None:
        return figure.value is not None and abs(figure.value - truth) < 1e-9
    return figure.low - 1e-9 <= truth <= figure.high + 1e-9


def first_lines(recorded: Path, count: int, directory: Path) -> Path:
    """A file of the first `count` conversations."""
    path = directory / "recorded.jsonl"
    path.write_text("".join(recorded.read_text().splitlines(keepends=True)[:count]))
    return path


def plant(
    house: Playhouse, simulator: PlantedSimulator | None = None, judge: PlantedJudge | None = None
) -> None:
    """Let them answer at a playhouse."""
    if simulator is not None:
        house.instead["tool"] = simulator.tool
    if judge is not None:
        house.instead["judge"] = judge.judge


def _text(messages: Sequence[Message]) -> str:
    """What tells conversations apart."""
    return "\n".join(
        f"{m.role} {m.content} {[c.id for c in m.tool_calls or ()]}"
        for m in messages
        if m.role != "system"
    )
