"""`dataset_info.json`: what LLaMA-Factory has to be told of an exported file."""

import re
from typing import Any

from simia_async.synthesis.export_format import ExportFormat

_ROLES = {"role_tag": "role", "content_tag": "content"}
_SPEAKERS = {"user_tag": "user", "assistant_tag": "assistant", "system_tag": "system"}

_SHAPES: dict[ExportFormat, tuple[str, dict[str, str], dict[str, str]]] = {
    ExportFormat.OPENAI: (
        "openai",
        {"messages": "messages", "tools": "tools"},
        {"observation_tag": "tool", "function_tag": "function"},
    ),
    # Calls and tools stand within the text of these two, so no turn is of a function.
    ExportFormat.HERMES: (
        "sharegpt",
        {"messages": "messages"},
        {"observation_tag": "tool", "function_tag": "function"},
    ),
    ExportFormat.LLAMA3: (
        "sharegpt",
        {"messages": "messages"},
        {"observation_tag": "ipython", "function_tag": "function"},
    ),
}
_SHAPES[ExportFormat.PARQUET] = _SHAPES[ExportFormat.OPENAI]


def dataset_info(environment: str, format: ExportFormat) -> dict[str, Any]:  # noqa: A002
    """The entry, under a name made from the environment's.

    LLaMA-Factory reads a tag that is not given as none at all, so all are.
    """
    entry: dict[str, Any] = {"file_name": format.file_name, "formatting": "sharegpt"}
    if format is ExportFormat.SHAREGPT:
        entry["columns"] = {"messages": "conversations", "system": "system", "tools": "tools"}
    else:
        formatting, columns, tags = _SHAPES[format]
        entry["formatting"] = formatting
        entry["columns"] = columns
        entry["tags"] = _ROLES | _SPEAKERS | tags
    return {dataset_name(environment): entry}


def dataset_name(environment: str) -> str:
    """A name that is safe in commands and files."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", environment).strip("_") or "simia"
