"""`curator`: one `curator.LLM` a role, and a pass of it over all conversations a turn.

Its `MultiTurnAgents` plays one conversation of two agents, without tools or retries, and its
prompts refuse messages of the role `tool`: calls and observations are text of assistant and user.
"""

import importlib.metadata
import json
import os
from pathlib import Path
from typing import Any

import litellm
from bespokelabs import curator
from conversation import JSON_MODE, Wire, read_observation, read_reward, read_user
from measure import Job, Stopwatch

UNLIMITED = 10**9
_TOKENIZERS = Path(litellm.__file__).parent / "litellm_core_utils" / "tokenizers"


class Voice(curator.LLM):
    """Asks for the prompt that a row holds."""

    return_completions_object = True

    def prompt(self, row: dict[str, Any]) -> list[Wire]:
        """The row's messages."""
        return json.loads(row["prompt"])

    def parse(self, row: dict[str, Any], response: dict[str, Any]) -> dict[str, Any]:
        """The message that was said."""
        message = response["choices"][0]["message"]
        return {"name": row["name"], "said": json.dumps(message)}


class Cast:
    """The policy, and the world."""

    def __init__(self, job: Job) -> None:
        self._scratch = str(job.scratch)
        limits = {
            "base_url": job.url,
            "api_key": "none",
            "max_requests_per_minute": UNLIMITED,
            "max_tokens_per_minute": UNLIMITED,
            "max_concurrent_requests": job.conversations,
            "require_all_responses": False,
        }
        self.policy = self._voice("policy", limits, tools=job.material.tools)
        self.world = self._voice("world", limits, response_format=JSON_MODE)

    def _voice(self, model: str, limits: dict[str, Any], **parameters: Any) -> Voice:
        return Voice(
            model_name=model,
            backend="openai",
            backend_params=limits,
            generation_params=parameters,
        )

    def say(self, voice: Voice, prompts: dict[str, list[Wire]]) -> dict[str, Wire]:
        """What is said in each conversation; those that failed for good are left out."""
        rows = [{"name": name, "prompt": json.dumps(prompt)} for name, prompt in prompts.items()]
        said = voice(rows, working_dir=self._scratch).dataset
        return {row["name"]: json.loads(row["said"]) for row in said}


def play(job: Job, cast: Cast, names: list[str]) -> int:
    """How many have a reward."""
    material = job.material
    system = {"role": "system", "content": material.policy}
    going_on: dict[str, list[Wire]] = {name: [] for name in names}
    over: dict[str, list[Wire]] = {}
    while going_on:
        prompts = {name: material.user_prompt(name, said) for name, said in going_on.items()}
        heard = cast.say(cast.world, prompts)
        going_on = {name: going_on[name] for name in heard}
        for name, message in heard.items():
            text, is_over = read_user(message["content"])
            going_on[name].append({"role": "user", "content": text})
            if is_over:
                over[name] = going_on.pop(name)
        acting = going_on
        while acting:
            prompts = {name: [system, *said] for name, said in acting.items()}
            spoken = cast.say(cast.policy, prompts)
            calling = {}
            for name, message in spoken.items():
                text = message["content"] or json.dumps(message["tool_calls"])
                going_on[name].append({"role": "assistant", "content": text})
                if message.get("tool_calls"):
                    calling[name] = going_on[name]
            prompts = {name: material.tool_prompt(said) for name, said in calling.items()}
            told = cast.say(cast.world, prompts) if prompts else {}
            for name, message in told.items():
                observation = read_observation(message["content"])
                going_on[name].append({"role": "user", "content": observation})
            lost = (acting.keys() - spoken.keys()) | (calling.keys() - told.keys())
            going_on = {name: said for name, said in going_on.items() if name not in lost}
            acting = {name: going_on[name] for name in told}
    prompts = {name: material.judge_prompt(name, said) for name, said in over.items()}
    verdicts = cast.say(cast.world, prompts)
    return sum(1 for message in verdicts.values() if read_reward(message["content"]) == 1)


def main() -> None:
    job = Job()
    # It counts the tokens of every prompt, with a table that it would download.
    os.environ["TIKTOKEN_CACHE_DIR"] = str(_TOKENIZERS)
    cast = Cast(job)
    play(job, cast, job.warm_up)
    stopwatch = Stopwatch()
    stopwatch.watch_loops_to_come()
    completed = play(job, cast, job.names)
    stopwatch.report(importlib.metadata.version("bespokelabs-curator"), completed)


main()
