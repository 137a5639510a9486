"""Conversations of a run, read back as a judge is given them."""

from collections import deque
from collections.abc import Sequence
from typing import Any, NoReturn

import msgspec
from simia_store import CallRecord, FactRecord, Reader, TrajectoryRecord, TurnRecord

from simia_async.environments import Environment, Task
from simia_async.judging import Case, MadeCall, wanted_state
from simia_async.messages import Message, ToolCall
from simia_async.rollouts.conversation import without_thoughts
from simia_async.rollouts.stop_reason import FINISHED, UNJUDGED, StopReason
from simia_async.simulation import arguments_of
from simia_async.simulation.grounding import GroundedWorld, SharedFacts, TranscriptWorld


def is_judgeable(trajectory: TrajectoryRecord) -> bool:
    """Whether it is a conversation that came to an end which tells something of the policy."""
    ended = trajectory.finished_at is not None and trajectory.stop_reason is not None
    return ended and StopReason(str(trajectory.stop_reason)) not in UNJUDGED


def case_of(
    reader: Reader,
    trajectory: TrajectoryRecord,
    task: Task,
    environment: Environment,
    *,
    grounded: bool,
) -> Case:
    """The conversation as its own judge was given it.

    Raises `EndpointError` or `StoreError` if what was stored does not fit the environment.
    """
    turns = reader.turns(trajectory.id)
    messages = [msgspec.convert(turn.message, Message) for turn in turns]
    initial = environment.state_with(task.initial_state)
    world: GroundedWorld | TranscriptWorld = TranscriptWorld()
    if grounded:
        world = _world(reader, trajectory, turns, environment, initial)
    return Case(
        task=task,
        history=[without_thoughts(message) for message in messages],
        made=_made(turns, messages),
        initial_state=initial,
        final_state=world.state,
        wanted_state=wanted_state(environment, task, world.facts),
        changes=[op for turn in turns for op in turn.ops],
        finished=any(
            ended in FINISHED for ended in (trajectory.stop_reason, *(turn.ends for turn in turns))
        ),
    )


def _made(turns: Sequence[TurnRecord], messages: Sequence[Message]) -> list[MadeCall]:
    """Calls that were answered: of each of the agent's turns, in order."""
    made = []
    pending: deque[ToolCall] = deque()
    for turn, message in zip(turns, messages, strict=True):
        if turn.role == "assistant":
            pending = deque(message.tool_calls or ())
        elif turn.role == "tool" and pending:
            call = pending.popleft()
            made.append(MadeCall(call.function.name, arguments_of(call) or {}, turn.is_error))
    return made


def _world(
    reader: Reader,
    trajectory: TrajectoryRecord,
    turns: list[TurnRecord],
    environment: Environment,
    initial: dict[str, Any],
) -> GroundedWorld:
    shared = SharedFacts(trajectory.group_id, initial, _read_only)
    if trajectory.group_id is not None:
        shared.restore(reader.facts(group_id=trajectory.group_id))
    world = GroundedWorld(environment, shared, trajectory.id)
    world.restore(turns, reader.facts(trajectory_id=trajectory.id))
    return world


async def _read_only(*_: FactRecord | CallRecord) -> NoReturn:
    raise AssertionError("a world that is read back makes no facts")
