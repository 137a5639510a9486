"""litellm plays an episode with a tool call against the policy endpoint.

litellm wants another version of openai than we test with, so it is run in an environment of its
own: that of the benchmarks (`make bench`), or the Python that `LITELLM_PYTHON` names.
"""

import asyncio
import json
import os
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("torch")

from tests.policy_endpoints import (
    ANSWER,
    ARGUMENTS,
    OPENING,
    TOOLS,
    engine,
    served,
)

pytestmark = pytest.mark.soak

OF_BENCHMARKS = Path(__file__).parents[2] / ".bench-venv" / "bin" / "python"
EPISODE = """
import json, sys
import litellm

asked = json.loads(sys.argv[1])
messages = asked.pop("messages")
first = litellm.completion(messages=messages, **asked).choices[0]
[call] = first.message.tool_calls
messages += [
    first.message.model_dump(exclude_none=True),
    {"role": "tool", "tool_call_id": call.id, "content": "shipped"},
]
chunks = litellm.completion(messages=messages, stream=True, **asked)
told = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
print(json.dumps([first.finish_reason, call.function.name, call.function.arguments, told]))
"""


def python_with_litellm() -> str:
    python = os.environ.get("LITELLM_PYTHON", str(OF_BENCHMARKS))
    tried = [python, "-c", "import litellm, mcp"]  # litellm asks mcp for anything with tools
    try:
        found = subprocess.run(tried, capture_output=True, check=False).returncode == 0
    except OSError:
        found = False
    if not found:
        pytest.skip(f"litellm and mcp cannot be imported by {python}")
    return python


async def test_an_episode_through_litellm() -> None:
    python = python_with_litellm()
    async with served(engine(), key="secret") as base_url:
        asked = {
            "model": "openai/policy@0",
            "api_base": base_url,
            "api_key": "secret",
            "messages": OPENING,
            "tools": TOOLS,
            "temperature": 0,
            "max_tokens": 90,
        }
        process = await asyncio.create_subprocess_exec(
            python,
            "-c",
            EPISODE,
            json.dumps(asked),
            stdout=subprocess.PIPE,
            env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        )
        said, _ = await process.communicate()
    last_line = said.decode().strip().splitlines()[-1]
    assert json.loads(last_line) == ["tool_calls", "get_order", ARGUMENTS, ANSWER]
