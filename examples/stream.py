"""Take kept trajectories as they come, and stop when there are enough; the run can go on later."""

import asyncio
from contextlib import aclosing

import simia_async


async def main() -> None:
    async with aclosing(simia_async.generate_stream(n=1000, run="runs/stream.db")) as kept:
        async for trajectory in kept:
            print(f"{trajectory.id:>4} from {trajectory.seed}: {trajectory.messages[0].content}")
            if trajectory.id >= 20:
                break


asyncio.run(main())
