"""Success shares with intervals, tasks that need an action and tasks that do not apart."""

import math
from collections.abc import Iterable, Sequence

import msgspec

from simia_async.evaluation.pass_k import PassK, passes
from simia_async.evaluation.trials import TaskTrials
from simia_async.rollouts.conversation import Outcome

_Z = 1.96


class Share(msgspec.Struct, frozen=True):
    """`hits` out of `total`, with a 95% Wilson interval."""

    hits: int
    total: int

    @classmethod
    def of(cls, shares: Iterable["Share"]) -> "Share":
        """Several, counted as one."""
        counts = [(share.hits, share.total) for share in shares]
        return cls(sum(hits for hits, _ in counts), sum(total for _, total in counts))

    @property
    def value(self) -> float:
        """The share; NaN of nothing."""
        return self.hits / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95% Wilson score interval (E. B. Wilson, 1927)."""
        if not self.total:
            return (0.0, 1.0)
        n, p = self.total, self.value
        centre = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = _Z / (1 + _Z**2 / n) * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
        return (max(0.0, centre - half), min(1.0, centre + half))


class PolicyScore(msgspec.Struct, frozen=True):
    """How one policy did on the held-out tasks at one temperature."""

    name: str
    temperature: float
    """At which it was sampled; 0 is greedy."""
    needs_action: Share
    """Tasks in which doing nothing is wrong; with several trials a task, trials of those."""
    no_action: Share
    """Tasks in which doing nothing to the state is right."""
    unfinished: int
    """Conversations that an error ended; they count as not solved."""
    trials: int = 1
    """How often each task was played. `Share.interval` takes conversations for independent, so
    with several trials only the intervals of `passes` hold."""
    passes: list[PassK] = []
    """pass^1, pass^2, …; of an evaluation, not inside training."""

    @property
    def all(self) -> Share:
        """All tasks; with several trials a task, all trials."""
        return Share.of([self.needs_action, self.no_action])

    @property
    def sampled(self) -> str:
        """How, in a word."""
        return f"T={self.temperature:g}" if self.temperature else "greedy"


def score(name: str, temperature: float, outcomes: Iterable[Outcome]) -> PolicyScore:
    """Count the tasks solved by the exact check."""
    outcomes = list(outcomes)
    shares = []
    for wanted in (True, False):
        solved = [
            outcome.solved
            for outcome in outcomes
            if outcome.task.needs_action == wanted and outcome.solved is not None
        ]
        shares.append(Share(sum(solved), len(solved)))
    unfinished = sum(outcome.reward is None for outcome in outcomes)
    return PolicyScore(name, temperature, shares[0], shares[1], unfinished)


def score_trials(
    name: str, temperature: float, tasks: Sequence[TaskTrials], most: int
) -> PolicyScore:
    """Count trials, and pass^1 to pass^`most`. Every task must have been tried equally often."""
    shares = []
    for wanted in (True, False):
        those = [task for task in tasks if task.needs_action == wanted]
        hits, total = sum(t.hits for t in those), sum(len(t.solved) for t in those)
        shares.append(Share(hits, total))
    unfinished = sum(task.unfinished for task in tasks)
    trials = len(tasks[0].solved) if tasks else 0
    return PolicyScore(
        name, temperature, shares[0], shares[1], unfinished, trials, passes(tasks, most)
    )
