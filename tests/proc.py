"""Which processes there are, and whose children."""

import time
from pathlib import Path


def children(parent: int) -> dict[int, list[str]]:
    """Pid to command of the children of a process, oldest first."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if int(_stat(entry)[1]) == parent:
                found[int(entry.name)] = (entry / "cmdline").read_text().split("\0")
        except (OSError, IndexError):
            continue  # it ended while we looked
    return dict(sorted(found.items()))


def is_there(pid: int) -> bool:
    """Whether a process exists and has not ended."""
    try:
        return _stat(Path(f"/proc/{pid}"))[0] != "Z"
    except OSError:
        return False


def wait_until_gone(pids: list[int], seconds: float = 30) -> None:
    """Fail if one of them stays."""
    until = time.monotonic() + seconds
    while running := [pid for pid in pids if is_there(pid)]:
        assert time.monotonic() < until, f"{running} live on"
        time.sleep(0.05)


def _stat(entry: Path) -> list[str]:
    """What follows the name, which may hold anything: the state, the parent and so on."""
    return (entry / "stat").read_text().rpartition(")")[2].split()
