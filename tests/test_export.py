"""Export: what a run kept, as a data set that trainers and their tools read."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from simia_store import (
    CallRecord,
    EnvironmentRecord,
    PromptRecord,
    RunRecord,
    SeedRecord,
    SeedStatus,
    StoreError,
    TrajectoryRecord,
    TrajectoryStatus,
    TurnRecord,
    open_store,
)
from transformers import PreTrainedTokenizerFast
from typer.testing import CliRunner

from simia_async.cli.main import app
from simia_async.config import TINY
from simia_async.environments import load_environment
from simia_async.errors import UsageError
from simia_async.formats import Conversation, read_conversations, sharegpt
from simia_async.formats.normal_form import normal_form
from simia_async.messages import Message
from simia_async.models import model_directory
from simia_async.synthesis.export import export
from simia_async.synthesis.export_format import ExportFormat
from tests.conftest import DATA

TEMPLATES = Path(__file__).with_name("templates")
AIRLINE = load_environment("airline")
TEXT_FORMATS = [form for form in ExportFormat if form is not ExportFormat.PARQUET]
each_format = pytest.mark.parametrize("form", list(ExportFormat))


async def record(path: Path, environment: EnvironmentRecord, talks: list[list[Message]]) -> Path:
    """A run that kept `talks`, numbered from 1."""
    async with open_store(path) as store:
        await store.append(environment)
        for number, messages in enumerate(talks, 1):
            kept = TrajectoryRecord(number, environment.name, "t", TrajectoryStatus.KEPT)
            await store.append(kept, *turns(number, messages))
    return path


def turns(number: int, messages: list[Message]) -> list[TurnRecord]:
    return [
        TurnRecord(number, at, message.role, message.as_wire())
        for at, message in enumerate(messages)
    ]


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Objects of JSON lines. Only a line feed ends a line: text may hold U+2028."""
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line]


def saying(role: str, content: str) -> Message:
    return msgspec.convert({"role": role, "content": content}, Message)


# --- of the real conversations ----------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> list[Conversation]:
    """The 100 of GPT-4o under the policy and the tools of `airline`."""
    path = DATA / "tau_bench" / "airline_gpt4o_trajectories.jsonl"
    if not path.exists():
        pytest.skip(f"the real conversations are not beside this checkout ({path})")
    policy = Message("system", AIRLINE.policy)
    return [
        Conversation([policy, *each.messages[1:]], AIRLINE.tools, str(number))
        for number, each in enumerate(read_conversations(path), 1)
    ]


@pytest.fixture(scope="module")
def real_exports(real, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an export in each format, named by it."""
    out = tmp_path_factory.mktemp("exports")
    talks = [each.messages[1:] for each in real]
    run = asyncio.run(record(out / "run.db", AIRLINE.as_record(), talks))
    for form in ExportFormat:
        assert export(run, out / form, form).count == 100
    return out


NORMAL: dict[ExportFormat, Callable[[Conversation], Conversation]] = {
    ExportFormat.OPENAI: lambda each: each,
    ExportFormat.PARQUET: lambda each: each,
    ExportFormat.HERMES: normal_form,
    ExportFormat.LLAMA3: normal_form,
    ExportFormat.SHAREGPT: lambda each: normal_form(each, sharegpt.as_thought),
}


@each_format
def test_an_export_of_the_real_ones_reads_back(form, real, real_exports: Path) -> None:
    read = read_conversations(real_exports / form / form.file_name)
    assert list(read) == [NORMAL[form](each) for each in real]


@pytest.fixture
def load_dataset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """`datasets.load_dataset`, offline and with a cache of its own."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    import datasets

    datasets.disable_progress_bars()
    return lambda kind, **given: datasets.load_dataset(
        kind, cache_dir=str(tmp_path / "cache"), **given
    )


@each_format
def test_datasets_loads_each_export_as_it_was_written(form, real_exports, load_dataset) -> None:
    path = real_exports / form / form.file_name
    kind = "parquet" if form is ExportFormat.PARQUET else "json"
    loaded = load_dataset(kind, data_files=str(path), split="train")
    assert len(loaded) == 100
    if form is not ExportFormat.PARQUET:
        assert [without_nulls(row) for row in loaded] == list(map(without_nulls, lines_of(path)))


def without_nulls(value: Any) -> Any:
    """Without what `datasets` fills in where other rows have more."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return list(map(without_nulls, value)) if isinstance(value, list) else value


@each_format
def test_the_card_tells_datasets_which_file_to_load(form, real_exports, load_dataset) -> None:
    loaded = load_dataset(str(real_exports / form))
    assert {name: len(part) for name, part in loaded.items()} == {"train": 100}


def tokenizer(template: str) -> PreTrainedTokenizerFast:
    of_the_base = PreTrainedTokenizerFast(
        tokenizer_file=str(model_directory(TINY) / "tokenizer.json")
    )
    of_the_base.chat_template = (TEMPLATES / f"{template}.jinja").read_text()
    return of_the_base


def rendered(template: str, path: Path) -> list[str]:
    """The rows of a file through a chat template of `transformers`."""
    render = tokenizer(template).apply_chat_template
    return [
        render(with_objects(row["messages"]), tools=row.get("tools"), tokenize=False)
        for row in lines_of(path)
    ]


def with_objects(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages as these templates want them: arguments are objects, texts are there."""
    for message in messages:
        message.setdefault("content", "")
        for call in message.get("tool_calls", ()):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return messages


def test_transformers_renders_the_hermes_export_as_qwen_renders_the_openai_one(real_exports):
    openai, hermes = (real_exports / form / "train.jsonl" for form in ("openai", "hermes"))
    texts = rendered("chatml", hermes)
    assert len(texts) == 100
    assert texts == rendered("qwen2_5", openai)


def test_transformers_renders_the_llama3_export_as_llama_renders_the_openai_one(real_exports):
    """But for text beside calls, which Llama's template leaves out, and its line on tools."""
    openai, llama3 = (real_exports / form / "train.jsonl" for form in ("openai", "llama3"))
    beside = [
        any(m.get("content") for m in line["messages"] if m.get("tool_calls"))
        for line in lines_of(openai)
    ]
    pairs = list(
        zip(beside, rendered("llama3_1", llama3), rendered("llama3_1", openai), strict=True)
    )
    assert sum(not has_text for has_text, _, _ in pairs) > 50
    for has_text, ours, theirs in pairs:
        assert has_text or ours == theirs.replace("Environment: ipython\n", "", 1)


# --- what LLaMA-Factory is told ---------------------------------------------------------------

DEFAULT_TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}


