"""Rules of synthesis: each defect is caught by the rule that is there for it."""

import json
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simia_async.builtin.author import retell
from simia_async.environments import Environment, load_environment, load_seeds
from simia_async.environments.seeds import successful
from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.synthesis.rules import (
    RULES,
    Repair,
    RuleSettings,
    Verdict,
    apply_rules,
    fingerprint,
)

MINI_RETAIL = load_environment("mini-retail")
AIRLINE = load_environment("airline")


def call(arguments: str, name: str = "get_order", call_id: str = "c0") -> Message:
    return Message("assistant", tool_calls=[ToolCall(call_id, FunctionCall(name, arguments))])


ASK = Message("user", "What is the status of order W1234? I also ordered W1.")
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


def asking(arguments: str, name: str = "get_order") -> list[Message]:
    """The sound conversation with another call in it."""
    return [ASK, call(arguments, name), SEEN, REPLY]


def replying(content: str | None) -> list[Message]:
    return [*SOUND[:3], saying("assistant", content)]


AGAIN = [call('{"order_id": "W1234"}', call_id="c1"), Message("tool", "", tool_call_id="c1")]


def seen_again(content: str) -> list[Message]:
    """The sound conversation with a second look at the order."""
    again = msgspec.structs.replace(AGAIN[1], content=content)
    return [*SOUND[:3], AGAIN[0], again, REPLY]


DEFECTS = [
    ("not_too_long", replying("Yes. " * 30_000)),
    ("storable_text", replying("It is packed \ud83d")),
    ("storable_text", [saying("user", "Hi\0"), *SOUND[1:]]),
    ("no_empty_turns", [saying("user", " \n"), *SOUND[1:]]),
    ("no_empty_turns", replying(None)),
    ("no_empty_turns", replying("\u200b")),
    # What the agent only thought is not said to anybody.
    ("no_empty_turns", replying("<think>Packed.</think> ")),
    ("proper_end", SOUND[:2]),
    ("proper_end", SOUND[:3]),
    ("proper_end", [ASK]),
    ("proper_end", []),
    ("role_order", [*replying("Hello."), *SOUND][3:]),
    ("role_order", [ASK, *SOUND]),
    ("role_order", [*SOUND, REPLY]),
    ("role_order", [*SOUND, ASK, ASK]),
    ("role_order", [ASK, CALL, SEEN, ASK, REPLY]),
    ("role_order", [ASK, saying("system", "Be kind."), *SOUND[1:]]),
    ("known_tools", asking("{}", "get_odrer")),
    ("known_tools", asking("{}", "get_order.v2")),
    ("arguments_are_json", asking('"W1234"')),
    ("arguments_are_json", asking("[1]")),
    ("arguments_are_json", asking("")),
    # Repaired to `{}` these would pass for a call without arguments.
    ("arguments_are_json", asking("{")),
    ("arguments_are_json", asking("order W1234")),
    # A value that is not there is not an empty one.
    ("arguments_are_json", asking('{"order_id": }')),
    # What these were to say, nobody knows.
    ("arguments_are_json", asking('{"order_id": "W12')),
    ("arguments_are_json", asking('{"order_id": "W1234", "why":')),
    ("arguments_are_json", asking('{"order_id": NaN}')),
    ("arguments_fit_schema", asking("{}")),
    ("arguments_fit_schema", asking('{"order_id": ["W1234"]}')),
    ("arguments_fit_schema", asking('{"order_id": true}')),
    ("arguments_fit_schema", asking('{"order_id": null}')),
    ("arguments_fit_schema", asking('{"order_id": "W1", "why": ""}')),
    ("calls_are_answered", [ASK, CALL, SEEN, SEEN, REPLY]),
    ("calls_are_answered", [ASK, CALL, REPLY]),
    ("calls_are_answered", [*SOUND, SEEN, REPLY]),
    ("calls_are_answered", [ASK, TWO_CALLS, SEEN, REPLY]),
    ("calls_are_answered", [ASK, TWO_CALLS, *[msgspec.structs.replace(SEEN)] * 2, REPLY]),
    ("think_tags", replying("<think>Packed, so I say")),
    ("think_tags", replying("Packed.</think> It is packed.")),
    ("think_tags", replying("It is packed. <think>Is it?</think>")),
    ("think_tags", replying("<think>a<think>b</think></think>It is packed.")),
    ("think_tags", replying("<thinking>Packed.</thinking>It is packed.")),
    ("think_tags", [saying("user", "<think>I ask.</think>W1234?"), *SOUND[1:]]),
    ("think_tags", asking('{"order_id": "<think>W1234</think>"}')),
    ("no_leaked_prompt", [saying("user", "Thanks. ###STOP###"), *SOUND[1:]]),
    ("no_leaked_prompt", replying("As <history> says, it is packed.")),
    ("no_leaked_prompt", replying("You judge a support agent. It is packed.")),
    ("no_leaked_prompt", replying("In this simulation it is packed.")),
    ("no_placeholders", replying("Order [ORDER_ID] is packed.")),
    ("no_placeholders", asking('{"order_id": "TBD"}')),
    ("no_placeholders", asking('{"order_id": 123456}')),
    ("no_placeholders", seen_again('{"status": "packed", "tracking_number": "112233"}')),
    ("ids_were_seen", asking('{"order_id": "W9876"}')),
    ("ids_were_seen", asking('{"order_id": 9876}')),
    ("observations_agree", seen_again('{"status": "shipped"}')),
    ("observations_agree", seen_again('{"total": 5, "status": ["packed"]}')),
]


