"""Writes what the peers' conversations are made of: our own words, policy and tools."""

import json
from pathlib import Path

from simia_async.environments import Scenario, Task, load_environment
from simia_async.simulation.prompts import words_of

ENVIRONMENT = load_environment("airline")
"""A policy of 2 kB and tools of 8 kB, as long as real ones are."""
_GOAL = "Every reservation that was asked about was looked up."


def write_material(path: Path) -> None:
    """What `conversation.Material` reads."""
    material = {
        "environment": ENVIRONMENT.name,
        "policy": ENVIRONMENT.policy,
        "tools": ENVIRONMENT.tools,
        "goal": _GOAL,
        "words": {role: words_of(role, ENVIRONMENT.prompts) for role in ("user", "tool", "judge")},
    }
    path.write_text(json.dumps(material))


def task_of(name: str) -> Task:
    """The task of the conversation with this name."""
    said = f"You are customer {name}. Ask about one reservation after the other."
    return Task(
        id=name,
        environment=ENVIRONMENT.name,
        split="train",
        scenario=Scenario(said),
        initial_state={},
        needs_action=False,
        goal=_GOAL,
    )