@pytest.mark.parametrize("form", TEXT_FORMATS)
def test_dataset_info_names_columns_and_speakers_that_are_there(form, real_exports) -> None:
    info = json.loads((real_exports / form / "dataset_info.json").read_text())["airline"]
    tags = info.get("tags", DEFAULT_TAGS)
    line = lines_of(real_exports / form / info["file_name"])[0]
    assert set(tags) == set(DEFAULT_TAGS)  # LLaMA-Factory takes one that is missing for None
    assert set(info["columns"].values()) <= set(line)
    messages = line[info["columns"]["messages"]]
    speakers = {message[tags["role_tag"]] for message in messages}
    assert speakers <= {tags[tag] for tag in tags if tag not in ("role_tag", "content_tag")}
    assert any(message.get(tags["content_tag"]) for message in messages)


def test_the_sharegpt_export_alternates_as_llama_factory_wants_it(real_exports: Path) -> None:
    odd, even = {"human", "observation"}, {"gpt", "function_call"}
    for line in lines_of(real_exports / "sharegpt" / "train.jsonl"):
        speakers = [turn["from"] for turn in line["conversations"]]
        assert set(speakers[::2]) <= odd
        assert set(speakers[1::2]) <= even


# --- what is exported -------------------------------------------------------------------------

HELLO = saying("assistant", "<think>Who?</think>Hello.")
HOSTILE_NAME = 'de|sk: "x"\n---\n<img src=x> # [l](http://e.vil) \x1b[31m'


@pytest.fixture
async def run(tmp_path: Path) -> Path:
    """A run with something of everything: it kept trajectories 1 and 3 of five."""
    statuses = [
        TrajectoryRecord(1, "desk", "t", TrajectoryStatus.KEPT, reward=1.0),
        TrajectoryRecord(2, "desk", "t", TrajectoryStatus.REJECTED, rejected_by="known_tools"),
        TrajectoryRecord(
            3,
            "desk",
            "t",
            TrajectoryStatus.KEPT,
            detail={"repairs": [{"rule": "proper_end", "reason": "a last word was cut off"}]},
        ),
        TrajectoryRecord(4, "desk", "t", TrajectoryStatus.REJECTED, rejected_by="near_duplicate"),
        TrajectoryRecord(5, "desk", "t", TrajectoryStatus.PASSED),
    ]
    seeds = [
        SeedRecord("s:1", SeedStatus.USED, None, None, 1.0, []),
        SeedRecord("s:2", SeedStatus.LEFT_OUT, "reward", "reward 0", 0.0, []),
        SeedRecord("s:3", SeedStatus.REJECTED, "illogical", "It answers itself.", None, []),
    ]
    called = CallRecord(
        None, "author", "https://u:sk-secret@host.test/v1?key=sk-secret", "m|1", 1, "ok", 0.1, 70, 7
    )
    async with open_store(tmp_path / "run.db") as store:
        await store.append(RunRecord("r1", "generate", {}))
        await store.append(EnvironmentRecord(HOSTILE_NAME, "Be kind.", [{"type": "function"}]))
        await store.append(*seeds, PromptRecord("author", "ab" * 32, "Write."), called)
        for trajectory in statuses:
            said = [saying("user", f"I am {trajectory.id}."), HELLO]
            await store.append(trajectory, *turns(trajectory.id, said))
    return store.path


