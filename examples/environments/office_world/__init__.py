"""What the environment `office` is made of."""
