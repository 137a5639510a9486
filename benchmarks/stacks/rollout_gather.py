"""`asyncio.gather` over `AsyncOpenAI`: a coroutine a conversation.

MORE is `default` for the client as it comes, or `unlimited` for one without limits of its pool.
"""

import asyncio

import openai
from openai import DefaultAsyncHttpxClient
from rollout_talk import Job, Stopwatch, Talk

UNLIMITED = openai.DEFAULT_CONNECTION_LIMITS.__class__(
    max_connections=None, max_keepalive_connections=None
)


async def main() -> None:
    job = Job()
    http = DefaultAsyncHttpxClient(limits=UNLIMITED) if job.more == ["unlimited"] else None
    async with openai.AsyncOpenAI(
        base_url=job.url, api_key="none", max_retries=0, timeout=300, http_client=http
    ) as client:
        stopwatch = Stopwatch()

        async def converse(talk: Talk) -> None:
            while talk.body is not None:
                reply = await client.chat.completions.create(**talk.body)
                talk.take(reply.choices[0].message)
            stopwatch.ended()

        await asyncio.gather(*(converse(Talk(task)) for task in job.tasks()))
        job.report(stopwatch.result(job))


asyncio.run(main())
