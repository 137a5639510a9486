"""Which parameter an endpoint refused a call for, if it is one that the call can do without."""

import re
from collections.abc import Iterable

from simia_async.errors import EndpointError, EndpointRefused

_DISPENSABLE = frozenset(
    "temperature top_p top_k min_p seed max_tokens max_completion_tokens presence_penalty "
    "frequency_penalty repetition_penalty logit_bias response_format reasoning_effort verbosity "
    "stream_options parallel_tool_calls service_tier store metadata user safety_identifier "
    "prompt_cache_key chat_template_kwargs".split()
)
"""What shapes an answer but not what it answers. Without `tools` or `stop` it would be another."""
_UNSUPPORTED = re.compile(
    r"unsupported|not supported|unrecognized|unknown (?:name|field|parameter|argument)|"
    r"extra inputs|not permitted|does not support|must contain the word .json",
    re.IGNORECASE,
)
_CODES = ("unsupported_parameter", "unsupported_value", "unknown_parameter", "extra_forbidden")
_ALIASES = {"reasoning_effort": r"\breasoning_effort\b|\breasoning\.effort\b|\bthink(?:ing)?\b"}
"""Ollama speaks of "thinking"."""


def refused_parameter(error: EndpointError, sent: Iterable[str]) -> str | None:
    """The name, out of those `sent`; None if the refusal is about something else."""
    if not (isinstance(error, EndpointRefused) and error.status in (400, 422)):
        return None
    if error.code not in _CODES and not _UNSUPPORTED.search(error.detail):
        return None
    names = [name for name in sent if name in _DISPENSABLE]
    if error.param:
        named = re.split(r"[.\[]", error.param)[0]
        if named in names:
            return named
        if "the word" not in error.detail:  # JSON mode refuses "messages" that do not ask for JSON
            return None
    places = {
        name: match.start()
        for name in names
        if (match := re.search(_ALIASES.get(name, rf"\b{name}\b"), error.detail))
    }
    # What else it names is mostly what would be right.
    return min(places, key=places.__getitem__, default=None)
