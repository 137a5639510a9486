"""Instruments that hold a simulator and a judge against recorded conversations.

values          what an observation says: its keys, its leaves, whether it tells of an error
tool_kinds      whether a tool changes the world
steps           recorded conversations, call by call
seen            what was told before, and what denies it
observations    one simulated observation against the recorded one
figures         shares and means with 95% intervals
fidelity        all of a simulator's observations, and simple baselines
labels          recorded conversations with their true rewards
agreement       all of a judge's rewards against the true ones

Nothing here asks a model or writes a record: `runs.fidelity` and `runs.agreement` do.
"""
