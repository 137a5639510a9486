"""The scripted author outside of scripted worlds: its re-tellings are sound, and differ."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simia_async.builtin.author import retell
from simia_async.builtin.author.phrases import COMMON, LABELS, OF_AGENTS, OF_USERS
from simia_async.environments import Seed, load_environment, load_seeds
from simia_async.environments.seeds import successful
from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.synthesis.dedupe import Duplicates, sketch
from simia_async.synthesis.rules import apply_rules, fingerprint


@pytest.fixture
def real_seeds(airline_seeds: Path) -> list[Seed]:
    return successful(load_seeds(airline_seeds))


def told(seed: list[Message], number: int, **wishes: str) -> list[Message]:
    return retell(seed, number, scripted_world=False, wishes=wishes)


def text_of(messages: list[Message]) -> str:
    calls = [call.function.arguments for m in messages for call in m.tool_calls or ()]
    return "\n".join([*(m.content or "" for m in messages), *calls])


def call(**arguments: object) -> Message:
    function = FunctionCall("get_user", json.dumps(arguments))
    return Message("assistant", tool_calls=[ToolCall("c", function)])


PROFILE = {
    "user_id": "mia_lopez_3668",
    "name": {"first_name": "Mia", "last_name": "Lopez"},
    "address": {"address1": "12 King Street", "city": "Denver", "zip": "80211"},
    "email": "mia.lopez77@example.com",
    "dob": "1992-09-13",
    "payment": {"id": "credit_card_4421486", "last_four": "4242", "balance": 1250},
    "reservations": ["HXDUBJ", "4WQ150"],
    "created_at": "2024-05-14T06:33:04",
}
CONVERSATION = [
    Message("user", "Hi, I am Mia Lopez, mia_lopez_3668, born September 13, 1992."),
    call(user_id="mia_lopez_3668"),
    Message("tool", json.dumps(PROFILE), tool_call_id="c"),
    Message(
        "assistant",
        "Mia Lopez of 12 King Street, Denver 80211 (mia.lopez77@example.com): HXDUBJ and 4WQ150 "
        "of May 14, 2024, were paid with the card ending in 4242. Your balance is $1250.",
    ),
]


@pytest.mark.parametrize("number", range(20))
def test_what_stands_in_several_places_is_renamed_in_all_of_them(number: int) -> None:
    user, _, observation, reply = told(CONVERSATION, number)[:4]
    new = json.loads(observation.content or "")
    name = f"{new['name']['first_name']} {new['name']['last_name']}"
    said = f"{user.content} {reply.content}"
    assert said.count(name) == 2
    assert new["user_id"].startswith(name.lower().replace(" ", "_") + "_")
    assert new["email"].startswith(name.lower().replace(" ", "."))
    same = [new["user_id"], new["email"], new["address"]["address1"], new["address"]["zip"]]
    for value in [*same, new["payment"]["last_four"], *new["reservations"]]:
        assert value in said
    year, _, day = map(int, new["dob"].split("-"))
    assert re.search(rf"[A-Z][a-z]+ {day}, {year}", user.content or "")


@pytest.mark.parametrize("number", range(20))
def test_nothing_replaced_is_left_or_comes_back_and_sums_stay(number: int) -> None:
    text = text_of(told(CONVERSATION, number))
    gone = r"Mia|Lopez|lopez|_3668|King|80211|4421486|4242|HXDUBJ|4WQ150|1992-09-13|May 14, 2024"
    assert re.findall(gone, text) == []
    assert "$1250" in text
    assert '"balance": 1250' in text
    assert "Denver" in text


def test_days_between_and_weekdays_stay() -> None:
    seed = [Message("user", "From May 30, 2024 to Jun 2nd, or May 30-31, so 2024-05-30?")]
    seen = set()
    for number in range(30):
        (user,) = told(seed, number)
        found = re.search(r"(\w+) (\d+), (\d{4}) to (\w{3}) (\d+)(st|nd|rd|th)", user.content or "")
        assert found is not None, user.content
        assert re.search(r"\w+ \d+(-| to \w+ )\d+, so \d{4}-\d\d-\d\d\?", user.content or "")
        seen.add(found.group())
    assert len(seen) > 10


def test_names_of_parameters_stay_and_keys_that_are_ids_do_not() -> None:
    (message,) = told([call(line_10="a", methods={"card_4421486": {"id": "card_4421486"}})], 3)
    assert message.tool_calls is not None
    arguments = json.loads(message.tool_calls[0].function.arguments)
    assert list(arguments) == ["line_10", "methods"]
    ((key, method),) = arguments["methods"].items()
    assert key == method["id"] != "card_4421486"


def test_a_name_that_is_also_a_word_or_a_place_is_left_alone() -> None:
    profile = {"first_name": "May", "last_name": "Denver", "city": "Denver"}
    seed = [Message("user", "It was in May, in Denver."), Message("tool", json.dumps(profile))]
    assert {text_of(told(seed, number)[1:]) for number in range(5)} == {json.dumps(profile)}


def test_more_people_and_births_than_there_are_names_end_all_different() -> None:
    people = [
        {
            "first_name": f"A{'abcdefghijklmnopqrst'[i // 20]}{'abcdefghijklmnopqrst'[i % 20]}",
            "last_name": "Li",
            "dob": f"19{50 + i % 40}-{1 + i // 40:02}-11",
        }
        for i in range(400)
    ]
    (observation,) = told([Message("tool", json.dumps(people))], 1)
    new = json.loads(observation.content or "")
    assert len({person["first_name"] for person in new}) == len(people)
    assert len({person["dob"] for person in new}) == len(people)


def test_the_same_arguments_give_the_same_conversation(real_seeds: list[Seed]) -> None:
    seed = real_seeds[0].messages
    assert told(seed, 5, persona="chatty") == told(seed, 5, persona="chatty")
    assert told(seed, 5, persona="chatty") != told(seed, 6, persona="chatty")


def test_a_persona_chooses_the_way_of_talking(real_seeds: list[Seed]) -> None:
    seed = real_seeds[0].messages

    def greetings(persona: str) -> set[str]:
        openings = (told(seed, number, persona=persona)[0].content or "" for number in range(40))
        return {re.split(r"[.!,]", opening)[0] for opening in openings}

    distinct = {frozenset(greetings(persona)) for persona in "abcdefghij"}
    assert 2 < len(distinct) < 10
    assert greetings("\ud800") == greetings("\ud800")


def test_other_wishes_than_the_persona_change_nothing(real_seeds: list[Seed]) -> None:
    seed = real_seeds[0].messages
    assert told(seed, 1, difficulty="hard", turns="40") == told(seed, 1)


def test_retold_real_conversations_pass_every_rule_that_the_seed_passes(
    real_seeds: list[Seed],
) -> None:
    environment = load_environment("airline")
    for seed in real_seeds:
        before = apply_rules(seed.messages, environment)
        for number in range(4):
            after = apply_rules(told(seed.messages, number), environment)
            assert after.rejected_by == before.rejected_by, (seed.id, number, after.reason)
            assert len(after.repairs) == len(before.repairs)


def test_nothing_of_a_real_customer_is_left(real_seeds: list[Seed]) -> None:
    found = 0
    for seed in real_seeds:
        text = text_of(seed.messages)
        ids = set(re.findall(r"\b(?:[a-z]+_){1,2}\d{4,}\b|\bHAT\d{3}\b", text))
        names = set(re.findall(r'"(?:first|last)_name": "(\w+)"', text))
        new = set(re.findall(r"\w+", text_of(told(seed.messages, 7))))
        assert not new & (ids | names), seed.id
        found += len(ids | names)
    assert found > 300


def test_most_retellings_of_real_conversations_are_no_near_duplicates(
    real_seeds: list[Seed],
) -> None:
    duplicates = Duplicates(0.85)
    for seed in real_seeds:
        duplicates.add(seed.id, fingerprint(seed.messages), sketch(seed.messages))
    kept = 0
    few = [seed for seed in real_seeds if len(text_of(seed.messages)) < 3_500]
    for number in range(len(few) * 65):
        messages = told(few[number % len(few)].messages, number)
        print_, sketched = fingerprint(messages), sketch(messages)
        if duplicates.of(print_, sketched) is None:
            kept += 1
            duplicates.add(str(number), print_, sketched)
    assert kept >= 0.95 * len(few) * 65


@pytest.mark.parametrize("groups", [COMMON, OF_USERS, OF_AGENTS, LABELS])
def test_phrases_of_a_group_begin_and_end_alike(groups: tuple[tuple[str, ...], ...]) -> None:
    for group in groups:
        assert len(set(group)) == len(group) > 1
        assert len({phrase[-1] in ".!?" for phrase in group}) == 1, group


TEXTS = st.text(max_size=60) | st.sampled_from([m.content or "" for m in CONVERSATION])
MESSAGES = st.builds(Message, st.sampled_from(["user", "assistant", "tool"]), TEXTS)


@settings(deadline=None, database=None, max_examples=150)
@given(st.lists(MESSAGES, max_size=6), st.integers(0, 10))
def test_whatever_the_seed_its_turns_are_told_in_order(seed: list[Message], number: int) -> None:
    messages = told(seed, number)
    assert [m.role for m in messages[: len(seed)]] == [m.role for m in seed]
    assert len(messages) in (len(seed), len(seed) + 2)
    empty = [not (m.content or "").strip() for m in seed]
    assert [not (m.content or "").strip() for m in messages[: len(seed)]] == empty
