"""The `simia` command, one module a command."""
