"""Where servers listen."""

import ipaddress
import socket

from simia_async.errors import ConfigError

BACKLOG = 4096
"""Connections that may wait to be accepted: thousands of conversations begin at once."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks one. Raises `ConfigError` if it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError, UnicodeError) as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error}") from error


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
