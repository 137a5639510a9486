"""Amplify the seeds of mini-retail and look at one of the new conversations."""

import asyncio

from simia_store import Reader, TrajectoryStatus

import simia_async

result = asyncio.run(simia_async.generate(n=32))
print(f"kept {result.kept} of {result.simulated} simulated; they are in {result.run}")

with Reader(result.run) as reader:
    trajectory = next(reader.trajectories(status=TrajectoryStatus.KEPT))
    for turn in reader.turns(trajectory.id):
        print(f"{turn.role:>9}: {turn.message.get('content') or turn.message.get('tool_calls')}")
