"""Conversations in processes beside their run's owner, here or on other machines.

The owner plans, counts, writes the record and keeps the budget. A worker asks endpoints, and tells
its owner what came of it; it never goes on before what it told is committed.

frames      what both tell each other
link        what carries frames: `local` for a child, `on_ray` for a node of a Ray cluster
host        a worker's side: does what it is given
member      an owner's side of one worker
pool        all of them: who gets what, and what is done when one dies
leases      which part of each endpoint's limits each of them has; `landlord` sees to it
statistics  what screens show of them
"""
