"""What the environment `shell` is made of."""
