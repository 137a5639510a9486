"""Runs of rollouts against endpoints that fail in every way at once, and their books."""

from collections import Counter
from pathlib import Path

import msgspec
from simia_store import Reader, RunStatus, TrajectoryRecord, TrajectoryStatus
from simia_store.checks import check

from simia_async.builtin.server.protocol import ChatRequest
from simia_async.config import SCRIPTED_AGENT, Endpoint, RolloutConfig
from simia_async.config.roles import PolicyEndpoint
from simia_async.rollouts.stop_reason import UNJUDGED, StopReason
from simia_async.runs.rollout_tally import RolloutResult
from simia_async.testing import Faults, RequestRecord, ScriptedServer
from tests.rollout_servers import role_of, roll, turns_of

EVERYTHING = Faults(
    rate_limit=0.20, server_error=0.05, malformed=0.05, hang=0.02, retry_after_s=0.01
)
UNREWARDED = UNJUDGED | {StopReason.JUDGE_ERROR}

_STATUSES = {
    200: "ok",
    422: "EndpointRefused",
    429: "RateLimited",
    500: "EndpointUnavailable",
    503: "EndpointUnavailable",
    None: "EndpointUnavailable",
}
"""How the ledger calls what the server's log tells by its HTTP status."""


def faulty_server(**settings: object) -> ScriptedServer:
    """One that plays every role and fails in all of them."""
    return ScriptedServer(latency="lognormal:0.005,0.5", faults=EVERYTHING, **settings)  # type: ignore[arg-type]


def config_at(server: ScriptedServer, timeout_s: float, **settings: object) -> RolloutConfig:
    """A run that asks it in every role."""
    asked = {"base_url": server.base_url, "timeout_s": timeout_s, "api_key_env": ""}
    policy = PolicyEndpoint(model=SCRIPTED_AGENT, **asked)
    simulator = Endpoint(model="world", max_backoff_s=0.2, **asked)
    return RolloutConfig(policy=policy, simulator=simulator, **settings)  # type: ignore[arg-type]


def _role_asked(request: RequestRecord) -> str:
    return role_of(msgspec.convert(request.body, ChatRequest))


def check_ledger(run: Path, server: ScriptedServer) -> None:
    """The record's calls are the server's requests, each once, by role and by how they ended."""
    heard = Counter(
        (_role_asked(request), _STATUSES[request.status])
        for request in server.log
        if request.path.endswith("/chat/completions")
    )
    with Reader(run) as reader:
        calls = list(reader.calls())
        assert Counter((call.role, call.status) for call in calls) == heard
        usage = {(use.role, use.status): use.calls for use in reader.usage()}
        assert usage == heard
    assert all(call.trajectory_id is not None for call in calls)


def check_end(trajectory: TrajectoryRecord) -> None:
    """It has ended for a reason, and what failed has no reward, above all not 0."""
    stop = StopReason(str(trajectory.stop_reason))
    assert trajectory.finished_at is not None
    if stop in UNREWARDED:
        assert (trajectory.status, trajectory.reward) == (TrajectoryStatus.UNSCORED, None)
        assert trajectory.boundary == stop.removesuffix("_error")
        assert trajectory.reason
    else:
        assert trajectory.status == TrajectoryStatus.SCORED
        assert trajectory.boundary is None
        # The scripted judge tells what the exact check tells.
        assert trajectory.reward == float(trajectory.detail["solved"])


FAULTS = ("rate_limit", "server_error", "malformed", "hang")
ROLES = {"policy", "user", "tool", "judge"}


def check_struck(server: ScriptedServer) -> None:
    """Every kind of fault has struck, and every role."""
    struck = [(each.fault, _role_asked(each)) for each in server.log if each.fault and each.body]
    assert {fault for fault, _ in struck} == set(FAULTS)
    assert {role for _, role in struck} == ROLES


async def survive(run: Path, timeout_s: float, **size: int) -> RolloutResult:
    """Play a run through every fault at once, see what became of every call, and go on with what
    failed when the endpoint has recovered.
    """
    wanted = size["tasks"] * size["group_size"]
    async with faulty_server(seed=1) as server:
        config = config_at(server, timeout_s, **size)
        result = await roll(config, run)
        check_struck(server)
        check_ledger(run, server)
        with Reader(run) as reader:
            assert reader.run().status == RunStatus.DONE
            trajectories = list(reader.trajectories())
        for trajectory in trajectories:
            check_end(trajectory)
        assert len(trajectories) == wanted == result.stops.total()
        before = turns_of(run)

        server.faults = Faults()
        again = await roll(config, run)
        check_ledger(run, server)
        after = turns_of(run)
        for number, turns in before.items():
            assert after[number][: len(turns)] == turns
        assert (again.rollouts, again.scored) == (wanted, wanted - again.stops["policy_error"])
    assert check(run).problems == []
    return result
