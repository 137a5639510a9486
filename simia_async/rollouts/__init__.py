"""Simia-RL's half of the loop: conversations between the policy and the simulated world."""