def test_an_export_holds_what_was_kept_and_nothing_else(run: Path) -> None:
    out = run.with_name("new") / "out"
    assert export(run, out).count == 2
    assert lines_of(out / "train.jsonl") == [
        {
            "id": f"r1:{number}",
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": f"I am {number}."},
                {"role": "assistant", "content": HELLO.content},
            ],
            "tools": [{"type": "function"}],
            **reward,
        }
        for number, reward in ((1, {"reward": 1.0}), (3, {}))
    ]
    names = sorted(path.name for path in out.iterdir())
    assert names == ["README.md", "dataset_info.json", "train.jsonl"]


def card_of(run: Path) -> str:
    export(run, run.with_name("out"))
    return (run.with_name("out") / "README.md").read_text(encoding="utf-8")


def test_the_card_tells_the_funnel_the_models_and_the_cost(run: Path) -> None:
    card = card_of(run)
    for row in (
        "| run | r1 |",
        "| seeds read | 3 |",
        "| seeds not used: reward | 1 |",
        "| seeds not used: illogical | 1 |",
        "| seeds used | 1 |",
        "| simulated | 4 |",
        r"| rejected by known\_tools | 1 |",
        r"| rejected as near\_duplicate | 1 |",
        "| not ended, or not yet told from those before | 1 |",
        "| kept | 2 |",
        "| written as openai | 2 |",
        r"| … of these repaired by rule proper\_end | 1 |",
        r"| author | m\|1 | https\://host.test/v1 | 1 |",
        f"| author | {'ab' * 32} |",
        "| author | 70 | 7 | price not known |",
    ):
        assert row in card.splitlines()
    assert "simulated, not real" in card
    assert "sk-secret" not in card


def test_a_hostile_name_breaks_neither_front_matter_nor_table(run: Path) -> None:
    _, front, body = card_of(run).split("---\n", 2)
    matter = yaml.safe_load(front)
    assert matter["pretty_name"] == 'de|sk: "x" --- <img src=x> # [l](http://e.vil) ␛[31m'
    assert "license" not in matter
    assert matter["configs"][0]["data_files"] == [{"split": "train", "path": "train.jsonl"}]
    assert r'de\|sk: "x" --- \<img src=x\> \# \[l\](http\://e.vil) ␛\[31m' in body
    info = json.loads((run.with_name("out") / "dataset_info.json").read_text())
    assert list(info) == ["de_sk_x_---_img_src_x_l_http_e_vil_31m"]


async def test_a_trajectory_that_a_format_cannot_hold_is_left_out_and_told(tmp_path: Path) -> None:
    talks = [[saying("user", "Hi"), saying("assistant", text)] for text in ("<tool_call>", "Ho")]
    run = await record(tmp_path / "r.db", EnvironmentRecord("desk", "Be kind.", []), talks)
    result = simia("export", str(run), "--format", "hermes", "-o", str(tmp_path / "out"))
    assert result.exit_code == 0
    assert f"1 trajectories to {tmp_path / 'out' / 'train.jsonl'}" in result.stdout
    assert "1 of 2 left out, which hermes cannot hold; the first: 1: its text" in result.stderr
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| kept, and left out because hermes cannot hold them | 1 |" in card
    assert export(run, tmp_path / "other").count == 2


async def test_an_export_of_nothing_that_the_format_holds_is_refused(tmp_path: Path) -> None:
    talk = [saying("user", "Hi"), saying("assistant", "<tool_call>")]
    run = await record(tmp_path / "r.db", EnvironmentRecord("desk", "Be kind.", []), [talk])
    with pytest.raises(UsageError, match="hermes holds none of its 1 kept trajectories: 1: its"):
        export(run, tmp_path / "a" / "b", ExportFormat.HERMES)
    assert not (tmp_path / "a").exists()


# --- where it is exported to ------------------------------------------------------------------


def simia(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments)


