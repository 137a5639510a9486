"""The policy engine: a child process that samples token ids from a model and its adapters."""
