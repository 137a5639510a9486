"""What the conversations are about that every stack and every peer plays."""

from simia_async.environments import Scenario, Task, load_environment

ENVIRONMENT = load_environment("airline")
"""A policy of 2 kB and tools of 8 kB, as long as real ones are."""
GOAL = "Every reservation that was asked about was looked up."


def name_of(number: int, turns: int) -> str:
    """The conversation in which the policy speaks so often; half of that are calls."""
    return f"C-{number:05}-{turns}"


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
        goal=GOAL,
    )
