"""Writes what the peers' conversations are made of: our own words, policy and tools."""

import json
from pathlib import Path

from benchmarks.rollout_tasks import ENVIRONMENT, GOAL
from simia_async.simulation.prompts import words_of


def write_material(path: Path) -> None:
    """What `conversation.Material` reads."""
    material = {
        "environment": ENVIRONMENT.name,
        "policy": ENVIRONMENT.policy,
        "tools": ENVIRONMENT.tools,
        "goal": GOAL,
        "words": {role: words_of(role, ENVIRONMENT.prompts) for role in ("user", "tool", "judge")},
    }
    path.write_text(json.dumps(material))
