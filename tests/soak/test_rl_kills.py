"""RL whose owner, trainer and engine are killed in turn, again and again."""

import random
import time
from pathlib import Path

import pytest
from simia_store import Reader

pytest.importorskip("torch")

from simia_async.runs.sft import TRAINER
from tests.rl_runs import RlProcess, check_sound, sampled_ids, trained_steps
from tests.test_processes import ENGINE, children

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1200)]

KILLS, STEPS, GROUPS, SIZE = 10, 50, 2, 3


def test_ten_kills_lose_nothing_and_train_nothing_twice(tmp_path: Path) -> None:
    database, rng = tmp_path / "rl.db", random.Random(0)
    flags = ["--steps", str(STEPS), "--groups", str(GROUPS), "--group-size", str(SIZE)]
    flags += ["--max-staleness", "1", "--run", str(database)]
    known: dict[int, list[list[int]]] = {}
    for kill in range(KILLS):
        run = RlProcess(database, *flags)
        taken = len(trained_steps(database)) if database.exists() else 0

        def has_gone_on(reader: Reader, taken: int = taken) -> bool:
            return len(reader.metrics("train/loss")) > taken

        assert run.wait_until(has_gone_on), "it ended before it could be killed"
        time.sleep(rng.uniform(0, 1))
        whom = (None, TRAINER, ENGINE)[kill % 3]
        run.kill(children(run.process.pid)[whom] if whom else None)
        if whom == ENGINE:
            # The owner starts it again, and is killed in turn.
            time.sleep(rng.uniform(1, 3))
            run.kill()
        run.end()
        now = sampled_ids(database)
        for number, said in known.items():
            assert now[number][: len(said)] == said, "what was acknowledged was not kept"
        known = now
    code, said = RlProcess(database, *flags).end()
    assert code == 0, said
    check_sound(database, STEPS, GROUPS, SIZE)
