"""Asking an LLM in one of the simulator's roles, and making sense of the answer."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from simia_store import CallRecord

from simia_async.clients import ChatClient
from simia_async.environments import Environment
from simia_async.errors import BadReply
from simia_async.messages import Message
from simia_async.simulation import device
from simia_async.simulation.loose_json import some_json
from simia_async.simulation.prompts import SimulatorRole, Tag, compose, words_of
from simia_async.simulation.replies import DeviceUserReply, Judgement, ToolReply, UserReply

Reply = TypeVar("Reply")

_JSON_MODE: dict[str, Any] = {"type": "json_object"}


def _form(name: str, reply: type[Any]) -> dict[str, Any]:
    """The response format of a role. Not strict: that allows no value of any type."""
    _, components = msgspec.json.schema_components([reply], ref_template="#/$defs/{name}")
    return {
        "type": "json_schema",
        "json_schema": {"name": name, "schema": components[reply.__name__], "strict": False},
    }


_FORMS: dict[SimulatorRole, dict[str, Any]] = {
    "user": _form("user", UserReply),
    "tool": _form("tool", ToolReply),
    "judge": _form("judge", Judgement),
}
"""Roles whose answers have one flat form. An endpoint that knows no schemas is asked in JSON mode,
see `Dialect`."""
_DEVICE_FORMS = {**_FORMS, "user": _form("user", DeviceUserReply)}
"""The same where the user has tools."""


def words_for(role: SimulatorRole, environment: Environment) -> str:
    """What a role is told about an environment."""
    words = words_of(role, environment.prompts)
    more = device.WORDS.get(role) if environment.user_tools else None
    return f"{words} {more}" if more else words


class Asker:
    """Asks about one environment."""

    def __init__(self, client: ChatClient, environment: Environment) -> None:
        self.client = client
        self._environment = environment
        self.tools = msgspec.Raw(msgspec.json.encode(environment.tools))
        """Encoded once; they are part of most prompts."""
        self.user_tools = msgspec.Raw(msgspec.json.encode(environment.user_tools))

    def named(self, role: SimulatorRole, *, policy: bool = False) -> dict[str, Any]:
        """The `<environment>` section of a role's prompt."""
        named: dict[str, Any] = {"name": self._environment.name, "role": role}
        return {**named, "policy": self._environment.policy} if policy else named

    async def ask(
        self,
        role: SimulatorRole,
        sections: dict[Tag, Any],
        read: Callable[[str], Reply],
        ledger: list[CallRecord],
        trajectory_id: int | None,
        **parameters: Any,
    ) -> Reply:
        """Ask once, and once more with the complaint if `read` raises `msgspec.ValidationError`.

        Raises `EndpointError`; `BadReply` if the second answer cannot be used either.
        """
        forms = _FORMS
        if self._environment.user_tools:
            forms = _DEVICE_FORMS
            sections = device.with_device(role, sections, self.user_tools)
        prompt = [
            Message("system", words_for(role, self._environment)),
            Message("user", compose(sections)),
        ]
        for last in (False, True):
            reply = await self.client.chat(
                prompt,
                role=role,
                ledger=ledger,
                trajectory_id=trajectory_id,
                response_format=forms.get(role, _JSON_MODE),
                **parameters,
            )
            if reply.finish_reason == "length":
                # What is cut off may still read as something whole, so it is not even tried.
                raise BadReply(f"simulator, role {role}: the answer was cut off at a token limit")
            text = reply.message.content or ""
            try:
                return read(text)
            except msgspec.ValidationError as error:
                if last:
                    raise BadReply(
                        f"simulator, role {role}: {error}; said {text[:80]!r}"
                    ) from error
                complaint = f"That cannot be used: {error}. Answer again, with the JSON only."
                prompt += [Message("assistant", text), Message("user", complaint)]
        raise AssertionError("the loop returns or raises")


def read_json(expected: type[Reply], text: str) -> Reply:
    """The answer, with prose around the JSON and small slips in it forgiven."""
    try:
        return msgspec.json.decode(text, type=expected)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, RecursionError):
        return msgspec.convert(some_json(text), expected)
