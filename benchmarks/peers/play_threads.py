"""The reference's pattern (Simia-RL): the synchronous `OpenAI` client in pools of threads, and a
barrier a turn over the whole batch: all policies speak, then all worlds answer, 16 at once.

Policies speak all at once, as a batch of one local engine does. It keeps nothing.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import openai
from conversation import JSON_MODE, Wire, read_observation, read_reward, read_user
from measure import Job, Stopwatch

WORLDS = 16
RETRIES = 10


class Talk:
    """One conversation."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.messages: list[Wire] = []
        self.is_over = self.is_lost = False
        self.reward: float | None = None


class Batch:
    """Conversations that go forward together, a turn at a time."""

    def __init__(self, job: Job, client: openai.OpenAI, names: list[str]) -> None:
        self._client = client
        self._material = job.material
        self._system = {"role": "system", "content": job.material.policy}
        self._talks = [Talk(name) for name in names]

    def play(self, policies: ThreadPoolExecutor, worlds: ThreadPoolExecutor) -> int:
        """How many have a reward."""
        going_on = self._talks
        self._all_of(worlds, self._answer, going_on)
        while going_on:
            self._all_of(policies, self._speak, going_on)
            self._all_of(worlds, self._answer, going_on)
            going_on = [talk for talk in going_on if not talk.is_over and not talk.is_lost]
        self._all_of(worlds, self._judge, self._talks)
        return sum(talk.reward is not None for talk in self._talks)

    def _all_of(
        self, pool: ThreadPoolExecutor, step: Callable[[Talk], None], talks: list[Talk]
    ) -> None:
        def take(talk: Talk) -> None:
            # A call that failed for good loses its conversation, not the batch.
            if not talk.is_lost:
                try:
                    step(talk)
                except openai.OpenAIError:
                    talk.is_lost = True

        list(pool.map(take, talks))

    def _world(self, prompt: list[Wire]) -> str:
        reply = self._client.chat.completions.create(
            model="world", messages=prompt, response_format=JSON_MODE
        )
        return reply.choices[0].message.content

    def _speak(self, talk: Talk) -> None:
        reply = self._client.chat.completions.create(
            model="policy", messages=[self._system, *talk.messages], tools=self._material.tools
        )
        talk.messages.append(reply.choices[0].message.model_dump(exclude_none=True))

    def _answer(self, talk: Talk) -> None:
        calls = talk.messages[-1].get("tool_calls", ()) if talk.messages else ()
        for call in calls:
            observation = read_observation(self._world(self._material.tool_prompt(talk.messages)))
            said = {"role": "tool", "tool_call_id": call["id"], "content": observation}
            talk.messages.append(said)
        if not calls:
            prompt = self._material.user_prompt(talk.name, talk.messages)
            text, talk.is_over = read_user(self._world(prompt))
            talk.messages.append({"role": "user", "content": text})

    def _judge(self, talk: Talk) -> None:
        prompt = self._material.judge_prompt(talk.name, talk.messages)
        talk.reward = read_reward(self._world(prompt))


def main() -> None:
    job = Job()
    with (
        openai.OpenAI(base_url=job.url, api_key="none", max_retries=RETRIES, timeout=300) as client,
        ThreadPoolExecutor(job.conversations) as policies,
        ThreadPoolExecutor(WORLDS) as worlds,
    ):
        Batch(job, client, job.warm_up).play(policies, worlds)
        stopwatch = Stopwatch()
        completed = Batch(job, client, job.names).play(policies, worlds)
        stopwatch.report(f"openai {openai.__version__}", completed)


main()
