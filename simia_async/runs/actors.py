"""Who plays the world and who judges, made of clients and settings: here, and in workers."""

from collections.abc import Mapping

from simia_async.clients import ChatClient
from simia_async.config import PlayConfig
from simia_async.environments import Environment
from simia_async.simulation import Simulator


def simulator_of(
    config: PlayConfig, clients: Mapping[str, ChatClient], environment: Environment
) -> Simulator:
    """The world's roles, each asked where it is to be."""
    return Simulator(
        clients["simulator"],
        environment,
        user=clients["user"],
        tool=clients["tool"],
        joint=config.mode == "joint",
    )


def keeps_state(config: PlayConfig) -> bool:
    """Whether code keeps the world's state."""
    return config.world != "transcript"
