"""Runs: what ties environments, clients, children and the store together, one module a kind."""
