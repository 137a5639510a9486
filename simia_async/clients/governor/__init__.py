"""What may be sent to an endpoint, and when: quotas, concurrency, outages, order."""

from simia_async.clients.governor.core import GovernorStatistics, Lease, Outcome, Ticket
from simia_async.clients.governor.governor import Governor

__all__ = ["Governor", "GovernorStatistics", "Lease", "Outcome", "Ticket"]