@pytest.mark.parametrize(("rule", "messages"), DEFECTS)
def test_a_defect_is_caught_by_its_own_rule(rule: str, messages: list[Message]) -> None:
    verdict = apply_rules(messages, MINI_RETAIL)
    assert verdict.rejected_by == rule
    assert verdict.reason


def test_every_rule_has_a_defect_that_shows_it_at_work() -> None:
    assert {rule.__name__ for rule in RULES} == {rule for rule, _ in DEFECTS}


LOOKS_ODD = [
    saying("user", "My address is 12 King St, 12345 Springfield; call me at 555-0100-123."),
    saying("user", "What I see is a conversation in the browser, <b>bold</b>, and {curly} signs."),
    saying("user", "Here is the address again. I play the guitar and seed my own garden."),
    saying("user", "I see XXXX-XXXX-XXXX-1234 on the receipt, and [a link](https://example.com)."),
    saying("user", "Do you return the object in JSON? Is the training data center open?"),
    saying("user", "In XML: <order_id>W1234</order_id>. Is that stop #3?"),
]


@pytest.mark.parametrize("word", LOOKS_ODD)
def test_normal_talk_is_no_leak_and_no_placeholder(word: Message) -> None:
    messages = [*SOUND, word, REPLY]
    assert apply_rules(messages, MINI_RETAIL) == Verdict(messages)


@pytest.mark.parametrize(
    ("asked", "order_id"),
    [
        ("Where is #W1234?", "W1234"),
        ("Where is W1234?", "#W1234"),
        ("Where is w-12 34?", "W1234"),
        ("Where is order 1234?", "#W1234"),
        ("I am Raj, my number is 77 and I want my order.", "raj_77"),
        ("Where is my order for today?", "today"),
    ],
)
def test_an_id_may_be_spelt_in_another_way(asked: str, order_id: str) -> None:
    messages = [saying("user", asked), *asking(f'{{"order_id": "{order_id}"}}')[1:]]
    assert apply_rules(messages, MINI_RETAIL) == Verdict(messages)


def test_parts_of_what_tools_told_make_no_id() -> None:
    told = Message("tool", '{"payment": "gift_card_5634230"}', tool_call_id="c0")
    refund = call('{"order_id": "W1234", "payment": "credit_card_5634230"}', "refund_order", "c1")
    done = Message("tool", '{"ok": true}', tool_call_id="c1")
    ask = saying("user", "Refund W1234 to my credit card.")
    assert apply_rules([ask, CALL, told, refund, done, REPLY], MINI_RETAIL).rejected_by == (
        "ids_were_seen"
    )


