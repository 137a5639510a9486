"""litellm's `acompletion` as it comes, without retries."""

import asyncio
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it would ask the network

import litellm
from shape import PARAMETERS, Job, stopwatch

litellm.suppress_debug_info = True
litellm.telemetry = False


async def main() -> None:
    job = Job()

    async def ask(history: list[dict[str, str]]) -> str:
        reply = await litellm.acompletion(
            model="openai/m",
            messages=history,
            api_key="none",
            api_base=job.url,
            timeout=300,
            num_retries=0,
            **PARAMETERS,
        )
        return reply.choices[0].message.content

    async def converse() -> None:
        history = job.opening()
        for _ in range(job.calls):
            history.append({"role": "assistant", "content": await ask(history)})

    await ask(job.opening())
    elapsed = stopwatch()
    await asyncio.gather(*(converse() for _ in range(job.conversations)))
    job.report(*elapsed())


asyncio.run(main())
