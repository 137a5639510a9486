"""`simia demo --tui`: the demo in a process of its own, its runs under the dashboard."""

import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from simia_async.cli.output import fail, show
from simia_async.errors import UsageError

_ENDS_WITHIN_S = 30.0
_DEMO = "from simia_async.cli.main import main; main()"


def watch_demo(place: Path) -> None:
    """Run the demo in `place` and let its runs be watched; who quits before its end, ends it."""
    if find_spec("textual") is None:
        fail(
            UsageError('--tui needs the dashboard; install it with: pip install "simia-async[tui]"')
        )
    from simia_tui.cli import watch_directory

    place.mkdir(parents=True, exist_ok=True)
    log = place / "demo.log"
    with log.open("wb") as output:
        demo = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", _DEMO, "demo", "--dir", str(place)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        watch_directory(place)
    finally:
        ended = demo.poll() is not None
        if not ended:
            demo.send_signal(signal.SIGINT)
            demo.wait(_ENDS_WITHIN_S)
    show("ended" if ended else "stopped", f"the demo; what it said is in {log}")
