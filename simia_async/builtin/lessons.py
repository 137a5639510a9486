"""What the tiny base is pre-trained on: conversations in random worlds, by agents of all habits."""

import itertools
import random
from collections.abc import Iterator

from simia_async.builtin.habits import draw_habits, told_with_habits
from simia_async.builtin.play import oracle_dialogue
from simia_async.builtin.random_worlds import draw_world
from simia_async.builtin.templates import TEMPLATES, draw_task
from simia_async.messages import Message, ToolSchema

Lesson = tuple[list[Message], list[ToolSchema]]
"""A conversation, and the tools that are shown with it."""


def lessons(first: int, *, drill: bool) -> Iterator[Lesson]:
    """Endless conversations from number `first` on, the same for the same number.

    Drills ask for information alone and show no policy and no tools: copying is all there is to
    learn.
    """
    templates = [t for t in TEMPLATES if not (drill and any(r.actions for r in t.requests))]
    for number in itertools.count(first):
        rng = random.Random(number)
        world, template = draw_world(rng), rng.choice(templates)
        task = draw_task(world, template, number, rng.choice(["train", "heldout"]))
        messages = oracle_dialogue(world, task)
        messages = told_with_habits(world, messages, draw_habits(world, rng), rng)
        yield (messages[1:], []) if drill else (messages, world.tools())
