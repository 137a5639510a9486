"""Settings of rollouts that contradict each other: what would be given and do nothing."""

from simia_async.config import SCRIPTED_AGENT, PlayConfig, PolicyEndpoint
from simia_async.config.fields import fields_of
from simia_async.config.roles import ToolEndpoint, UserEndpoint
from simia_async.errors import ConfigError

_OF_ENGINE = ("calls", "max_in_flight", "temperature")
"""What the embedded engine is told of a policy's settings."""


def check_consistent(config: PlayConfig, *, has_adapters: bool) -> None:
    """Raise `ConfigError` for the first."""
    for problem in (_of_joint_mode(config), _of_policy(config, has_adapters)):
        if problem is not None:
            raise ConfigError(problem)


def _of_joint_mode(config: PlayConfig) -> str | None:
    own = {"user": config.user_endpoint, "tool": config.tool_endpoint}
    if config.mode == "joint" and own != {"user": UserEndpoint(), "tool": ToolEndpoint()}:
        return (
            "--mode joint: one prompt plays user and tools, so they have no endpoints of their "
            "own; leave --user-… and --tool-… out, or take --mode roles"
        )
    return None


def _of_policy(config: PlayConfig, has_adapters: bool) -> str | None:
    policy = config.policy
    if policy.model is None:
        idle = [f for f in fields_of(PolicyEndpoint) if f.name not in _OF_ENGINE]
        given = next((f for f in idle if getattr(policy, f.name) != f.default), None)
        return None if given is None else f"{given.flag}: also needs --policy-model: whose it is"
    if has_adapters and policy.tokenizer is None:
        return (
            "--adapter: --policy-model names a policy that is asked for chat completions and takes "
            "no adapters; name its --policy-tokenizer too, or leave one of the two out"
        )
    if policy.model == SCRIPTED_AGENT and not policy.base_url and policy.calls != "native":
        return f"--policy-calls {policy.calls}: {SCRIPTED_AGENT} makes calls in the native way only"
    return None
