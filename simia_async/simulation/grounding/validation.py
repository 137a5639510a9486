"""Whether a tool's answer is in keeping with the state, and the state after it."""

from collections.abc import Callable, Collection, Iterator
from typing import Any

import msgspec
from jsonpointer import JsonPointer, JsonPointerException

from simia_async.environments import Environment
from simia_async.environments.tool_effects import ANY, Parts, ToolEffect
from simia_async.errors import BadReply
from simia_async.simulation.grounding.contradictions import contradictions
from simia_async.simulation.grounding.entities import MISSING, at, pointer
from simia_async.simulation.grounding.observation import Op, Request, State
from simia_async.simulation.replies import ToolReply
from simia_async.simulation.state import apply_ops


class Checked(msgspec.Struct, frozen=True):
    """An answer that holds."""

    ops: list[Op]
    """All that it does to the state, what code added included."""
    state: State
    """The state after it."""


def check_reply(
    environment: Environment,
    request: Request,
    reply: ToolReply,
    state: State,
    gone: Collection[Parts] = (),
) -> Checked:
    """What a reply does to `state`, in which what is `gone` was before a change removed it.

    What a look-up returned of the state is put into it, as far as it was not there. Raises
    `msgspec.ValidationError` with one sentence if the reply is not in keeping with the state.
    """
    if reply.is_error and reply.ops:
        raise msgspec.ValidationError("`ops` of an error: a call that fails changes nothing")
    effect = environment.effects.get(request.name)
    about = effect.returned(request.arguments) if effect else None
    if effect is not None and effect.effect == "read":
        ops, after = _look_up(reply, state, gone)
    else:
        ops, after = _change(reply, state, effect, request.arguments)
    misfit = environment.state_misfit(after) if ops else None
    if misfit is not None:
        raise msgspec.ValidationError(f"`ops`: the state would not fit its schema at {misfit}")
    if about is not None and not reply.is_error and isinstance(reply.observation, dict):
        told, known = _tell(after, about, reply.observation, gone)
        # Where the schema has no room for all that was told, the fact alone keeps it.
        if told and environment.state_misfit(known) is None:
            ops, after = [*ops, *told], known
    if not reply.is_error:
        for sentence in contradictions(reply.observation, after, environment.effects, about):
            raise msgspec.ValidationError(sentence)
    return Checked(ops, after)


def _look_up(reply: ToolReply, state: State, gone: Collection[Parts]) -> tuple[list[Op], State]:
    for op in reply.ops:
        if op.get("op") != "add" or not _is_new(state, op_path(op)):
            raise msgspec.ValidationError(
                f"`ops`: {_named(op)} changes what is; a look-up may only add what is not there"
            )
        _refuse_revival(op_path(op), gone)
    return _applied(state, reply.ops, lambda _: True)


def _tell(
    state: State, about: Parts, observation: dict[str, Any], gone: Collection[Parts]
) -> tuple[list[Op], State]:
    """Put what was told of a part of the state into it, as far as it was not there."""
    _refuse_revival(about, gone)
    return _applied(state, list(_additions(about, at(state, about), observation)), lambda _: True)


def _refuse_revival(parts: Parts, gone: Collection[Parts]) -> None:
    if is_below(parts, gone):
        raise msgspec.ValidationError(f"{pointer(parts)} of the state was removed, and stays so")


def _change(
    reply: ToolReply, state: State, effect: ToolEffect | None, arguments: dict[str, Any]
) -> tuple[list[Op], State]:
    if effect is None or not effect.changes:
        return _applied(state, reply.ops, lambda _: False)
    allowed = effect.changeable(arguments)
    listed = ", ".join(map(pointer, allowed)) or "nothing, with these arguments"
    for op in reply.ops:
        for parts in changed_paths(op):
            if not is_below(parts, allowed):
                raise msgspec.ValidationError(
                    f"`ops`: {_named(op)} is beyond what this tool changes: {listed}"
                )
    if not reply.is_error and not any(True for op in reply.ops for _ in changed_paths(op)):
        raise msgspec.ValidationError(
            f"`ops` are missing: this tool changes {listed}, or returns an error"
        )
    return _applied(state, reply.ops, lambda parts: is_below(parts, allowed))


def _applied(
    state: State, ops: list[Op], may_make: Callable[[Parts], bool]
) -> tuple[list[Op], State]:
    """The ops, with those before them that make the objects they add to, and the state after."""
    done: list[Op] = []
    for op in ops:
        parents = list(_missing_parents(state, op, may_make)) if op.get("op") == "add" else []
        try:
            state = apply_ops(state, [*parents, op])
        except BadReply as error:
            raise msgspec.ValidationError(
                f"`ops`: {_named(op)}: {error.__cause__ or error}"
            ) from error
        done += [*parents, op]
    return done, state


def _missing_parents(state: State, op: Op, may_make: Callable[[Parts], bool]) -> Iterator[Op]:
    parts = op_path(op)
    for length in range(1, len(parts)):
        parent = parts[:length]
        if at(state, parent) is MISSING and may_make(parent):
            value: Any = [] if parts[length] == "-" else {}
            yield {"op": "add", "path": pointer(parent), "value": value}


def _additions(place: Parts, known: Any, told: Any) -> Iterator[Op]:
    """Ops that add what was told and is not known."""
    if known is MISSING:
        yield {"op": "add", "path": pointer(place), "value": told}
    elif isinstance(known, dict) and isinstance(told, dict):
        for key, value in told.items():
            yield from _additions((*place, key), known.get(key, MISSING), value)


def op_path(op: Op, member: str = "path") -> Parts:
    """A path of an operation. Raises `msgspec.ValidationError` if it is none."""
    path = op.get(member)
    try:
        if isinstance(path, str):
            return tuple(JsonPointer(path).parts)
    except JsonPointerException:
        pass
    raise msgspec.ValidationError(f"`ops`: {_named(op)} has no JSON pointer in `{member}`")


def changed_paths(op: Op) -> Iterator[Parts]:
    """What an operation changes."""
    if op.get("op") == "move":
        yield op_path(op, "from")
    if op.get("op") != "test":
        yield op_path(op)


def _is_new(state: State, parts: Parts) -> bool:
    """Whether nothing is at a path, and adding it there moves nothing that is: not into a list."""
    node: Any = state
    for part in parts:
        if not isinstance(node, dict):
            return False
        if part not in node:
            return True
        node = node[part]
    return False


def is_below(parts: Parts, places: Collection[Parts]) -> bool:
    """Whether a path is one of the places, in which `*` is any segment, or below one."""
    return any(
        len(place) <= len(parts) and all(a in (ANY, b) for a, b in zip(place, parts, strict=False))
        for place in places
    )


def _named(op: Op) -> str:
    return f"{op.get('op')} {op.get('path')}"[:120]
