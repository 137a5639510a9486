"""The reference's pattern (Simia-RL): the synchronous `OpenAI` client in pools of threads, and a
barrier a turn over the whole batch: all policies speak, then all worlds answer.

MORE is how many policies speak at once, which there are a batch of one local engine, and how many
worlds answer at once, which there are 16 at most.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import openai
from rollout_talk import Job, Stopwatch, Talk

job = Job()
policies_at_once, worlds_at_once = map(int, job.more)
with (
    openai.OpenAI(base_url=job.url, api_key="none", max_retries=0, timeout=300) as client,
    ThreadPoolExecutor(policies_at_once) as policies,
    ThreadPoolExecutor(worlds_at_once) as worlds,
):

    def ask(talk: Talk) -> None:
        assert talk.body is not None
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
