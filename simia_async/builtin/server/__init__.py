"""The scripted server: an OpenAI-compatible endpoint that is rule-based, not an LLM.

It plays our simulator's roles in scripted worlds, and as an instrument of tests it imitates a
provider: its latency, its rate limits and its faults, the same ones in every run, with a log of
what it was asked. For users it is `simia_async.testing` and `simia scripted-server`; a run starts
it as a child (`python -m simia_async.builtin.server`).
"""

from simia_async.builtin.server.app import build_app
from simia_async.builtin.server.completions import completion
from simia_async.builtin.server.scripted import ScriptedServer

__all__ = ["ScriptedServer", "build_app", "completion"]
