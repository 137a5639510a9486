"""The tools of some environments of the library as Python: exact, without a simulator.

With them an environment is the real thing that an LLM otherwise imagines.
"""

from importlib import import_module

from simia_async.builtin.exact.binding import as_function
from simia_async.environments.tool_effects import ToolFunction
from simia_async.errors import UsageError

EXACT = ("office", "shell", "telecom")
"""Environments whose tools are all there, those of the user too."""


def exact_functions(environment: str) -> dict[str, ToolFunction]:
    """Python for every tool of an environment of the library, for `Environment.with_functions`.

    Raises `UsageError` if there is none for this one.
    """
    if environment not in EXACT:
        raise UsageError(
            f"no exact tools for environment {environment!r}; there are for {', '.join(EXACT)}"
        )
    tools = import_module(f"{__name__}.{environment}").TOOLS
    return {name: as_function(tool) for name, tool in tools.items()}
