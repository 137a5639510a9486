"""Ten thousand hostile requests."""

from pathlib import Path

import pytest

from tests.servers import ServerProcess
from tests.test_serving_hostile import CANARY, assail, check

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]


async def test_ten_thousand_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_KEY", CANARY)
    with ServerProcess(tmp_path / "root", "--parallel", "1", "--queue", "3") as server:
        check(server, await assail(server, 10_000, 2), set())
