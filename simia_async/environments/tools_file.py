"""`tools.json`: the tools that an agent may call, in OpenAI function format; `user_tools.json`, in
the same format: those that the user may, on a device of their own.
"""

from pathlib import Path
from typing import Any

from simia_async.environments.files import Report, read_json
from simia_async.environments.json_schemas import schema_problem
from simia_async.messages import ToolSchema

_EXPECTED = "a JSON list of tool schemas"
_FORMAT = '{"type": "function", "function": {"name": …, "parameters": {…}}}'


def read_tools(path: Path, report: Report) -> list[ToolSchema]:
    """The tools that are sound; each other is reported."""
    problems: list[str] = []
    value = read_json(path, _EXPECTED, problems.append)
    if not problems and not isinstance(value, list):
        problems.append(f"{path}: expected {_EXPECTED}, found {_kind(value)}")
    if problems:
        report(problems[0])
        return []
    tools: dict[str, ToolSchema] = {}
    for index, tool in enumerate(value):
        name = tool_name(tool)
        if name is None:
            report(
                f"{path}: tool {index}: no `function.name`; expected OpenAI function format, "
                f"{_FORMAT}"
            )
        elif name in tools:
            report(f"{path}: tool {name!r} is declared twice")
        elif problem := parameters_problem(tool):
            report(f"{path}: {problem}")
        else:
            tools[name] = tool
    return list(tools.values())


def read_user_tools(path: Path, agents: list[ToolSchema], report: Report) -> list[ToolSchema]:
    """The tools of the user that are sound; none where there is no file.

    One that has the name of an `agents` tool is reported: a call is told apart by its name.
    """
    if not path.exists():
        return []
    taken = {tool["function"]["name"] for tool in agents}
    tools = []
    for tool in read_tools(path, report):
        name = tool["function"]["name"]
        if name in taken:
            report(f"{path}: tool {name!r} is one of the agent's in tools.json; name it otherwise")
        else:
            tools.append(tool)
    return tools


def tool_name(tool: Any) -> str | None:
    """The name of a tool in OpenAI function format; None for anything else."""
    function = tool.get("function") if isinstance(tool, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) and name else None


def parameters_problem(tool: ToolSchema) -> str | None:
    """Why the parameters of a tool that has a name are no JSON Schema; None if they are one."""
    name, parameters = tool["function"]["name"], tool["function"].get("parameters", {})
    if not isinstance(parameters, dict):
        return f"tool {name!r}: `parameters` is no JSON Schema: expected an object"
    problem = schema_problem(parameters)
    return problem and f"tool {name!r}: `parameters` is no JSON Schema: {problem}"


def _kind(value: Any) -> str:
    names = {dict: "an object", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
