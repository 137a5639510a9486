"""Chance that a rerun repeats: a hash of the seed and of what is drawn for."""

from hashlib import blake2b


def draw(seed: int, *about: object) -> float:
    """A number strictly between 0 and 1, uniform, the same for the same arguments."""
    text = "/".join(map(str, (seed, *about)))
    number = int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
    return ((number >> 12) + 0.5) * 2.0**-52
