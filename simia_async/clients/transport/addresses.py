"""Where a host is: its addresses, asked for now and then, and the one that worked last first."""

import asyncio
import socket

_GOOD_S = 60.0


class Addresses:
    """The addresses of one host. Belongs to one event loop."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._known: list[str] = []
        self._known_until = 0.0
        self._lock = asyncio.Lock()

    async def all(self) -> list[str]:
        """The addresses in the order to be tried.

        Raises `socket.gaierror`, and `UnicodeError` for what cannot be the name of a host.
        """
        loop = asyncio.get_running_loop()
        async with self._lock:  # thousands of calls that begin together ask once
            if not self._known or loop.time() > self._known_until:
                found = await loop.getaddrinfo(
                    self._host, self._port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
                )
                self._known = [str(entry[4][0]) for entry in found]
                self._known_until = loop.time() + _GOOD_S
        return list(self._known)

    def worked(self, address: str) -> None:
        """Try this one first from now on: a dead one costs a time-out every time."""
        if self._known and self._known[0] != address and address in self._known:
            self._known.remove(address)
            self._known.insert(0, address)

    def failed(self) -> None:
        """None worked: ask again next time."""
        self._known.clear()
