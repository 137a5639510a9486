"""The scripted agent as a model: what it says in a conversation of a scripted world."""

import msgspec

from simia_async.builtin.scripted_agent import next_reply
from simia_async.builtin.scripted_worlds import SCRIPTED_WORLDS
from simia_async.builtin.server.completions import Reply, Said
from simia_async.builtin.server.protocol import ChatRequest
from simia_async.builtin.server.refusals import Refusal
from simia_async.messages import Message


def act(request: ChatRequest) -> Reply:
    """The agent's next turn. Raises `Refusal`: 422 for what it has no rules for."""
    system = next((m.text for m in request.messages if m.role == "system"), "")
    world = next((w for w in SCRIPTED_WORLDS.values() if system.startswith(w.policy())), None)
    if world is None:
        known = ", ".join(SCRIPTED_WORLDS)
        raise Refusal(
            422,
            f"the scripted agent plays by rules, and only in {known}: the system message must "
            "begin with the policy of one of them. Use an LLM as the policy",
        )
    try:
        said = next_reply(world, msgspec.convert(request.raw["messages"], list[Message]))
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise Refusal(422, f"the scripted agent cannot go on here: {error!r}") from error
    calls = [Said(c.id, c.function.name, c.function.arguments) for c in said.tool_calls or ()]
    return Reply(said.content, tool_calls=calls, finish_reason="tool_calls" if calls else "stop")
