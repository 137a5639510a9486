"""Rules of synthesis: each defect is caught by the rule that is there for it."""

import json
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from simia_store import (
    EnvironmentRecord,
    StoreError,
    TrajectoryRecord,
    TrajectoryStatus,
    TurnRecord,
    open_store,
)

from simia_async.environments import load_environment, load_seeds
from simia_async.environments.seeds import successful
from simia_async.errors import UsageError
from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.synthesis.export import export_jsonl
from simia_async.synthesis.rules import RULES, Verdict, apply_rules, fingerprint

MINI_RETAIL = load_environment("mini-retail")
AIRLINE = load_environment("airline")


def call(arguments: str, name: str = "get_order", call_id: str = "c0") -> Message:
    return Message("assistant", tool_calls=[ToolCall(call_id, FunctionCall(name, arguments))])


ASK = Message("user", "What is the status of order W1234?")
CALL = call('{"order_id": "W1234"}')
TWO_CALLS = msgspec.structs.replace(
    CALL,
    tool_calls=[
        ToolCall(call_id, FunctionCall("get_order", '{"order_id": "W1"}'))
        for call_id in ("c0", "c1")
    ],
)
SEEN = Message("tool", '{"status": "packed"}', tool_call_id="c0")
REPLY = Message("assistant", "<think>It is packed.</think>It is packed.")
SOUND = [ASK, CALL, SEEN, REPLY]


def saying(role: str, content: str | None) -> Message:
    return msgspec.convert({"role": role, "content": content}, Message)


DEFECTS = [
    ("no_empty_turns", [saying("user", " \n"), *SOUND[1:]]),
    ("no_empty_turns", [*SOUND[:3], saying("assistant", None)]),
    # What the agent only thought is not said to anybody.
    ("no_empty_turns", [*SOUND[:3], saying("assistant", "<think>Packed.</think> ")]),
    ("no_empty_turns", [*SOUND[:3], saying("assistant", "<think>Packed, so I say")]),
    ("proper_end", SOUND[:2]),
    ("proper_end", SOUND[:3]),
    ("proper_end", [ASK]),
    ("proper_end", []),
    ("role_order", SOUND[1:]),
    ("role_order", [ASK, *SOUND]),
    ("role_order", [ASK, CALL, REPLY]),
    ("role_order", [*SOUND, REPLY]),
    ("role_order", [*SOUND, SEEN, REPLY]),
    ("role_order", [ASK, CALL, SEEN, ASK, REPLY]),
    ("known_tools", [ASK, call("{}", name="get_odrer"), SEEN, REPLY]),
    ("arguments_are_json", [ASK, call('"W1234"'), SEEN, REPLY]),
    ("arguments_are_json", [ASK, call("[1]"), SEEN, REPLY]),
    ("arguments_are_json", [ASK, call(""), SEEN, REPLY]),
    # Repaired to `{}` these would pass for a call without arguments.
    ("arguments_are_json", [ASK, call("{"), SEEN, REPLY]),
    ("arguments_are_json", [ASK, call("order W1234"), SEEN, REPLY]),
    ("arguments_fit_schema", [ASK, call("{}"), SEEN, REPLY]),
    ("arguments_fit_schema", [ASK, call('{"order_id": 1234}'), SEEN, REPLY]),
    ("arguments_fit_schema", [ASK, call('{"order_id": "W1", "why": ""}'), SEEN, REPLY]),
    ("calls_are_answered", [ASK, CALL, saying("tool", "{}"), REPLY]),
    ("calls_are_answered", [ASK, CALL, SEEN, SEEN, REPLY]),
    ("calls_are_answered", [ASK, TWO_CALLS, SEEN, REPLY]),
    ("no_leaked_prompt", [saying("user", "Thanks. ###STOP###"), *SOUND[1:]]),
    ("no_leaked_prompt", [*SOUND[:3], saying("assistant", "As <history> says, it is packed.")]),
]


@pytest.mark.parametrize(("rule", "messages"), DEFECTS)
def test_a_defect_is_caught_by_its_own_rule(rule: str, messages: list[Message]) -> None:
    verdict = apply_rules(messages, MINI_RETAIL)
    assert verdict.rejected_by == rule
    assert verdict.reason