@pytest.mark.parametrize(
    "content",
    [
        '{"status": "packed"}',
        '{"total": 5, "status": "packed"}',
        '{"status": null}',
        '{"error": "busy"}',
        "Error: busy",
        "packed",
    ],
)
def test_another_look_that_tells_nothing_else_is_no_contradiction(content: str) -> None:
    assert apply_rules(seen_again(content), MINI_RETAIL).rejected_by is None


@pytest.mark.parametrize(
    ("answer", "rule"), [("{}", None), ('{"error": "no"}', "observations_agree")]
)
def test_what_may_have_changed_may_be_told_in_another_way(answer: str, rule: str | None) -> None:
    cancel = call('{"order_id": "W1234"}', "cancel_order", "c2")
    done = Message("tool", answer, tool_call_id="c2")
    look = seen_again('{"status": "cancelled"}')
    messages = [*look[:3], cancel, done, *look[3:]]
    assert apply_rules(messages, MINI_RETAIL).rejected_by == rule


def test_a_sound_conversation_passes_as_it_is() -> None:
    assert apply_rules(SOUND, MINI_RETAIL) == Verdict(SOUND)
    # The system message is the environment's, and no part of what was simulated.
    assert apply_rules([saying("system", "Be kind."), *SOUND], MINI_RETAIL) == Verdict(SOUND)


def test_calls_side_by_side_may_be_answered_in_any_order() -> None:
    seen = [Message("tool", "{}", tool_call_id=call_id) for call_id in ("c1", "c0")]
    assert apply_rules([ASK, TWO_CALLS, *seen, REPLY], MINI_RETAIL).rejected_by is None


def test_a_last_word_that_nobody_answered_is_cut_off_and_that_is_recorded() -> None:
    verdict = apply_rules([*SOUND, saying("user", "Thanks.")], MINI_RETAIL)
    cut = Repair("proper_end", "cut off the user's last word, which nobody answered")
    assert verdict == Verdict(SOUND, repairs=[cut])


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
        '"{\\"order_id\\": \\"W1234\\"}"',
        '{"order_id": "W1234"}}',
    ],
)
def test_a_slip_in_the_arguments_is_repaired_and_that_is_recorded(slip: str) -> None:
    verdict = apply_rules([ASK, call(slip), SEEN, REPLY], MINI_RETAIL)
    mending = Repair("arguments_are_json", "turn 1: mended the JSON of the arguments of get_order")
    assert verdict.repairs == [mending]
    assert verdict.rejected_by is None
    (mended,) = verdict.messages[1].tool_calls or ()
    assert json.loads(mended.function.arguments) == {"order_id": "W1234"}


@settings(max_examples=150, deadline=None, database=None)
@given(st.text(alphabet="{}[]\":,'\\ \nabt01.-") | st.text())
def test_arguments_are_never_mended_to_none(text: str) -> None:
    verdict = apply_rules([ASK, call(text), SEEN, REPLY], MINI_RETAIL)
    (after,) = verdict.messages[1].tool_calls or ()
    if "arguments_are_json" in {repair.rule for repair in verdict.repairs}:
        assert json.loads(after.function.arguments) != {}
        assert isinstance(json.loads(after.function.arguments), dict)
    else:
        assert after.function.arguments == text


def test_the_real_conversations_pass_unless_they_were_cut_off(airline_seeds: Path) -> None:
    seeds = load_seeds(airline_seeds)
    verdicts = {seed.id: apply_rules(seed.messages, AIRLINE) for seed in seeds}
    rejected = {at: verdict for at, verdict in verdicts.items() if verdict.rejected_by}
    assert Counter(verdict.rejected_by for verdict in rejected.values()) == {
        # Two of the 69 failed ones ran into tau-bench's limit of 30 steps: one message of the
        # user and 30 times agent and answer, the last an observation that nobody took up.
        "proper_end": 2,
        # In two the agent made `credit_card_5634230` of a gift card's id; the tool refused it.
        "ids_were_seen": 2,
    }
    for verdict in rejected.values():
        assert len(verdict.messages) == 61 or "credit_card_5634230" in (verdict.reason or "")
    assert not any(verdict.repairs for verdict in verdicts.values())


