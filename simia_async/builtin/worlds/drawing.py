"""What the tasks of all scripted worlds are drawn with.

Train and held-out tasks differ by construction: the number in every id of a held-out task is a
multiple of `HELDOUT_MODULUS`, and none of a train task is.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

import jsonpatch
import msgspec

from simia_async.builtin.worlds.engine import ScriptedWorld
from simia_async.environments.task import Check, Scenario, Split, Task, Utterance

HELDOUT_MODULUS = 5

FIRST_NAMES = """
    mia liam noah emma olivia ava lucas sofia ethan isla mason ivy yusuf chen raj ana omar
    lena juan mei fatima daiki evelyn harper aarav
""".split()

GREETINGS = ("Hi,", "Hello,", "Hey,", "Good morning.", "Hi there!", "", "", "Excuse me,")

WITHDRAWALS = (
    "Never mind, I will leave it as it is.",
    "Oh, forget it, never mind.",
    "On second thought, never mind. Leave it.",
)


class Plot(msgspec.Struct, frozen=True):
    """A drawn situation: where it begins, what the user says, and what would be right."""

    state: dict[str, Any]
    lines: tuple[Utterance, ...]
    calls: tuple[tuple[str, dict[str, str]], ...] = ()
    """The calls that change the state as a perfect agent would."""
    must_say: tuple[tuple[str, ...], ...] = ()


class Draw:
    """Drawing for one task: no id and no amount comes twice."""

    def __init__(self, rng: random.Random, split: Split) -> None:
        self.rng = rng
        self._split = split
        self._taken: set[str] = set()

    def id(self, prefix: str, digits: int) -> str:
        """A new id with a number of the task's split."""
        while True:
            drawn = f"{prefix}{draw_number(self.rng, digits, self._split)}"
            if drawn not in self._taken:
                self._taken.add(drawn)
                return drawn

    def user_id(self) -> str:
        """A new id of a person, as `mia_27`."""
        return self.id(f"{self.rng.choice(FIRST_NAMES)}_", 2)

    def amount(self, low: int, high: int) -> float:
        """Money, with cents; never the same twice, so that one is always the cheapest."""
        while True:
            drawn = round(self.rng.randrange(low, high) + self.rng.randrange(1, 10) / 10, 1)
            if str(drawn) not in self._taken:
                self._taken.add(str(drawn))
                return drawn

    def opening(self, *wordings: str) -> str:
        """One of the wordings, perhaps after a greeting."""
        text = f"{self.rng.choice(GREETINGS)} {self.rng.choice(wordings)}".strip()
        return text[0].upper() + text[1:]


Template = Callable[[Draw], Plot]


def draw_number(rng: random.Random, digits: int, split: Split) -> int:
    """A number of so many digits that may stand in an id of the split."""
    while True:
        number = rng.randrange(10 ** (digits - 1), 10**digits)
        if (number % HELDOUT_MODULUS == 0) == (split == "heldout"):
            return number


def draw_tasks_of(
    world: ScriptedWorld,
    templates: dict[str, Template],
    count: int,
    *,
    split: Split,
    seed: int,
) -> list[Task]:
    """`count` tasks, every template in turn; the same for the same arguments."""
    names = list(templates)
    tasks = []
    for number in range(count):
        name, draw_seed = names[number % len(names)], seed + number // len(names)
        rng = random.Random(f"{world.name}/{name}/{draw_seed}/{split}")
        plot = templates[name](Draw(rng, split))
        task_id = f"{world.name}/{split}/{name}/{draw_seed}"
        tasks.append(task_of(world, plot, task_id=task_id, template=name, split=split))
    return tasks


def task_of(world: ScriptedWorld, plot: Plot, *, task_id: str, template: str, split: Split) -> Task:
    """The task that a plot is. Its final state is what the right calls lead to."""
    final_state = plot.state
    for tool, arguments in plot.calls:
        ops = world.call(final_state, tool, arguments).ops
        final_state = jsonpatch.apply_patch(final_state, ops)
    return Task(
        id=task_id,
        environment=world.name,
        template=template,
        split=split,
        scenario=Scenario(instructions_for(plot.lines), plot.lines),
        initial_state=plot.state,
        check=Check(final_state, plot.must_say),
        needs_action=final_state != plot.state,
    )


def instructions_for(utterances: Sequence[Utterance]) -> str:
    """The scenario in words, for a simulator that is an LLM."""
    lines = ["You contact support. Make one request at a time, in this order:"]
    for number, utterance in enumerate(utterances, 1):
        line = f"{number}. "
        if utterance.when:
            line += f"Only once the agent mentions {' or '.join(utterance.when)}: "
        line += utterance.text
        if utterance.correction:
            line += f" If the agent cannot find it, say: {utterance.correction}"
        lines.append(line)
    lines.append("When all are answered, you are done.")
    return "\n".join(lines)
