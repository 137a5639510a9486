"""A task: one thing to be done in an environment, and how to tell whether it was done.

States in a task are differences: what stands in them is merged into the environment's initial
state (JSON Merge Patch, RFC 7396; `Environment.state_with` does it), so that `{}` is that state
as it is and a large one is not copied into every task. Where the environment has no initial
state, they are whole states.
"""

from typing import Annotated, Any, Literal

import msgspec
from simia_store import TaskRecord

from simia_async.messages import Message

Split = Literal["train", "heldout"]


class Utterance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request of the user, and what they answer when the agent asks them to check an id."""

    text: str
    correction: str | None = None
    when: tuple[str, ...] = ()
    """Said only once the agent's last reply mentions one of these; if empty, whatever it says."""


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the simulated user wants. The policy never sees it."""

    instructions: str
    utterances: tuple[Utterance, ...] = ()


class CallPattern(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Calls of one tool: those whose arguments hold at least these."""

    tool: str
    arguments: dict[str, Any] = {}


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Exact check of a finished conversation.

    The state the conversation ended in must equal the one that `final_state` means; for each
    group of `must_say`, one reply of the agent must contain all of its strings (case ignored);
    each of `required_calls` must have been made, without an error, and none of `forbidden_calls`.
    """

    final_state: dict[str, Any] | None = None
    """What differs from the environment's initial state when the task is done; None: the state
    does not matter."""
    must_say: tuple[tuple[str, ...], ...] = ()
    required_calls: tuple[CallPattern, ...] = ()
    forbidden_calls: tuple[CallPattern, ...] = ()


class Criterion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that a judge looks at."""

    name: str
    description: str
    weight: Annotated[float, msgspec.Meta(gt=0)] = 1.0


class Task(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing to be done in an environment."""

    id: str
    environment: str
    split: Split
    scenario: Scenario
    initial_state: dict[str, Any]
    """What differs from the environment's initial state when the conversation begins."""
    needs_action: bool
    """True when doing nothing to the state is wrong."""
    goal: str = ""
    """What success is, in words. Hidden from the policy and from the simulated user."""
    check: Check | None = None
    rubric: tuple[Criterion, ...] = ()
    reference: tuple[Message, ...] = ()
    """A conversation in which it was done, for the simulator; the policy never sees it."""
    template: str = ""
    """What it was drawn from, for tasks that were."""
    seed: str = ""
    """Id of the seed it was made from, for tasks that were."""

    def as_record(self) -> TaskRecord:
        """The task as a run keeps it."""
        return TaskRecord(self.id, self.environment, self.split, msgspec.to_builtins(self))