def test_what_is_told_from_real_conversations_passes_as_they_do(airline_seeds: Path) -> None:
    for seed in successful(load_seeds(airline_seeds)):
        before = apply_rules(seed.messages, AIRLINE).rejected_by
        for draw in range(8):
            told = retell(seed.messages, draw, scripted_world=False)
            assert apply_rules(told, AIRLINE).rejected_by == before


def test_the_seeds_of_the_library_and_what_is_told_from_them_pass() -> None:
    for seed in load_seeds(MINI_RETAIL.seeds_file or Path()):
        for draw in range(20):
            told = retell(seed.messages, draw, scripted_world=True)
            assert apply_rules(told, MINI_RETAIL) == Verdict(told)
        assert apply_rules(seed.messages, MINI_RETAIL) == Verdict(seed.messages)


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
    return [
        (m.role, m.content, [(c.function.name, json_value(c)) for c in m.tool_calls or ()])
        for m in messages
    ]


def json_value(call: ToolCall) -> object:
    try:
        return json.loads(call.function.arguments)
    except ValueError:
        return call.function.arguments


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
@given(st.data(), st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='"\\'))
def test_a_fingerprint_sees_one_character_of_any_text(data: st.DataObject, more: str) -> None:
    at = data.draw(st.integers(0, len(SOUND) - 1))
    message = SOUND[at]
    if message.tool_calls:
        changed = call(message.tool_calls[0].function.arguments.replace("W", f"W{more}"))
    else:
        changed = msgspec.structs.replace(message, content=(message.content or "") + more)
    assert fingerprint([*SOUND[:at], changed, *SOUND[at + 1 :]]) != fingerprint(SOUND)


def test_a_fingerprint_sees_arguments_as_json_and_not_as_text() -> None:
    spaced = call('{ "b": [1, 2],\n"a": "W1" }')
    assert fingerprint([spaced]) == fingerprint([call('{"a":"W1","b":[1,2]}')])
    assert fingerprint([spaced]) != fingerprint([call('{"a":"W1","b":[2,1]}')])
    assert fingerprint([call("{")]) != fingerprint([call("{ ")])


def test_a_fingerprint_is_taken_of_whatever_there_is() -> None:
    deep = '{"a":' * 100_000
    assert fingerprint([saying("user", "\ud83d"), call(deep)]) != fingerprint([call(deep)])


DESK = Environment(
    "desk",
    "Be kind.",
    [
        {
            "function": {
                "name": "put",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "count": {"type": "integer"},
                        "price": {"type": ["number", "null"]},
                        "note": {"type": "string"},
                        "sure": {"type": "boolean"},
                        "tags": {"type": "array", "items": {"type": "string"}},
                        "place": {"$ref": "#/$defs/place"},
                    },
                    "required": ["note"],
                    "additionalProperties": False,
                    "$defs": {
                        "place": {"type": "object", "properties": {"shelf": {"type": "integer"}}}
                    },
                },
            }
        }
    ],
)


def after_put(arguments: dict[str, object]) -> tuple[Verdict, dict[str, object]]:
    """The verdict on a call with these arguments, and the arguments that it leaves."""
    verdict = apply_rules(asking(json.dumps({"note": "x", **arguments}), "put"), DESK)
    (left,) = verdict.messages[1].tool_calls or ()
    return verdict, json.loads(left.function.arguments)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"count": "3"}, {"count": 3}),
        ({"price": "3.50"}, {"price": 3.5}),
        ({"note": 3}, {"note": "3"}),
        ({"sure": "true"}, {"sure": True}),
        ({"tags": '["a", "b"]'}, {"tags": ["a", "b"]}),
        ({"tags": [1, "b"]}, {"tags": ["1", "b"]}),
        ({"place": '{"shelf": "4"}'}, {"place": {"shelf": 4}}),
        ({"count": None}, {}),
    ],
)
def test_a_value_in_another_spelling_is_put_into_its_type(
    written: dict[str, object], meant: dict[str, object]
) -> None:
    verdict, left = after_put(written)
    assert (verdict.rejected_by, left) == (None, {"note": "x", **meant})
    (repair,) = verdict.repairs
    (key,) = written
    assert repair.rule == "arguments_fit_schema"
    assert key in repair.reason


