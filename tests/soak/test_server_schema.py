"""schemathesis asks the server what its description allows, and what it does not.

It is run from the environment of the benchmarks (`make bench`), or as `SCHEMATHESIS` names it.
"""

import os
import subprocess
from pathlib import Path

import pytest

from tests.servers import ServerProcess

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

OF_BENCHMARKS = Path(__file__).parents[2] / ".bench-venv" / "bin" / "schemathesis"
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance"
)


def test_it_answers_as_it_is_described(tmp_path: Path) -> None:
    program = os.environ.get("SCHEMATHESIS") or str(OF_BENCHMARKS)
    if not Path(program).exists():
        pytest.skip("schemathesis is not there; make bench installs it")
    with ServerProcess(tmp_path / "root", "--parallel", "1", "--queue", "5") as server:
        flags = ["--checks", CHECKS, "--max-examples", "50", "--rate-limit", "15/s"]
        # A stream has no end that it could wait for.
        flags += ["--exclude-path-regex", "events", "--phases", "coverage,fuzzing"]
        flags += ["--header", f"Authorization: Bearer {server.token}"]
        done = subprocess.run(
            [program, "run", f"{server.url}/openapi.json", *flags],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        print(done.stdout)
        assert done.returncode == 0, done.stdout
        assert server.ask("GET", "/healthz")[0] == 200
