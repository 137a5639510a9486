"""The loopback mock of the benchmarks: the scripted server in a process of its own.

Prints its base URL. For every line on standard input it prints, as JSON, the greatest sum of drawn
latencies of a conversation (named by the parameter `user`) and how many requests there were since
the last time; it ends with standard input.
"""

import asyncio
import json
import sys
from collections import Counter

from simia_async.speed import run_fast
from simia_async.testing import ScriptedServer

REPLY = "The simulated environment returned a result and the agent should now continue. " * 6


async def main(latency: str, keep: bool) -> None:
    async with ScriptedServer(respond=lambda _: REPLY, latency=latency, log=keep) as server:
        print(server.base_url, flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            sums: Counter[str] = Counter()
            for record in server.log:
                sums[str((record.body or {}).get("user"))] += record.latency_s
            answer = {"ideal_s": max(sums.values(), default=0.0), "requests": len(server.log)}
            server.log.clear()
            print(json.dumps(answer), flush=True)


run_fast(main, sys.argv[1], sys.argv[2] == "keep")
