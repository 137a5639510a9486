"""The dashboard on a large run: pages, filters, jumps, memory, CPU while idle.

python benchmarks/tui.py RUN, where RUN was written by benchmarks/tui_store.py. Times are medians of
five, measured inside the process, from a key to the row that it leads to, drawn. The first paint is
measured by benchmarks/tui_start.py.
"""

import asyncio
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from simia_tui.app import Dashboard
from simia_tui.screens.rollouts import Rollouts
from simia_tui.widgets.keyset_list import KeysetList

ROUNDS, IDLE_S = 5, 10.0
FILTERS = ("step:600", "stop:simulator_error", "reward:none id>90000", "group:9000", '"zebra"')


async def until(condition: Any) -> None:
    # What is waited for tells nobody.
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


async def timed(listing: KeysetList[Any], act: Any) -> float:
    """Seconds until what `act` asks for is read and drawn."""
    began = time.perf_counter()
    act()
    await until(lambda: not listing.is_awaited)
    listing.refresh()
    await listing.app.animator.wait_for_idle()
    return time.perf_counter() - began


async def main(path: Path) -> None:
    app = Dashboard(path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.snapshot is not None)
        await app.open(2)
        pane = app.query_one(Rollouts)
        listing = pane.listing
        await until(lambda: listing.row is not None and not listing.is_awaited)
        acts = {
            "jump to the end": lambda: listing.action_jump(True),
            "jump to the start": lambda: listing.action_jump(False),
            "a page": lambda: listing.action_move_page(4),
        }
        for filter_text in FILTERS:
            acts[f"filter {filter_text}"] = lambda text=filter_text: pane.filter_by(text)
        for name, act in acts.items():
            times = [await timed(listing, act) for _ in range(ROUNDS)]
            print(
                f"{name}: {statistics.median(times) * 1000:.1f} ms (most {max(times) * 1000:.1f})"
            )
        pane.filter_by("")
        await pilot.pause(1)
        before = time.process_time()
        await asyncio.sleep(IDLE_S)
        print(f"idle: {(time.process_time() - before) / IDLE_S:.1%} of a core")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"memory at most: {most / 1024:.0f} MB")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
