"""How a request gets to an endpoint and its answer back."""

from simia_async.clients.transport.answer import Answer, Transport
from simia_async.clients.transport.plain import AiohttpTransport, Stream
from simia_async.clients.transport.pooled import PooledTransport
from simia_async.clients.transport.proxies import proxy_of

__all__ = ["AiohttpTransport", "Answer", "PooledTransport", "Stream", "Transport", "proxy_of"]
