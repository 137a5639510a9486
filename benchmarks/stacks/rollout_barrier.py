"""The reference's pattern (Simia-RL): the synchronous `OpenAI` client in a pool of 16 threads, and
a barrier a turn over the whole batch: all policies speak, then all worlds answer.

MORE is how many policies speak at once: there they are a batch of one local engine.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import openai
from rollout_talk import Job, Stopwatch, Talk

WORLDS_AT_ONCE = 16

job = Job()
with (
    openai.OpenAI(base_url=job.url, api_key="none", max_retries=0, timeout=300) as client,
    ThreadPoolExecutor(int(job.more[0])) as policies,
    ThreadPoolExecutor(WORLDS_AT_ONCE) as worlds,
):

    def ask(talk: Talk) -> None:
        talk.take(client.chat.completions.create(**talk.body).choices[0].message)

    def answer(talk: Talk) -> None:
        while talk.body is not None and not talk.is_policys:
            ask(talk)

    def all_of(pool: ThreadPoolExecutor, step: Callable[[Talk], None], talks: list[Talk]) -> None:
        list(pool.map(step, talks))

    stopwatch = Stopwatch()
    talks = [Talk(task) for task in job.tasks()]
    all_of(worlds, answer, talks)
    while talks:
        all_of(policies, ask, talks)
        all_of(worlds, answer, talks)
        going_on = [talk for talk in talks if talk.body is not None]
        stopwatch.ended(len(talks) - len(going_on))
        talks = going_on
    job.report(stopwatch.result(job))
