"""Simia-SFT's data half: rules over simulated conversations, and the export of what they keep."""
