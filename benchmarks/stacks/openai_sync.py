"""The synchronous `OpenAI` client in 200 threads, as the reference implementation does it."""

from concurrent.futures import ThreadPoolExecutor

import openai
from shape import PARAMETERS, Job, stopwatch

THREADS = 200

job = Job()
with openai.OpenAI(base_url=job.url, api_key="none", max_retries=0, timeout=300) as client:

    def converse(_: int) -> None:
        history = job.opening()
        for _ in range(job.calls):
            reply = client.chat.completions.create(model="m", messages=history, **PARAMETERS)
            history.append({"role": "assistant", "content": reply.choices[0].message.content})

    client.chat.completions.create(model="m", messages=job.opening())
    elapsed = stopwatch()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(converse, range(job.conversations)))
    job.report(*elapsed())
