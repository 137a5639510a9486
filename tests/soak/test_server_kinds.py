"""Every kind of run that a server does, from what its other runs made."""

import json
from pathlib import Path
from typing import Any

import pytest

from simia_async.environments.environment import LIBRARY
from tests.servers import ServerProcess, until

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

AGENT = {"environment": "mini-airline", "policy": {"model": "scripted-agent"}}


def test_each_is_done_by_its_runs(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "root") as server:

        def done(kind: str, settings: dict[str, Any], *data: str) -> str:
            body = {"kind": kind, "settings": settings, "data": data}
            status, view = server.ask("POST", "/v1/runs", body)
            assert status == 201, view
            path = f"/v1/runs/{view['id']}"
            until(lambda: server.ask("GET", path)[1]["state"] not in ("queued", "running"), 300)
            seen = server.ask("GET", path)[1]
            assert seen["state"] == "done", seen["problem"]
            return str(view["id"])

        world = {"environment": AGENT["environment"]}
        made = done("generate", {**world, "n": 4})
        tasks = done("tasks", {**world, "source": made})
        played = done("rollout", {**AGENT, "tasks": 4, "group_size": 2})
        before = (server.root / "runs" / played / "run.db").read_bytes()
        judged = done("judge", {}, played)
        assert server.ask("GET", f"/v1/runs/{judged}")[1]["trajectories"][0]["count"] == 8
        done("luck", {**AGENT, "replays": 2, "judgings": 1}, played)
        assert (server.root / "runs" / played / "run.db").read_bytes() == before
        done("fidelity", {"environment": "airline", "calls": 4})
        first = done("eval", {**AGENT, "tasks": 4, "temperatures": [0]})
        against = [made, tasks, f"{tasks}/tasks.jsonl"]
        compared = {"baseline": first, "check_against": against}
        done("eval", {**AGENT, "tasks": 4, "temperatures": [0], **compared})
        seeds = (LIBRARY / "airline" / "seeds.jsonl").read_text().splitlines()[:3]
        recorded = [
            json.dumps(json.loads(line) | {"reward": n % 2}) for n, line in enumerate(seeds)
        ]
        uploads = server.root / "uploads" / "files"
        uploads.mkdir(parents=True, exist_ok=True)
        (uploads / "recorded.jsonl").write_text("\n".join(recorded))
        done("agreement", {"environment": "airline", "recorded": "recorded.jsonl"})