@pytest.mark.parametrize(
    "written",
    [
        {"count": "three"},
        {"count": "3 bags"},
        {"count": "03"},
        {"count": "3.5"},
        {"count": 3.5},
        {"count": True},
        {"note": None},
        {"note": 3.5},
        {"sure": "yes"},
        {"sure": 1},
        {"tags": "a"},
        {"tags": "3"},
        {"place": "[1]"},
    ],
)
def test_what_would_be_a_guess_is_not_put_into_its_type(written: dict[str, object]) -> None:
    verdict, left = after_put(written)
    assert verdict.rejected_by == "arguments_fit_schema"
    assert left == {"note": "x", **written}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text("1.0ae", max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("sh"), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=120, deadline=None, database=None)
@given(
    st.dictionaries(
        st.sampled_from(["count", "price", "note", "sure", "tags", "place", "other"]),
        JSON | JSON.map(json.dumps),
    )
)
def test_what_is_kept_fits_the_schema(arguments: dict[str, object]) -> None:
    verdict, left = after_put(arguments)
    if verdict.rejected_by is None:
        DESK.validators["put"].validate(left)


@pytest.mark.parametrize(
    "name", ["getOrder", "GET_ORDER", "get-order", "functions.get_order", "shop/get_order"]
)
def test_another_spelling_of_a_tool_is_put_right(name: str) -> None:
    verdict = apply_rules(asking('{"order_id": "W1234"}', name), MINI_RETAIL)
    assert verdict == Verdict(SOUND, [Repair("known_tools", f"turn 1: {name} is get_order")])


def test_a_spelling_that_two_tools_share_is_not_put_right() -> None:
    twin = {"function": {"name": "getOrder", "parameters": {"type": "object"}}}
    verdict = apply_rules(asking("{}", "get-order"), MINI_RETAIL.with_tools([twin]))
    assert verdict.rejected_by == "known_tools"


@pytest.mark.parametrize("answered", [None, "", "unheard of"])
def test_ids_that_are_lost_are_numbered_by_order(answered: str | None) -> None:
    seen = msgspec.structs.replace(SEEN, tool_call_id=answered)
    verdict = apply_rules([ASK, CALL, seen, REPLY], MINI_RETAIL)
    assert (verdict.messages, verdict.rejected_by) == (SOUND, None)
    assert [repair.rule for repair in verdict.repairs] == ["calls_are_answered"]


def test_ids_that_are_doubled_are_numbered_by_order() -> None:
    first, second = TWO_CALLS.tool_calls or ()
    same = [first, msgspec.structs.replace(second, id=first.id)]
    messages = [ASK, msgspec.structs.replace(TWO_CALLS, tool_calls=same), SEEN, SEEN, REPLY]
    after = apply_rules(messages, MINI_RETAIL).messages
    assert [call.id for call in after[1].tool_calls or ()] == ["call_1_0", "call_1_1"]
    assert [message.tool_call_id for message in after[2:4]] == ["call_1_0", "call_1_1"]


THINKING = [
    ASK,
    msgspec.structs.replace(CALL, content="<think>I look.</think>", reasoning_content="I look."),
    SEEN,
    REPLY,
]


@pytest.mark.parametrize(
    ("think", "before_call", "in_reply"),
    [
        ("keep", "<think>I look.</think>", REPLY.content),
        ("calls", "<think>I look.</think>", "It is packed."),
        ("strip", None, "It is packed."),
    ],
)
def test_of_thoughts_those_stay_that_are_wanted(
    think: str, before_call: str | None, in_reply: str
) -> None:
    wanted = msgspec.convert({"think": think}, RuleSettings)
    verdict = apply_rules(THINKING, MINI_RETAIL, wanted)
    assert [verdict.messages[at].content for at in (1, 3)] == [before_call, in_reply]
    assert (verdict.messages[1].reasoning_content is None) == (think == "strip")
    assert {repair.rule for repair in verdict.repairs} == (
        set() if think == "keep" else {"think_tags"}
    )


def test_what_only_thinks_is_empty_once_its_thought_is_gone() -> None:
    messages = [*SOUND[:3], msgspec.structs.replace(REPLY, content=None, reasoning_content="Hm.")]
    verdict = apply_rules(messages, MINI_RETAIL, RuleSettings(think="strip"))
    assert verdict.rejected_by == "no_empty_turns"


