"""What the environment `telecom` is made of."""
