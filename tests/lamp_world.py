"""An environment whose user has a lamp, which the agent can only ask about."""

import json
from pathlib import Path
from typing import Any

SECRET = "sunflower"
"""Stands on the user's lamp; nobody says it."""


def tool(name: str, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": [*properties]}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


FILES: dict[str, Any] = {
    "tools.json": [tool("get_account"), tool("update_firmware", version={"type": "string"})],
    "user_tools.json": [tool("check_lamp"), tool("switch_lamp", on={"type": "boolean"})],
    "state.json": {
        "account": {"firmware": "1.0"},
        "lamp": {"on": False, "label": SECRET},
    },
    "environment.toml": """
[tools.get_account]
effect = "read"
returns = "/account"
[tools.update_firmware]
effect = "write"
changes = ["/account/firmware"]
[user_tools.check_lamp]
effect = "read"
returns = "/lamp"
[user_tools.switch_lamp]
effect = "write"
changes = ["/lamp/on"]
""",
    "policy.md": "Help with lamps.",
    "tasks.jsonl": {
        "id": "dark",
        "split": "train",
        "scenario": {"instructions": "Your lamp is dark."},
        "initial_state": {},
        "needs_action": True,
        "check": {"final_state": {"account": {"firmware": "1.1"}, "lamp": {"on": True}}},
    },
}


def write_lamp(place: Path, **changed: Any) -> Path:
    """The directory of a lamp's environment; files that are None are left out."""
    place.mkdir(exist_ok=True)
    for name, content in {**FILES, **{k.replace("__", "."): v for k, v in changed.items()}}.items():
        if content is not None:
            text = content if isinstance(content, str) else json.dumps(content)
            (place / name).write_text(text)
    return place
