"""Clients of OpenAI-compatible endpoints, with limits, retries and a ledger of every attempt."""

from simia_async.clients.chat import ChatClient, ChatReply, Completion
from simia_async.clients.limiter import Limiter

__all__ = ["ChatClient", "ChatReply", "Completion", "Limiter"]
