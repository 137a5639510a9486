"""The pre-filter: each seed is reviewed once, its verdict is kept, and known failures stay out."""

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from aiohttp import web
from simia_store import Reader, SeedRecord, SeedStatus, StoreError
from simia_store.checks import check

import simia_async
from simia_async.errors import BadReply, EndpointRefused, UsageError
from simia_async.simulation.prompts import read_sections
from simia_async.testing import ScriptedServer

SIMIA = [sys.executable, "-c", "from simia_async.cli.main import main; main()"]
FEW_SHOT = Path(__file__).parents[2] / "shared" / "data" / "tau_bench" / "airline_few_shot.jsonl"
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
FINE = {"complete": True, "logical": True, "well_formed": True, "reason": "fine"}


def conversation(name: str) -> list[dict[str, Any]]:
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    return [
        {"role": "user", "content": f"I am {name}. Where is my order?"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": '{"status": "packed"}'},
        {"role": "assistant", "content": f"It is packed, {name}."},
    ]


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """An environment with three seeds: of Ann, Bob and Cyd."""
    folder = tmp_path / "desk"
    folder.mkdir()
    (folder / "policy.md").write_text("Be kind.")
    (folder / "tools.json").write_text(json.dumps([TOOL]))
    lines = [json.dumps({"messages": conversation(name)}) for name in ("Ann", "Bob", "Cyd")]
    (folder / "seeds.jsonl").write_text("\n".join(lines))
    return folder


class Reviewer:
    """A simulator whose verdicts are those of a test; as an author it always writes the same."""

    def __init__(self, verdicts: dict[str, dict[str, Any]]) -> None:
        self.verdicts = verdicts
        self.reviewed: list[str] = []
        self.written = 0

    async def __call__(self, request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.json_response({"data": []})
        prompt = (await request.json())["messages"][1]["content"]
        sections = read_sections(prompt)
        if sections["environment"]["role"] == "reviewer":
            said = sections["seed"]["messages"][0]["content"]
            name = next(name for name in ("Ann", "Bob", "Cyd") if name in said)
            self.reviewed.append(name)
            answer = self.verdicts.get(name, FINE)
        else:
            self.written += 1
            answer = {"messages": conversation(f"number {self.written}")}
        message = {"role": "assistant", "content": json.dumps(answer)}
        return web.json_response({"choices": [{"message": message, "finish_reason": "stop"}]})


@pytest.fixture
def generate(desk: Path, tmp_path: Path, start: Any) -> Any:
    """Runs, and goes on with, one run on the desk."""

    async def go(reviewer: Any, **settings: Any) -> Any:
        endpoint = await start(reviewer)
        return await simia_async.generate(
            run=tmp_path / "g.db",
            environment=str(desk),
            simulator=endpoint,
            n=4,
            similarity=1.0,
            **settings,
        )

    return go


async def test_rejected_seeds_are_not_used_and_say_why(generate: Any, tmp_path: Path) -> None:
    reviewer = Reviewer(
        {
            "Ann": {**FINE, "logical": False, "reason": "the order was never asked about"},
            "Bob": {**FINE, "complete": False, "reason": "the end is missing"},
        }
    )
    result = await generate(reviewer)
    assert (result.seeds_used, dict(result.seeds_rejected)) == (
        1,
        {"illogical": 1, "incomplete": 1},
    )
    with Reader(tmp_path / "g.db") as reader:
        ann, bob, cyd = sorted(reader.seeds(), key=lambda seed: seed.id)
        assert (ann.status, ann.reason) == (SeedStatus.REJECTED, "the order was never asked about")
        assert (bob.cause, cyd.status, cyd.cause) == ("incomplete", SeedStatus.USED, None)
        assert cyd.detail == FINE
        assert {t.detail["seed"] for t in reader.trajectories()} == {cyd.id}
        assert [prompt.role for prompt in reader.prompts()] == ["author", "reviewer"]
        roles = [call.role for call in reader.calls()]
    assert roles.count("reviewer") == 3


async def test_a_seed_is_reviewed_once_however_often_a_run_goes_on(
    generate: Any, tmp_path: Path
) -> None:
    reviewer = Reviewer({})
    await generate(reviewer)
    await generate(reviewer)
    assert sorted(reviewer.reviewed) == ["Ann", "Bob", "Cyd"]


async def test_without_the_pre_filter_nobody_is_asked(generate: Any, tmp_path: Path) -> None:
    reviewer = Reviewer({"Ann": {**FINE, "logical": False}})
    result = await generate(reviewer, prefilter=False)
    assert (result.seeds_used, reviewer.reviewed) == (3, [])


async def test_what_a_reviewer_fills_in_is_used_if_it_is_sound(
    desk: Path, generate: Any, tmp_path: Path
) -> None:
    told = (
        "user: I am {0}. Where is my order?\nassistant: None\n"
        'tool: {{"status": "packed"}}\nassistant: It is packed, {0}.'
    )
    lines = [json.dumps({"messages_display": told.format(name)}) for name in ("Ann", "Bob", "Cyd")]
    (desk / "seeds.jsonl").write_text("\n".join(lines))
    unsound = conversation("Bob")
    unsound[1]["tool_calls"][0]["function"]["name"] = "guess"
    missing = {**FINE, "complete": False}
    reviewer = Reviewer(
        {
            "Ann": {**missing, "messages": conversation("Ann")},
            "Bob": {**missing, "messages": unsound},
            "Cyd": missing,
        }
    )
    run = tmp_path / "g.db"
    result = await generate(reviewer)
    assert (result.seeds_used, dict(result.seeds_rejected)) == (1, {"incomplete": 2})
    with Reader(run) as reader:
        ann, bob, _ = sorted(reader.seeds(), key=lambda seed: seed.id)
    assert ann.detail["reconstructed"] is True
    assert ann.messages[1]["tool_calls"][0]["function"]["name"] == "look"
    assert "known_tools" in bob.detail["reconstruction"]
    # What was filled in is used again, not asked for again.
    again = await generate(reviewer)
    assert (again.seeds_used, sorted(reviewer.reviewed)) == (1, ["Ann", "Bob", "Cyd"])


async def test_a_run_does_not_go_on_with_other_seeds(desk: Path, generate: Any) -> None:
    reviewer = Reviewer({})
    await generate(reviewer)
    (desk / "seeds.jsonl").write_text(json.dumps({"messages": conversation("Cyd")}))
    with pytest.raises(UsageError, match=r"seeds:\d is not what it was when the run began"):
        await generate(reviewer)


async def test_no_seed_left_is_one_sentence(generate: Any) -> None:
    wrong = {**FINE, "well_formed": False, "reason": "turns are out of order"}
    reviewer = Reviewer(dict.fromkeys(("Ann", "Bob", "Cyd"), wrong))
    with pytest.raises(UsageError, match=r"none of 3 seeds can be used: 3 malformed.*out of order"):
        await generate(reviewer)


async def test_a_reviewer_that_answers_nonsense_costs_its_seed_and_is_asked_again(
    generate: Any, tmp_path: Path
) -> None:
    reviewer = Reviewer({"Ann": {"verdict": "fine"}})
    result = await generate(reviewer)
    assert dict(result.seeds_rejected) == {"unreviewed": 1}
    assert reviewer.reviewed.count("Ann") == 2  # the answer, and the one after the complaint
    # With one more seed all later plans would be others: a run that has begun keeps to its seeds.
    reviewer.verdicts.clear()
    again = await generate(reviewer)
    assert (again.seeds_used, dict(again.seeds_rejected)) == (2, {"unreviewed": 1})


async def test_what_a_reviewer_failed_at_is_asked_again_as_long_as_nothing_is_simulated(
    generate: Any,
) -> None:
    reviewer = Reviewer({name: {"verdict": "fine"} for name in ("Ann", "Bob", "Cyd")})
    with pytest.raises(BadReply, match="the pre-filter failed at every seed"):
        await generate(reviewer)
    reviewer.verdicts.clear()
    assert (await generate(reviewer)).seeds_used == 3


async def test_a_reviewer_may_not_put_another_conversation_in_the_place_of_a_seed(
    generate: Any, desk: Path, tmp_path: Path
) -> None:
    other = {**FINE, "complete": False, "messages": conversation("Zoe")}
    result = await generate(Reviewer({"Ann": other}))
    assert dict(result.seeds_rejected) == {"incomplete": 1}
    told = "user: I am Bob. Where is my order?\nassistant: None\ntool: {}\nassistant: It is here."
    (desk / "seeds.jsonl").write_text(json.dumps({"messages_display": told}))
    filled_in = {**FINE, "complete": False, "messages": conversation("Bob")}
    reviewer = Reviewer({"Bob": filled_in})
    (tmp_path / "g.db").unlink()
    with pytest.raises(UsageError, match="1 incomplete"):
        await generate(reviewer)
    with Reader(tmp_path / "g.db") as reader:
        [bob] = reader.seeds()
    assert bob.detail["reconstruction"] == "it changes what was told"


async def test_a_run_does_not_go_on_in_another_world(generate: Any, desk: Path) -> None:
    await generate(Reviewer({}))
    (desk / "prompts").mkdir()
    (desk / "prompts" / "author.md").write_text("Write one, as JSON with `messages`.")
    await generate(Reviewer({}))
    (desk / "policy.md").write_text("Be strict.")
    with pytest.raises(UsageError, match="the policy of environment 'desk' is not what it was"):
        await generate(Reviewer({}))
    (desk / "policy.md").write_text("Be kind.")
    (desk / "tools.json").write_text(json.dumps([TOOL, {"function": {"name": "more"}}]))
    with pytest.raises(UsageError, match="the list of tools of environment 'desk'"):
        await generate(Reviewer({}))


async def test_all_words_that_were_asked_with_are_kept(
    generate: Any, desk: Path, tmp_path: Path
) -> None:
    await generate(Reviewer({}))
    (desk / "prompts").mkdir()
    (desk / "prompts" / "author.md").write_text("Write one, as JSON with `messages`.")
    for _ in range(2):
        await generate(Reviewer({}))
    with Reader(tmp_path / "g.db") as reader:
        assert [p.role for p in reader.prompts()] == ["author", "reviewer", "author"]


async def test_the_rules_for_seeds_are_those_of_the_run(generate: Any) -> None:
    with pytest.raises(UsageError, match="none of 3 seeds can be used: 3 unsound"):
        await generate(Reviewer({}), max_characters=20)


async def test_a_reviewer_that_refuses_ends_the_run(generate: Any) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"error": {"message": "no such model"}}, status=404)

    with pytest.raises(EndpointRefused, match="no such model"):
        await generate(refuse)


