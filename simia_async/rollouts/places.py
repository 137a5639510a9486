"""How a policy is asked, as data: enough for another process to ask it too."""

from pathlib import Path
from typing import Any, Literal

import msgspec

from simia_async.clients import ChatClient
from simia_async.rendering.call_styles import HERMES, LLAMA3, CallStyle
from simia_async.rendering.renderer import Renderer
from simia_async.rollouts.chat_voice import ChatPolicy
from simia_async.rollouts.token_voice import TokenPolicy
from simia_async.rollouts.voices import Policy, Sampling

_STYLES: dict[str, CallStyle | None] = {"native": None, "hermes": HERMES, "llama3": LLAMA3}


class PolicyPlace(msgspec.Struct, frozen=True):
    """What an endpoint does not say of the policy there."""

    calls: Literal["native", "hermes", "llama3"] = "native"
    """How it writes calls; over token ids, native ones are Hermes'."""
    tokenizer: str | None = None
    """Directory of the model whose tokenizer and template it is prompted with, over token ids;
    None: it is asked for chat completions."""
    name: str = ""
    """What the endpoint calls its base, where that is not `policy@0`."""
    unset: dict[str, Any] = {}
    """What sampling is where the settings say nothing."""


class PolicyDesk:
    """Makes policies of a place, by version."""

    def __init__(self, place: PolicyPlace) -> None:
        """Raises `UsageError` for a tokenizer that is none."""
        self.place = place
        self._renderer = None if place.tokenizer is None else Renderer(Path(place.tokenizer))

    def at(self, client: ChatClient, version: int, sampling: Sampling) -> Policy:
        """One version, pinned, which `client` asks."""
        style = _STYLES[self.place.calls]
        if self._renderer is None:
            return ChatPolicy(client, sampling, style, version)
        name = "" if version else self.place.name
        return TokenPolicy(client, self._renderer, sampling, version, name, style or HERMES)
