"""`verifiers`: a `MultiTurnEnv` whose `env_response` asks the world, a rubric whose reward function
asks the judge, and `evaluate` over all conversations at once.
"""

import asyncio
from typing import Any

import openai
import verifiers as vf
from conversation import JSON_MODE, Wire, read_observation, read_reward, read_user
from datasets import Dataset
from measure import Job, Stopwatch
from verifiers.types import ClientConfig
from verifiers.utils.client_utils import setup_openai_client


class Airline(vf.MultiTurnEnv):
    """The user opens; then the agent speaks, and tools or user answer."""

    def __init__(self, job: Job, config: ClientConfig, names: list[str]) -> None:
        self._world = setup_openai_client(config)
        self._material = job.material
        rows = [{"prompt": [], "answer": "", "info": {"name": name}} for name in names]
        super().__init__(
            eval_dataset=Dataset.from_list(rows),
            system_prompt=None,
            rubric=vf.Rubric(funcs=[self.judge]),
            tool_defs=[vf.Tool(**tool["function"]) for tool in job.material.tools],
        )

    async def setup_state(self, state: vf.State) -> None:
        """The prompt: the policy, and what the user opens with."""
        system = vf.SystemMessage(content=self._material.policy)
        text, _ = read_user(await self._ask(self._material.user_prompt(state["info"]["name"], [])))
        state["prompt"] = [system, vf.UserMessage(content=text)]

    async def env_response(self, messages: vf.Messages, state: vf.State) -> vf.Messages:
        """Observations of the calls, or what the user says."""
        history = [_wire(message) for message in messages[1:]]
        calls = messages[-1].tool_calls or ()
        observations: vf.Messages = []
        for call in calls:
            told = read_observation(await self._ask(self._material.tool_prompt(history)))
            observations.append(vf.ToolMessage(tool_call_id=call.id, content=told))
        if calls:
            return observations
        prompt = self._material.user_prompt(state["info"]["name"], history)
        text, is_over = read_user(await self._ask(prompt))
        said = [vf.UserMessage(content=text)]
        if is_over:
            state["final_env_response"] = said
        return said

    async def judge(
        self, prompt: vf.Messages, completion: vf.Messages, info: dict[str, Any]
    ) -> float:
        """The reward."""
        history = [_wire(message) for message in [*prompt[1:], *completion]]
        return read_reward(await self._ask(self._material.judge_prompt(info["name"], history)))

    async def _ask(self, prompt: list[Wire]) -> str:
        reply = await self._world.chat.completions.create(
            model="world", messages=prompt, response_format=JSON_MODE
        )
        return reply.choices[0].message.content


def _wire(message: Any) -> Wire:
    wire = message.model_dump(exclude_none=True)
    if calls := wire.get("tool_calls"):
        wire["tool_calls"] = [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": call["arguments"]},
            }
            for call in calls
        ]
    return wire


async def play(job: Job, config: ClientConfig, names: list[str]) -> int:
    """How many have a reward."""
    environment = Airline(job, config, names)
    results = await environment.evaluate(client=config, model="policy", max_concurrent=-1)
    return sum(each["error"] is None and each["reward"] == 1 for each in results["outputs"])


async def main() -> None:
    job = Job()
    config = ClientConfig(api_key_var="NO_KEY", api_base_url=job.url)
    await play(job, config, job.warm_up)
    stopwatch = Stopwatch()
    async with stopwatch.watching_lag():
        completed = await play(job, config, job.names)
    stopwatch.report(f"{vf.__version__}, openai {openai.__version__}", completed)


asyncio.run(main())
