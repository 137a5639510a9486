"""Signs that a policy collapses while its reward looks well."""

from collections.abc import Mapping
from pathlib import Path

from simia_async.runs.measured_steps import measured_steps

_STEPS = 4
"""Steps whose mean is compared with that of the first ones."""
_REWARD_ROSE = 0.03
_ACTION_FELL = 0.1
_ENTROPY_LEFT = 0.1
_PASSIVE_ROSE = 0.2

_STORED = {
    "rollouts": "rollout/rollouts",
    "reward_mean": "rollout/reward_mean",
    "solved_needs_action": "rollout/solved_needs_action",
    "passive": "rollout/passive",
    "entropy": "train/entropy",
}
"""What is compared, and with it `rollouts`: every step has that, and so none is passed over."""


class CollapseGuard:
    """Compares the last steps with the first. `warning` says what is wrong, if anything is."""

    def __init__(self) -> None:
        self._steps: list[Mapping[str, float]] = []

    def recall(self, path: Path) -> None:
        """Take up what earlier sessions of the run at `path` have measured."""
        self._steps.extend(measured_steps(path, _STORED))

    def warning(self, values: Mapping[str, float]) -> str | None:
        """What the measures of one more step, by name, give reason to fear."""
        self._steps.append(values)
        if len(self._steps) < 2 * _STEPS:
            return None
        return self._forgets_to_act() or self._refuses() or self._says_one_thing()

    def _forgets_to_act(self) -> str | None:
        reward, action = self._change("reward_mean"), self._change("solved_needs_action")
        if reward is None or action is None or action[1] > action[0] - _ACTION_FELL:
            return None
        if reward[1] < reward[0] + _REWARD_ROSE:
            return None
        return (
            f"the reward rose from {reward[0]:.2f} to {reward[1]:.2f} while success where an "
            f"action is needed fell from {action[0]:.2f} to {action[1]:.2f}: the policy learns to "
            "do nothing; give it tasks that need an action, or a judge that tells"
        )

    def _refuses(self) -> str | None:
        passive = self._change("passive")
        if passive is None or passive[1] < passive[0] + _PASSIVE_ROSE:
            return None
        return (
            f"where an action is needed nothing was done in {passive[0]:.0%} of the rollouts, and "
            f"now in {passive[1]:.0%}: the policy learns to refuse; give it tasks that need an "
            "action, or a judge that tells"
        )

    def _says_one_thing(self) -> str | None:
        entropy = self._change("entropy")
        if entropy is None or entropy[0] <= 0 or entropy[1] > entropy[0] * _ENTROPY_LEFT:
            return None
        return (
            f"the entropy fell from {entropy[0]:.3f} to {entropy[1]:.3f}: the policy says the same "
            "whatever it is asked; lower the learning rate, or set --kl-coefficient"
        )

    def _change(self, name: str) -> tuple[float, float] | None:
        """The mean over the first steps and over the last; None if not all have it."""
        ends = [self._steps[:_STEPS], self._steps[-_STEPS:]]
        if not all(name in step for end in ends for step in end):
            return None
        first, last = (sum(step[name] for step in end) / _STEPS for end in ends)
        return first, last
