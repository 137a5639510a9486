"""What one policy made of one task, over all the times that it played it."""

import msgspec


class TaskTrials(msgspec.Struct, frozen=True):
    """One task, played once or more by one policy at one temperature."""

    task_id: str
    needs_action: bool
    """Whether doing nothing to the state is wrong."""
    solved: tuple[bool, ...]
    """By trial: whether it came to an end that tells of the policy, and the exact check passed."""
    unfinished: int = 0
    """Trials that an error, a budget or somebody ended; they count as not solved."""

    @property
    def hits(self) -> int:
        """Trials that solved it."""
        return sum(self.solved)

    @property
    def rate(self) -> float:
        """Their share."""
        return self.hits / len(self.solved)
