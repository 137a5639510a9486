"""The trainer: a child process that turns stored trajectories into published adapters."""
