"""How the samples of a step are divided between processes, so that what is learnt is the same."""

from collections.abc import Callable, Iterable, Sequence

from simia_async.training.processes import Processes

Split = Callable[[Sequence[int]], Iterable[list[int]]]
"""Batches of samples of these lengths, as indices."""


def own_batches(lengths: Sequence[int], processes: Processes, split: Split) -> list[list[int]]:
    """The batches of this process, of all samples of these lengths, as indices.

    Each process has as many: where others have more to do, its last ones are empty. They must go
    through the model all the same, since the processes gather its layers together.
    """
    shares = [
        [[share[index] for index in batch] for batch in split([lengths[index] for index in share])]
        for share in divide(lengths, processes.count)
    ]
    most = max(len(share) for share in shares)
    own = shares[processes.rank]
    return own + [[] for _ in range(most - len(own))]


def divide(lengths: Sequence[int], count: int) -> list[list[int]]:
    """Indices in `count` shares of about as many tokens, each in its order.

    The longest first, each to the share that has the least.
    """
    shares: list[list[int]] = [[] for _ in range(count)]
    tokens = [0] * count
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        least = tokens.index(min(tokens))
        shares[least].append(index)
        tokens[least] += lengths[index]
    return [sorted(share) for share in shares]
