"""What every peer plays: the material of the world's prompts, composed as our simulator's are.

It needs nothing of ours, so that it runs in a peer's own environment. `material.json` is written by
the driver (`material.py`), from the very words, policy and tools that our runs send.
"""

import json
from pathlib import Path
from typing import Any

Wire = dict[str, Any]
"""A message as OpenAI's chat API has it."""

JSON_MODE = {"type": "json_object"}


class Material:
    """The world's side of the conversations."""

    def __init__(self, path: Path) -> None:
        read = json.loads(path.read_text())
        self.policy: str = read["policy"]
        self.tools: list[Wire] = read["tools"]
        self.goal: str = read["goal"]
        self._words: dict[str, str] = read["words"]
        self._environment: str = read["environment"]
        self._tools_text = _section("tools", self.tools)

    def user_prompt(self, name: str, history: list[Wire]) -> list[Wire]:
        """Asks what customer `name` says next."""
        task = {"scenario": _scenario(name)}
        return self._prompt("user", _section("task", task), _section("history", history))

    def tool_prompt(self, history: list[Wire]) -> list[Wire]:
        """Asks what the call that `history` ends with returns."""
        state = _section("state", {})
        return self._prompt("tool", self._tools_text, state, _section("history", history))

    def judge_prompt(self, name: str, history: list[Wire]) -> list[Wire]:
        """Asks for the reward."""
        task = {"scenario": _scenario(name), "goal": self.goal, "rubric": [], "check": None}
        return self._prompt(
            "judge",
            self._tools_text,
            _section("task", task),
            _section("state", {"changes": [], "final": {}}),
            _section("history", history),
            policy=self.policy,
        )

    def _prompt(self, role: str, *sections: str, **named: str) -> list[Wire]:
        environment = _section("environment", {"name": self._environment, "role": role, **named})
        return [
            {"role": "system", "content": self._words[role]},
            {"role": "user", "content": "\n".join((environment, *sections))},
        ]


def names(conversations: int, turns: int) -> list[str]:
    """One a conversation in which the policy speaks `turns` times; half of that are calls."""
    return [f"C-{number:05}-{turns}" for number in range(conversations)]


def read_user(text: str) -> tuple[str, bool]:
    """What the user says, and whether nothing is left to say."""
    reply = json.loads(text)
    return reply["message"], reply["done"]


def read_observation(text: str) -> str:
    """What a call returned, as JSON text."""
    return json.dumps(json.loads(text)["observation"], separators=(",", ":"))


def read_reward(text: str) -> float:
    """What the judge gives."""
    return float(json.loads(text)["reward"])


def _scenario(name: str) -> Wire:
    said = f"You are customer {name}. Ask about one reservation after the other."
    return {"instructions": said, "utterances": []}


def _section(tag: str, value: Any) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    return f"<{tag}>\n{text}\n</{tag}>"
