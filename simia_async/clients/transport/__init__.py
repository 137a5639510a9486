"""How a request gets to an endpoint and its answer back."""

from urllib.request import getproxies, proxy_bypass

from yarl import URL

from simia_async.clients.transport.answer import Answer, Transport
from simia_async.clients.transport.plain import AiohttpTransport
from simia_async.clients.transport.pooled import PooledTransport

__all__ = ["AiohttpTransport", "Answer", "PooledTransport", "Transport", "proxy_of"]


def proxy_of(url: URL) -> str | None:
    """The proxy that the environment (`HTTPS_PROXY`, `NO_PROXY` …) names for `url`."""
    if proxy_bypass(url.host or ""):
        return None
    return getproxies().get(url.scheme)
