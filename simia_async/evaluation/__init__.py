"""Held-out evaluation: what is counted, and how sure the counts are."""
