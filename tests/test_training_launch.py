"""A trainer of several processes learns what one learns, and says which of them ended."""

import asyncio
import itertools
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

torch = pytest.importorskip("torch")

from simia_async.config import GrpoConfig  # noqa: E402
from simia_async.errors import ChildFailed, UsageError  # noqa: E402
from simia_async.runs.sft import TRAINER  # noqa: E402
from simia_async.serving.admission import Allowed, Places  # noqa: E402
from simia_async.supervision.frames import (  # noqa: E402
    BEGINNING,
    Metrics,
    Published,
    SftDone,
    TrainGrpo,
    TrainSft,
    Unpacker,
    pack,
)
from simia_async.supervision.last_words import cause_of_death, last_error  # noqa: E402
from simia_async.supervision.launched import start_child  # noqa: E402
from simia_async.supervision.launchers import read_launcher  # noqa: E402
from simia_async.supervision.process import ChildProcess  # noqa: E402
from simia_async.training.division import divide, own_batches  # noqa: E402
from simia_async.training.grpo import GrpoTrainer  # noqa: E402
from simia_async.training.placement import choose_placement  # noqa: E402
from simia_async.training.processes import Processes, join_processes  # noqa: E402
from simia_async.training.samples import split_in_batches  # noqa: E402
from simia_async.training.sft import train_sft  # noqa: E402
from tests.launched_trainers import TORCHRUN, largest_difference, trainer_processes  # noqa: E402
from tests.proc import wait_until_gone  # noqa: E402
from tests.rl_groups import store_steps  # noqa: E402
from tests.sft_runs import SMALL, CutOff, cut_at, make_data  # noqa: E402

SFT = replace(SMALL, eval_share=0.2, eval_every=3)
GRPO = GrpoConfig(
    lora_rank=4,
    tokens_per_batch=90,
    learning_rate=1e-3,
    kl_coefficient=0.1,
    importance_cap=2.0,
    packing=False,
    gradient_checkpointing=True,
    max_staleness=20,
)
_FIRST = 11
"""Version that GRPO publishes first, so that SFT's in the same directory stay."""
_TIMED = {"train_seconds", "tokens_per_second"}

# Sums of float32 in another order differ by parts of 10⁻⁷ each, and what is left of sums of
# thousands of terms of both signs by some 10⁻⁵. AdamW makes a step of about the learning rate of
# each gradient, however small it is, so that weights may differ by a share of the rate: 2% of it.
_MEASURED = {"rel": 1e-3, "abs": 1e-6}
_OF_RATE = 0.02


@pytest.fixture(scope="module")
def sft_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asyncio.run(make_data(tmp_path_factory.mktemp("sft")))