def test_every_rule_has_a_defect_that_shows_it_at_work() -> None:
    assert {rule.__name__ for rule in RULES} == {rule for rule, _ in DEFECTS}


def test_a_sound_conversation_passes_as_it_is() -> None:
    assert apply_rules(SOUND, MINI_RETAIL) == Verdict(SOUND)
    # The system message is the environment's, and no part of what was simulated.
    assert apply_rules([saying("system", "Be kind."), *SOUND], MINI_RETAIL) == Verdict(SOUND)


def test_calls_side_by_side_may_be_answered_in_any_order() -> None:
    seen = [Message("tool", "{}", tool_call_id=call_id) for call_id in ("c1", "c0")]
    assert apply_rules([ASK, TWO_CALLS, *seen, REPLY], MINI_RETAIL).rejected_by is None


def test_a_last_word_that_nobody_answered_is_cut_off_and_that_is_recorded() -> None:
    verdict = apply_rules([*SOUND, saying("user", "Thanks.")], MINI_RETAIL)
    assert verdict == Verdict(SOUND, repairs=["proper_end"])


def test_only_the_observation_of_an_ending_tool_may_be_the_last_word() -> None:
    handed_over = call('{"summary": "He is angry."}', "transfer_to_human_agents")
    messages = [ASK, handed_over, SEEN]
    assert apply_rules(messages, AIRLINE).rejected_by is None
    no_end = msgspec.structs.replace(AIRLINE, ending_tools=frozenset())
    assert apply_rules(messages, no_end).rejected_by == "proper_end"


@pytest.mark.parametrize(
    "slip",
    [
        '{"order_id": "W1234"',
        "{'order_id': 'W1234'}",
        '{"order_id": "W1234",}',
        '{order_id: "W1234"}',
        '```json\n{"order_id": "W1234"}\n```',
    ],
)
def test_a_slip_in_the_arguments_is_repaired_and_that_is_recorded(slip: str) -> None:
    verdict = apply_rules([ASK, call(slip), SEEN, REPLY], MINI_RETAIL)
    assert verdict.repairs == ["arguments_are_json"]
    assert verdict.rejected_by is None
    (mended,) = verdict.messages[1].tool_calls or ()
    assert json.loads(mended.function.arguments) == {"order_id": "W1234"}


@settings(max_examples=150, deadline=None, database=None)
@given(st.text(alphabet="{}[]\":,'\\ \nabt01.-") | st.text())
def test_arguments_are_never_mended_to_none(text: str) -> None:
    verdict = apply_rules([ASK, call(text), SEEN, REPLY], MINI_RETAIL)
    (after,) = verdict.messages[1].tool_calls or ()
    if "arguments_are_json" in verdict.repairs:
        assert json.loads(after.function.arguments) != {}
        assert isinstance(json.loads(after.function.arguments), dict)
    else:
        assert after.function.arguments == text


def test_the_real_conversations_pass_unless_they_were_cut_off(airline_seeds: Path) -> None:
    seeds = load_seeds(airline_seeds)
    verdicts = {seed.id: apply_rules(seed.messages, AIRLINE) for seed in seeds}
    assert all(verdicts[seed.id].rejected_by is None for seed in successful(seeds))
    # Two of the 69 failed ones ran into tau-bench's limit of 30 steps: one message of the user
    # and 30 times agent and answer, the last of them an observation that nobody took up.
    rejected = {at: verdict for at, verdict in verdicts.items() if verdict.rejected_by}
    assert Counter(verdict.rejected_by for verdict in rejected.values()) == {"proper_end": 2}
    assert all(len(verdict.messages) == 61 for verdict in rejected.values())
    assert not any(verdict.repairs for verdict in verdicts.values())


MESSAGES = st.lists(
    st.builds(saying, st.sampled_from(["user", "assistant", "tool"]), st.none() | st.text())
    | st.builds(call, st.text(), st.text(), st.text()),
    max_size=5,
)


def renumbered(messages: list[Message]) -> list[Message]:
    """The same conversation as another provider would number it."""
    return [
        msgspec.structs.replace(
            message,
            tool_call_id="other",
            tool_calls=[
                msgspec.structs.replace(call, id=f"other_{call.id}")
                for call in message.tool_calls or ()
            ]
            or None,
        )
        for message in messages
    ]


