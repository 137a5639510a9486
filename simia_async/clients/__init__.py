"""Clients of OpenAI-compatible endpoints: governed, retried, with a ledger of every attempt."""

from simia_async.clients.chat import ChatClient, Completion
from simia_async.clients.governor import GovernorStatistics
from simia_async.clients.history import History
from simia_async.clients.spending import Spending, SpendingStatistics
from simia_async.clients.streaming import ChatStream
from simia_async.clients.wire import ChatReply, Usage

__all__ = [
    "ChatClient",
    "ChatReply",
    "ChatStream",
    "Completion",
    "GovernorStatistics",
    "History",
    "Spending",
    "SpendingStatistics",
    "Usage",
]