@pytest.fixture(scope="module")
def rl_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two steps of five rollouts a minibatch at most: they do not divide evenly."""
    place = tmp_path_factory.mktemp("rl") / "rl.db"
    return asyncio.run(store_steps(place, steps=2, groups=3, size=3))


async def heard_until(trainer: ChildProcess, last: type) -> list[Metrics]:
    heard = []
    while not isinstance(frame := await trainer.receive(), last):
        if isinstance(frame, Metrics):
            heard.append(frame)
    return heard


def check_measured(ours: list[Metrics], theirs: list[Metrics]) -> None:
    assert [each.step for each in ours] == [each.step for each in theirs]
    for our, their in zip(ours, theirs, strict=True):
        assert our.values.keys() == their.values.keys()
        for name in our.values.keys() - _TIMED:
            assert our.values[name] == pytest.approx(their.values[name], **_MEASURED), name


@pytest.mark.timeout(300)
@pytest.mark.soak
async def test_two_processes_learn_what_one_learns(
    sft_data: Path, rl_data: Path, tmp_path: Path
) -> None:
    """Also where it goes on from what one process began; then one of the two is killed."""
    alone, out = tmp_path / "alone", tmp_path / "launched"
    told: list[Metrics] = []
    train_sft(SFT, [sft_data], alone, told.append)
    learner = GrpoTrainer(GRPO, alone)
    taken = []
    for step in (1, 2):
        taken.append(Metrics(step, learner.step(rl_data, step, _FIRST + step)))
        learner.publish(_FIRST + step)
    with suppress(CutOff):
        train_sft(SFT, [sft_data], out, cut_at(4))

    launcher = read_launcher(TORCHRUN)
    async with start_child("trainer", TRAINER, ["--out", str(out)], launcher) as trainer:
        pids = trainer_processes(trainer.pid)
        assert sorted(pids) == [0, 1]
        await trainer.send(TrainSft([str(sft_data)], msgspec.to_builtins(SFT)))
        check_measured(await heard_until(trainer, SftDone), told[3:])
        for step in (1, 2):
            settings_ = msgspec.to_builtins(GRPO)
            await trainer.send(TrainGrpo(str(rl_data), settings_, step, _FIRST + step))
            check_measured(await heard_until(trainer, Published), taken[step - 1 : step])

        os.kill(pids[1], signal.SIGKILL)
        named = rf"^trainer process 1 \(pid {pids[1]}\) was killed by SIGKILL$"
        with pytest.raises(ChildFailed, match=named):
            await trainer.receive()
    wait_until_gone([*pids.values(), trainer.pid])
    published = sorted(path.name for path in alone.glob("v*"))
    assert published == sorted(path.name for path in out.glob("v*"))
    for name in published:
        rate = (SFT if name < f"v{_FIRST:05}" else GRPO).learning_rate
        assert largest_difference(alone / name, out / name) < _OF_RATE * rate, name


async def test_what_is_no_launcher_is_named() -> None:
    for text, sentence in (
        ("torchrunn --x", r"--launch: found 'torchrunn', which is no program here; expected a l"),
        ("torchrun 'x", r"--launch: found \"torchrun 'x\": No closing quotation"),
        ("  ", r"--launch: found no command; expected one such as torchrun"),
    ):
        with pytest.raises(UsageError, match=sentence):
            read_launcher(text)
    assert read_launcher(None) == ()
    with pytest.raises(UsageError, match=r"--launch: the trainer did not begin: the launcher "):
        async with start_child("trainer", TRAINER, [], read_launcher("echo 'no torchrun'")):
            raise AssertionError("it began")


def test_a_launcher_is_found_beside_this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    program, *words = read_launcher("torchrun --nproc-per-node '2'")
    assert Path(program) == Path(sys.executable).parent / "torchrun"
    assert words == ["--nproc-per-node", "2"]


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({}, "--launch: what it names started the trainer without telling it which of how many"),
        ({"RANK": "one", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}, "--launch: what it names"),
        (
            {"RANK": "0", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"},
            "--launch: found 4 processes, 2 of them on this machine; expected all of them here",
        ),
    ],
)
def test_what_a_launcher_must_say(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        join_processes(environment)


def test_each_process_has_a_device_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    four = Processes(rank=3, count=4)
    assert choose_placement("cpu", "auto", four).device == torch.device("cpu")
    with pytest.raises(UsageError, match=r"--device: found 'cuda:1' for the 4 processes of --la"):
        choose_placement("cuda:1", "auto", four)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    sentence = r"--launch: starts 4 processes.*has cpu, cuda:0, cuda:1; start fewer, or give --dev"
    with pytest.raises(UsageError, match=sentence):
        choose_placement("cuda", "auto", four)


@pytest.mark.parametrize("kind", ["sft", "rl"])
def test_no_client_of_a_server_names_a_command(tmp_path: Path, kind: str) -> None:
    with pytest.raises(UsageError, match="launch: cannot be set by a client of a server"):
        Places(tmp_path, Allowed()).admitted(kind, {"launch": TORCHRUN})


@settings(max_examples=100, deadline=None, database=None)
@given(st.lists(st.integers(1, 300), max_size=40), st.integers(1, 6), st.integers(1, 400))
def test_every_sample_is_in_one_share(lengths: list[int], count: int, room: int) -> None:
    shares = divide(lengths, count)
    assert sorted(index for share in shares for index in share) == list(range(len(lengths)))
    tokens = [sum(lengths[index] for index in share) for share in shares]
    assert max(tokens) - min(tokens) <= max(lengths, default=0)
    for packing in (True, False):

        def split(of: list[int], packing: bool = packing) -> list[list[int]]:
            return list(split_in_batches(of, room, packing=packing))

        own = [own_batches(lengths, Processes(rank, count), split) for rank in range(count)]
        assert len({len(batches) for batches in own}) == 1
        seen = [index for batches in own for batch in batches for index in batch]
        assert sorted(seen) == list(range(len(lengths)))
        assert own_batches(lengths, Processes(), split) == split(lengths)


@settings(max_examples=100, deadline=None, database=None)
@given(st.binary(max_size=60), st.lists(st.integers(0, 200), max_size=6))
def test_what_a_launcher_says_before_is_no_frame(chatter: bytes, cuts: list[int]) -> None:
    stream = chatter + BEGINNING + pack(SftDone(1, 2, 3))
    edges = sorted({0, *(cut % (len(stream) + 1) for cut in cuts), len(stream)})
    unpacker = Unpacker(BEGINNING)
    bodies = [
        body
        for start, end in itertools.pairwise(edges)
        for body in unpacker.feed(stream[start:end])
    ]
    assert [msgspec.msgpack.decode(body, type=SftDone) for body in bodies] == [SftDone(1, 2, 3)]


TABLE = """
  rank      : 1 (local_rank: 1)
  exitcode  : -9 (pid: 77)
  error_file: <N/A>
  traceback : Signal 9 (SIGKILL) received by PID 77
============================================================
""".splitlines()


def test_who_ended_first_is_told_from_last_words() -> None:
    words = "simia: trainer process 1 (pid 77) ended without a word"
    failed = "simia: trainer process 0 (pid 5) failed: RuntimeError: no more"
    killed = "trainer process 1 (pid 77) was killed by SIGKILL"
    assert cause_of_death([words, failed]) == words.removeprefix("simia: ")
    assert cause_of_death([words, *TABLE, failed]) == killed
    assert cause_of_death([failed, words, *TABLE]) == failed.removeprefix("simia: ")
    assert cause_of_death(TABLE) == killed
    changes = {
        "rank      : 1": "rank      : 0",
        "77": "76",
        "-9": "-15",
        "9 (SIGKILL": "15 (SIGTERM",
    }
    ended_with_it = "\n".join(TABLE)
    for old, new in changes.items():
        ended_with_it = ended_with_it.replace(old, new)
    assert cause_of_death([*ended_with_it.splitlines(), *TABLE]) == killed
    assert cause_of_death(["nothing of that kind"]) is None
    aborted = [line.replace("-9", "1").replace("Signal", "See") for line in TABLE]
    assert cause_of_death(["CudaError: gone", *aborted, words]) == (
        "trainer process 1 (pid 77) exited with 1: CudaError: gone"
    )
    assert (
        last_error(["a", "torch.x.ChildFailedError: ", "====", "  "]) == "torch.x.ChildFailedError:"
    )