async def test_the_scripted_reviewer_rejects_what_is_not_told(tmp_path: Path) -> None:
    if not FEW_SHOT.exists():
        pytest.skip(f"the real conversations are not beside this checkout ({FEW_SHOT})")
    result = await simia_async.generate(
        run=tmp_path / "g.db", environment="airline", seeds=str(FEW_SHOT), n=1
    )
    # One of the 19 gets by without a tool, and so is all there.
    assert (result.seeds_used, dict(result.seeds_rejected)) == (1, {"incomplete": 18})
    with Reader(tmp_path / "g.db") as reader:
        assert all("None" in str(seed.reason) for seed in reader.seeds() if seed.cause)


@pytest.mark.soak
async def test_a_run_killed_in_its_pre_filter_goes_on_and_tells_what_was_in_flight(
    tmp_path: Path,
) -> None:
    run = tmp_path / "g.db"
    async with ScriptedServer(latency="lognormal:0.3,0.5") as server:
        endpoint = ["--base-url", server.base_url, "--simulator-model", "world"]
        endpoint += ["--api-key-env", "", "--max-in-flight", "4"]
        command = [*SIMIA, "generate", "-n", "4", "--run", str(run), *endpoint]
        process = await anyio.open_process(command)
        reviewing: list[SeedRecord] = []
        used = 0
        async with asyncio.timeout(30):
            while not (reviewing and used > 4):
                await asyncio.sleep(0.05)
                reviewing, used = await anyio.to_thread.run_sync(look, run)
        process.kill()
        await process.wait()
        reviewing, used = look(run)
        again = await anyio.run_process(command)
    assert f"at most {len(reviewing)} calls were in flight" in again.stderr.decode()
    with Reader(run) as reader:
        assert {seed.status for seed in reader.seeds()} == {SeedStatus.USED}
        calls = Counter(call.status for call in reader.calls() if call.role == "reviewer")
    assert calls == {"ok": 31, "CutOff": len(reviewing)}
    assert check(run).problems == []


def look(run: Path) -> tuple[list[SeedRecord], int]:
    """Seeds that are under review, and how many are decided on."""
    try:
        with Reader(run) as reader:
            seeds = list(reader.seeds())
    except StoreError:  # not there yet
        return [], 0
    reviewing = [seed for seed in seeds if seed.status == SeedStatus.REVIEWING]
    return reviewing, sum(seed.status == SeedStatus.USED for seed in seeds)