def told(messages: list[Message]) -> list[object]:
    """What fingerprints are about."""
    return [(m.role, m.content, [call.function for call in m.tool_calls or ()]) for m in messages]


@settings(max_examples=50, deadline=None, database=None)
@given(MESSAGES)
def test_a_fingerprint_does_not_see_call_ids(messages: list[Message]) -> None:
    assert fingerprint(renumbered(messages)) == fingerprint(messages)


@settings(max_examples=100, deadline=None, database=None)
@given(MESSAGES, MESSAGES)
def test_fingerprints_of_other_conversations_are_others(
    one: list[Message], other: list[Message]
) -> None:
    assume(told(one) != told(other))
    assert fingerprint(one) != fingerprint(other)


@settings(max_examples=50, deadline=None, database=None)
@given(st.data(), st.characters(exclude_categories=["Cs"]))
def test_a_fingerprint_sees_one_character_of_any_text(data: st.DataObject, more: str) -> None:
    at = data.draw(st.integers(0, len(SOUND) - 1))
    message = SOUND[at]
    if message.tool_calls:
        changed = call((message.tool_calls[0].function.arguments) + more)
    else:
        changed = msgspec.structs.replace(message, content=(message.content or "") + more)
    assert fingerprint([*SOUND[:at], changed, *SOUND[at + 1 :]]) != fingerprint(SOUND)


@pytest.fixture
async def run(tmp_path: Path) -> Path:
    """A run that kept trajectories 1 and 3, rejected 2 and was cut off in 4."""
    statuses = [
        TrajectoryStatus.KEPT,
        TrajectoryStatus.REJECTED,
        TrajectoryStatus.KEPT,
        TrajectoryStatus.RUNNING,
    ]
    async with open_store(tmp_path / "run.db") as store:
        await store.append(EnvironmentRecord("desk", "Be kind.", [{"type": "function"}]))
        for number, status in enumerate(statuses, 1):
            messages = [saying("user", f"I am {number}."), REPLY]
            turns = [
                TurnRecord(number, at, message.role, message.as_wire())
                for at, message in enumerate(messages)
            ]
            await store.append(TrajectoryRecord(number, "desk", "t", status), *turns)
    return store.path


def test_the_export_holds_what_was_kept_as_openai_chat(run: Path) -> None:
    out = run.with_name("new") / "kept.jsonl"
    assert export_jsonl(run, out) == 2
    assert [json.loads(line) for line in out.read_text().splitlines()] == [
        {
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": f"I am {number}."},
                {"role": "assistant", "content": REPLY.content},
            ],
            "tools": [{"type": "function"}],
        }
        for number in (1, 3)
    ]
    assert [path.name for path in out.parent.iterdir()] == ["kept.jsonl"]


def test_an_export_replaces_the_one_before_as_a_whole(run: Path) -> None:
    out = run.with_name("kept.jsonl")
    out.write_text("old\n" * 10_000)
    with out.open() as reader_of_the_old:
        assert export_jsonl(run, out) == 2
        # Whoever had it open reads on in the old file: it was not written over in place.
        assert reader_of_the_old.read() == "old\n" * 10_000
    assert len(out.read_text().splitlines()) == 2


async def test_a_run_that_kept_nothing_exports_nothing(run: Path) -> None:
    async with open_store(run) as store:
        for number in (1, 3):
            await store.append(TrajectoryRecord(number, "desk", "t", TrajectoryStatus.REJECTED))
    out = run.with_name("kept.jsonl")
    out.write_text("an earlier one")
    with pytest.raises(UsageError, match="kept no trajectory"):
        export_jsonl(run, out)
    assert out.read_text() == "an earlier one"
    assert not list(run.parent.glob("*.partial"))


def test_an_export_without_a_run_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such run database"):
        export_jsonl(tmp_path / "none.db", tmp_path / "kept.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_cannot_be_written_is_told_as_such(run: Path) -> None:
    out = run.with_name("kept.jsonl")
    (out / "full").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"kept\.jsonl: cannot be written: Is a directory"):
        export_jsonl(run, out)
    assert not list(run.parent.glob("*.partial"))