def left_behind(run: Path) -> list[str]:
    """What lies beside the run's own files."""
    paths = run.parent.rglob("*")
    return sorted(str(p.relative_to(run.parent)) for p in paths if not p.name.startswith("run.db"))


async def test_an_export_replaces_the_one_before_as_a_whole_and_leaves_other_files(
    run: Path,
) -> None:
    out = run.with_name("out")
    export(run, out, ExportFormat.HERMES)
    (out / "notes.txt").write_text("mine")
    async with open_store(run) as store:
        await store.append(TrajectoryRecord(3, "desk", "t", TrajectoryStatus.REJECTED))
    with (out / "train.jsonl").open() as reader_of_the_old:
        assert export(run, out, ExportFormat.HERMES).count == 1
        # Whoever had it open reads on in the old file: it was not written over in place.
        assert len(reader_of_the_old.readlines()) == 2
    assert len(lines_of(out / "train.jsonl")) == 1
    names = sorted(path.name for path in out.iterdir())
    assert names == ["README.md", "dataset_info.json", "notes.txt", "train.jsonl"]


@pytest.mark.parametrize("name", ["README.md", "dataset_info.json", "train.jsonl"])
def test_a_file_of_somebody_else_is_not_overwritten(run: Path, name: str) -> None:
    out = run.with_name("out")
    out.mkdir()
    (out / name).write_text("mine")
    with pytest.raises(UsageError, match=f"{name}: was not written by an export"):
        export(run, out)
    assert left_behind(run) == ["out", f"out/{name}"]
    assert (out / name).read_text() == "mine"


def all_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@each_format
def test_an_export_in_another_format_does_not_replace_the_one_that_is_there(run, form) -> None:
    out = run.with_name("out")
    export(run, out, form)
    before = all_of(out)
    for other in set(ExportFormat) - {form}:
        said = f"out: holds an export as {form}; name another directory to export as {other}"
        with pytest.raises(UsageError, match=said):
            export(run, out, other)
    assert all_of(out) == before


@pytest.mark.parametrize(
    ("line", "edited"),
    [
        ("# license: yours to choose; name it here before you publish", "license: mit"),
        ("## Limits", "## Limits\n\n- Mine."),
        ("<!-- exported by simia-async", "<!-- by me"),
    ],
)
def test_a_card_that_was_edited_is_not_replaced(run: Path, line: str, edited: str) -> None:
    out = run.with_name("out")
    export(run, out)
    card = out / "README.md"
    text = card.read_text(encoding="utf-8")
    assert line in text
    card.write_text(text.replace(line, edited), encoding="utf-8")
    before = all_of(out)
    with pytest.raises(UsageError, match=r"README\.md: was not .*, or was edited since; export to"):
        export(run, out)
    assert all_of(out) == before


def test_a_run_or_a_file_is_no_place_to_export_to(run: Path) -> None:
    with pytest.raises(UsageError, match=r"run\.db: is a run database; name a directory"):
        export(run, run)
    file = run.with_name("kept.jsonl")
    file.write_text("mine")
    with pytest.raises(UsageError, match=r"kept\.jsonl: is a file; name a directory"):
        export(run, file)
    with pytest.raises(UsageError, match="cannot be written: Not a directory"):
        export(run, file / "out")
    assert left_behind(run) == ["kept.jsonl"]


def test_a_directory_in_the_data_files_place_is_told_before_anything_is_written(run: Path) -> None:
    (run.with_name("out") / "train.jsonl").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"train\.jsonl: is a directory"):
        export(run, run.with_name("out"))
    assert left_behind(run) == ["out", "out/train.jsonl"]


@each_format
async def test_a_run_that_kept_nothing_exports_nothing(run: Path, form: ExportFormat) -> None:
    async with open_store(run) as store:
        for number in (1, 3):
            await store.append(TrajectoryRecord(number, "desk", "t", TrajectoryStatus.REJECTED))
    with pytest.raises(UsageError, match="kept no trajectory"):
        export(run, run.with_name("a") / "out", form)
    assert left_behind(run) == []


@each_format
def test_a_failure_half_way_leaves_nothing_behind(run: Path, form: ExportFormat, monkeypatch):
    def no_room(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("simia_async.synthesis.export.dataset_card", no_room)
    with pytest.raises(UsageError, match="out: cannot be written: No space left on device"):
        export(run, run.with_name("a") / "out", form)
    assert left_behind(run) == []


def test_an_export_without_a_run_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such run database"):
        export(tmp_path / "none.db", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_is_refused_by_the_command_line(run: Path) -> None:
    result = simia("export", str(run), "--format", "csv", "-o", str(run.with_name("out")))
    assert result.exit_code == 2
    assert left_behind(run) == []