SLIPS = st.sampled_from(
    [
        *["", "{", "{}", "null", '{"order_id": "W1234"', "{'order_id': 'W1'}"],
        *['{"order_id": 1234}', '{"order_id": "XXXX"}', "{'order_id': '\\u003cseed\\u003e'}"],
        '"{\\"order_id\\": \\"W1\\"}"',
    ]
)
SAID = st.sampled_from(["W1234", "<think>a</think>", "<think>a</think>b", "{{id}}", "\ud83d", "\0"])
ANY_CALL = st.builds(
    call,
    SLIPS | st.text(),
    st.sampled_from(["get_order", "getOrder", "x.cancel-order"]) | st.text(),
    st.sampled_from(["", "c0", "c1"]),
)
ANY_TURN = ANY_CALL | st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    st.none() | SAID | st.text(),
    tool_call_id=st.sampled_from([None, "", "c0", "c1"]),
)
ROUND = st.tuples(ANY_CALL, st.builds(Message, st.just("tool"), SAID | st.text()))
LIKELY = st.builds(lambda rounds, last: [ASK, *sum(rounds, ()), *last], st.lists(ROUND, max_size=3),
                   st.sampled_from([[REPLY], [REPLY, ASK], [REPLY, ASK, ASK]]))  # fmt: skip


@settings(max_examples=300, deadline=None, database=None)
@given(LIKELY | st.lists(ANY_TURN, max_size=6), st.sampled_from(["keep", "calls", "strip"]))
def test_whatever_comes_gets_a_verdict_and_what_is_kept_needs_no_repair(
    messages: list[Message], think: str
) -> None:
    wanted = msgspec.convert({"think": think}, RuleSettings)
    verdict = apply_rules(messages, MINI_RETAIL, wanted)
    assert (verdict.reason is None) == (verdict.rejected_by is None)
    json.dumps([verdict.reason, *[repair.reason for repair in verdict.repairs]]).encode()
    (verdict.reason or "").encode()
    if verdict.rejected_by is None:
        assert apply_rules(verdict.messages, MINI_RETAIL, wanted) == Verdict(verdict.messages)


FILLERS = ["a", "<", "{", "[", "#", "_", '"', "1", "{{", "<think>", "< ", "[A_", "answer ", "{'"]


@pytest.mark.parametrize("filler", FILLERS)
@pytest.mark.parametrize("place", ["said", "called", "observed"])
def test_a_megabyte_of_anything_is_judged_in_bounded_time(filler: str, place: str) -> None:
    text = filler * (1_000_000 // len(filler))
    arguments = json.dumps({"order_id": text if place == "called" else "W1234"})
    seen = text if place == "observed" else "{}"
    said = text if place == "said" else "It is packed."
    messages = [
        ASK,
        call(arguments),
        Message("tool", seen, tool_call_id="c0"),
        saying("assistant", said),
    ]
    assert apply_rules(messages, MINI_RETAIL).rejected_by == "not_too_long"
    started = time.process_time()
    apply_rules(messages, MINI_RETAIL, RuleSettings(max_characters=10_000_000))
    assert time.process_time() - started < 5


@pytest.mark.parametrize("slip", ['{"a":', "[", "{", "{'", '{"', '"', "'"])
def test_broken_json_of_any_depth_is_judged_in_bounded_time(slip: str) -> None:
    started = time.process_time()
    verdict = apply_rules(asking(slip * (80_000 // len(slip))), MINI_RETAIL)
    assert verdict.rejected_by == "arguments_are_json"
    assert time.process_time() - started < 2


def test_deep_json_gets_a_verdict() -> None:
    deep = '{"a":' * 900 + "1" + "}" * 900
    assert apply_rules(asking(deep), MINI_RETAIL).rejected_by == "arguments_fit_schema"
    assert apply_rules(seen_again(deep), MINI_RETAIL).rejected_by is None
    shallow = '{"a":' * 200 + "1" + "}" * 200
    looks = [*seen_again(shallow)[:5], *seen_again(shallow.replace("1", "2"))[3:]]
    assert apply_rules(looks, MINI_RETAIL).rejected_by == "observations_agree"
