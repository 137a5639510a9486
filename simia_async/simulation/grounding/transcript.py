"""A world without state: the LLM answers every call from the transcript, as in the paper."""

from simia_store import CallRecord, FactRecord, TurnRecord

from simia_async.messages import ToolCall
from simia_async.simulation.asking import read_json
from simia_async.simulation.grounding.observation import Ask, Observation, shown
from simia_async.simulation.replies import ToolReply


class TranscriptWorld:
    """Keeps nothing, and so contradicts itself whenever the LLM does."""

    state = None
    facts: tuple[FactRecord, ...] = ()

    async def answer(
        self,
        call: ToolCall,  # noqa: ARG002 (what is asked stands in the transcript)
        ask: Ask,
        ledger: list[CallRecord],  # noqa: ARG002 (nothing is committed)
    ) -> Observation:
        """What `call` returned. Raises `EndpointError`."""
        reply = await ask(None, lambda text: read_json(ToolReply, text))
        return Observation(reply.observation, shown(reply.observation), reply.is_error, "llm")

    def restore(self, turns: list[TurnRecord], own_facts: list[FactRecord]) -> None:
        """There is nothing to take up."""
