"""Errors of the record. The root of the project's error tree stands in its lowest layer."""


class SimiaError(Exception):
    """Root of every error that simia-async raises on purpose."""


class StoreError(SimiaError):
    """The run database cannot be used: locked, too new, damaged, not writable."""
