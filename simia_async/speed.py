"""An event loop set up for thousands of conversations. For programs of ours, not for a library's
import: a caller's garbage collector is the caller's.
"""

import gc
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import TypeVar, TypeVarTuple, Unpack

import anyio

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

_YOUNG_OBJECTS = 50_000
"""Allocations between two collections. Conversations live long and hold few cycles: at the default
of 700, collections walk through all of them again and again.
"""


def run_fast(main: Callable[[Unpack[Arguments]], Awaitable[T]], *arguments: *Arguments) -> T:
    """Run a coroutine function to its end, on uvloop where that is installed."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 100)
    options = {"use_uvloop": find_spec("uvloop") is not None}
    return anyio.run(main, *arguments, backend_options=options)
