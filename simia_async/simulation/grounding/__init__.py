"""Grounded worlds: an LLM answers the tools, and code keeps what was told true.

A `GroundedWorld` is the world as one rollout meets it. Its state is typed JSON, and every answer is
checked against it. What a look-up told becomes a fact of the rollout's group (`SharedFacts`), so
that all rollouts of the group meet the same world, until one changes something: from then on it has
a branch of its own. A `TranscriptWorld` keeps nothing, as in the paper.
"""

from simia_async.environments.tool_effects import ToolError, ToolFunction
from simia_async.simulation.grounding.contradictions import contradictions
from simia_async.simulation.grounding.entities import is_told
from simia_async.simulation.grounding.observation import Ask, Observation, ReadReply
from simia_async.simulation.grounding.shared import SharedFacts
from simia_async.simulation.grounding.slices import fits, state_slice
from simia_async.simulation.grounding.transcript import TranscriptWorld
from simia_async.simulation.grounding.world import GroundedWorld

__all__ = [
    "Ask",
    "GroundedWorld",
    "Observation",
    "ReadReply",
    "SharedFacts",
    "ToolError",
    "ToolFunction",
    "TranscriptWorld",
    "contradictions",
    "fits",
    "is_told",
    "state_slice",
]
