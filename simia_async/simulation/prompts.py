"""Prompts of the simulator's roles: words, then the material in fixed tagged JSON sections.

The words may change; the tags may not. They are also what lets the scripted simulator read the
very prompts that an LLM gets.
"""

import re
from typing import Any, Literal

import msgspec

SimulatorRole = Literal["user", "tool", "judge", "author"]
Tag = Literal["environment", "tools", "seed", "state", "task", "history"]

WORDS: dict[SimulatorRole, str] = {
    "user": (
        "You play the user who talks to a support agent. Follow the scenario in <task>, reveal "
        "what it says step by step, and make nothing up. <history> is the conversation so far, "
        'empty if you speak first. Answer with JSON: {"message": what the user says next, '
        '"done": true if the scenario is over and nothing is left to say}.'
    ),
    "tool": (
        "You play the tools of a support system. <history> ends with the agent's tool call; "
        "<tools> declares the tools and <state> is the true state of the world. Answer as the "
        "real API would, from the state and nothing else. Answer with JSON: "
        '{"observation": what the call returns, "is_error": true or false, "ops": the JSON Patch '
        "(RFC 6902) that the call makes to <state>, empty for a look-up}."
    ),
    "judge": (
        "You judge a support agent. <environment> holds the policy it must follow, <task> what "
        "the user wanted and how success is checked, <history> the conversation and <state> the "
        "state of the world afterwards. The reward is 1 if the final state is the one wanted and "
        "everything the user had to be told was said, otherwise 0. Answer with JSON: "
        '{"criteria": {name: true or false}, "reasoning": one sentence, "reward": 0 to 1}.'
    ),
    "author": (
        "You write training conversations between a user, a support agent and its tools. <seed> "
        "is one real conversation. Write a new one of the same kind: other people, ids, dates and "
        "wishes, each used consistently, every observation in keeping with the earlier ones. The "
        "agent follows the policy in <environment> and calls only <tools>, one at a time. Answer "
        'with JSON: {"messages": the conversation in OpenAI chat format, without a system '
        "message}."
    ),
}


def compose(sections: dict[Tag, Any]) -> str:
    """The sections of a prompt as text."""
    return "\n".join(f"<{tag}>\n{_escape(value)}\n</{tag}>" for tag, value in sections.items())


def read_sections(text: str) -> dict[str, Any]:
    """The sections that `compose` wrote."""
    found = re.findall(r"^<([a-z]+)>\n(.*)\n</\1>$", text, flags=re.MULTILINE)
    return {tag: msgspec.json.decode(value) for tag, value in found}


def _escape(value: Any) -> str:
    """One line of JSON in which no tag can be forged: `<` is written as an escape."""
    return msgspec.json.encode(value).decode().replace("<", "\\u003c")
