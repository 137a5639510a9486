"""`AsyncOpenAI` as it comes, without retries."""

import asyncio

import openai
from shape import PARAMETERS, Job, stopwatch


async def main() -> None:
    job = Job()
    async with openai.AsyncOpenAI(
        base_url=job.url, api_key="none", max_retries=0, timeout=300
    ) as client:

        async def converse() -> None:
            history = job.opening()
            for _ in range(job.calls):
                reply = await client.chat.completions.create(
                    model="m", messages=history, **PARAMETERS
                )
                said = reply.choices[0].message.content
                history.append({"role": "assistant", "content": said})

        await client.chat.completions.create(model="m", messages=job.opening())
        elapsed = stopwatch()
        await asyncio.gather(*(converse() for _ in range(job.conversations)))
        job.report(*elapsed())


asyncio.run(main())
