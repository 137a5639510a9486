"""Near duplicates: what is found, what is not, and how far the estimate may be off."""

import json
import os
import random
import string
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simia_async.environments import load_environment, load_seeds
from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.synthesis.dedupe import (
    Duplicate,
    Duplicates,
    bands_for,
    shingles,
    sketch,
)

Messages = list[Message]


@pytest.fixture
def conversations(airline_seeds: Path) -> list[Messages]:
    """One real conversation a task, the first of four tries."""
    return [seed.messages for seed in load_seeds(airline_seeds)][:25]


def exact(a: Messages, b: Messages) -> float:
    of_a, of_b = set(shingles(a)), set(shingles(b))
    return len(of_a & of_b) / len(of_a | of_b)


def said(*texts: str) -> Messages:
    return [Message("user", text) for text in texts]


def called(arguments: str, observation: str = "{}", call_id: str = "c") -> Messages:
    call = ToolCall(call_id, FunctionCall("get_order", arguments))
    return [
        Message("assistant", tool_calls=[call]),
        Message("tool", observation, tool_call_id=call_id),
    ]


def is_near(a: Messages, b: Messages, similarity: float) -> bool:
    duplicates = Duplicates(similarity)
    duplicates.add("a", "1", sketch(a))
    return duplicates.of("2", sketch(b)) is not None


@pytest.mark.parametrize("similarity", [0.001, 0.1, 0.3, 0.5, 0.85, 0.99, 1.0])
def test_an_exact_duplicate_is_found_whatever_the_threshold(similarity: float) -> None:
    duplicates = Duplicates(similarity)
    assert duplicates.of("f", sketch(said("Hello"))) is None
    duplicates.add("seed s:1", "f", sketch(said("Hello")))
    duplicates.add("trajectory 2", "f", None)
    for sketched in (sketch(said("Hello")), None):
        assert duplicates.of("f", sketched) == Duplicate("seed s:1", 1.0, exact=True)


def test_at_one_only_exact_duplicates_count() -> None:
    duplicates = Duplicates(1.0)
    duplicates.add("a", "1", sketch(said("Hello you")))
    assert duplicates.of("2", sketch(said("hello, YOU!"))) is None


@pytest.mark.parametrize("similarity", [0.05, 0.5, 0.85, 0.99])
def test_what_differs_in_signs_only_is_alike_at_any_threshold(similarity: float) -> None:
    duplicates = Duplicates(similarity)
    duplicates.add("a", "1", sketch(said("Hello you", "I am here")))
    near = duplicates.of("2", sketch(said("hello, YOU!", "I am... here")))
    assert near == Duplicate("a", 1.0, exact=False)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (called('{"a":1,"b":[2,3]}'), called('{ "b": [2, 3],\n "a": 1 }')),
        (called("{}", '{"x": {"p": 1, "q": 2}}'), called("{}", '{"x": {"q": 2, "p": 1}}')),
        (called('{"a":"\\u00e9t\\u00e9"}'), called('{"a":"été"}')),
        (called("{}", call_id="call_1"), called("{}", call_id="call_2")),
        (said("Hi"), [Message("system", "You are kind."), *said("Hi")]),
    ],
    ids=["arguments", "observation", "escapes", "call ids", "system message"],
)
def test_what_does_not_count(one: Messages, other: Messages) -> None:
    assert sketch(one).similarity(sketch(other)) == 1.0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (called('{"a":1}'), called('{"a":2}')),
        (called("{}", '{"total": 1}'), called("{}", '{"total": 2}')),
        (called("{}"), called("{}")[:1]),
        (said("Hi"), [Message("assistant", "Hi")]),
        (said("a b"), said("a", "b")),
        (said("👍"), said("👎")),
        (said("?"), said()),
        (said("取消我的訂單"), said("取消他的訂單")),
        (called("[1"), called("[2")),
    ],
    ids=["value", "observation", "missing", "who", "turns", "signs", "empty", "chinese", "broken"],
)
def test_what_does_count_even_in_short_conversations(one: Messages, other: Messages) -> None:
    assert set(shingles(one)) != set(shingles(other))
    assert not is_near(one, other, 0.85)


def test_one_word_changed_in_chinese_or_english_leaves_a_long_text_alike() -> None:
    words = "".join(chr(0x4E00 + number) for number in range(200))
    assert is_near(said(words), said(words[:100] + "的" + words[101:]), 0.85)
    text = " ".join(f"w{number}" for number in range(200))
    assert is_near(said(text), said(text.replace("w100", "other")), 0.85)


def with_words_changed(messages: Messages, count: int, rng: random.Random) -> Messages:
    """Other words in user turns and replies."""
    spots = [
        (at, word)
        for at, message in enumerate(messages)
        if message.role != "tool"
        for word in range(len((message.content or "").split()))
    ]
    changed = list(messages)
    for at, word in rng.sample(spots, count):
        words = (changed[at].content or "").split()
        words[word] = "".join(rng.choices(string.ascii_lowercase, k=8))
        changed[at] = msgspec.structs.replace(changed[at], content=" ".join(words))
    return changed


def test_a_real_conversation_with_one_other_word_is_found(conversations: list[Messages]) -> None:
    rng = random.Random(1)
    long = [each for each in conversations if len(set(shingles(each))) > 300]
    assert len(long) > 15
    for messages in long:
        assert is_near(messages, with_words_changed(messages, 1, rng), 0.85)


def test_different_real_conversations_are_not_alike(conversations: list[Messages]) -> None:
    duplicates = Duplicates(0.7)
    for number, messages in enumerate(conversations):
        assert duplicates.of(str(number), sketch(messages)) is None
        duplicates.add(str(number), str(number), sketch(messages))


def test_the_estimate_is_right_within_its_error_on_real_pairs(
    conversations: list[Messages],
) -> None:
    rng = random.Random(2)
    pairs = [*combinations(conversations[:12], 2)]
    pairs += [
        (each, with_words_changed(each, count, rng)) for each in conversations for count in (1, 5)
    ]
    errors = [sketch(a).similarity(sketch(b)) - exact(a, b) for a, b in pairs]
    assert abs(sum(errors) / len(errors)) < 0.01
    assert max(map(abs, errors)) < 0.17  # four standard errors


WORDS = st.lists(st.sampled_from([f"w{number}" for number in range(40)]), max_size=80)


@settings(deadline=None, database=None, max_examples=150)
@given(WORDS, WORDS, st.integers(0, 80))
def test_the_estimate_is_near_the_exact_similarity_and_symmetric(
    one: list[str], other: list[str], shared: int
) -> None:
    a, b = said(" ".join(one)), said(" ".join(one[:shared] + other))
    estimate = sketch(a).similarity(sketch(b))
    assert estimate == sketch(b).similarity(sketch(a))
    assert abs(estimate - exact(a, b)) < 0.25
    assert is_near(a, b, 0.85) == is_near(b, a, 0.85)


@settings(deadline=None, database=None, max_examples=150)
@given(st.lists(st.builds(Message, st.sampled_from(["user", "tool"]), st.text(max_size=40))))
def test_any_text_has_a_sketch_and_is_alike_itself(messages: Messages) -> None:
    assert sketch(messages).similarity(sketch(list(messages))) == 1.0


@pytest.mark.parametrize("text", ["\ud800", '{"a": "\\ud800"}', "[" * 100_000, '{"a": 1e999}', ""])
def test_odd_text_has_a_sketch(text: str) -> None:
    assert sketch([Message("tool", text), *called(text)]).similarity(sketch(said("x"))) < 1


@pytest.mark.parametrize("similarity", [0.3, 0.5, 0.7, 0.85, 0.95])
def test_bands_miss_few_of_the_pairs_that_the_estimate_calls_alike(similarity: float) -> None:
    rng = random.Random(3)
    alike = found = 0
    for _ in range(150):
        shared = int(600 * 2 * similarity / (1 + similarity)) + 8
        words = [f"w{rng.randrange(10**9)}" for _ in range(1200)]
        a = sketch(said(" ".join(words[:600])))
        b = sketch(said(" ".join(words[:shared] + words[600 : 1200 - shared])))
        alike += (close := a.similarity(b) >= similarity)
        duplicates = Duplicates(similarity)
        duplicates.add("a", "1", a)
        near = duplicates.of("2", b)
        found += near is not None
        assert near is None or close
    assert alike > 30
    assert found >= 0.98 * alike


def test_of_several_the_most_similar_is_named_and_then_the_earliest() -> None:
    text = " ".join(f"w{number}" for number in range(300))
    duplicates = Duplicates(0.5)
    texts = {"far": text.replace("w5 ", "x ").replace("w80 ", "y "), "near": text, "again": text}
    for key, each in texts.items():
        duplicates.add(key, key, sketch(said(each)))
    assert duplicates.of("2", sketch(said(text.upper()))) == Duplicate("near", 1.0, exact=False)


def test_bands_adapt_to_the_threshold() -> None:
    bands = [bands_for(percent / 100) for percent in range(1, 101)]
    assert bands == sorted(bands, reverse=True)
    assert (bands[0], bands[84]) == (128, 16)


PRINT_SKETCH = """
from simia_async.messages import Message
from simia_async.synthesis.dedupe import sketch
print(sketch([Message("user", "Where is my order W1234? It is late.")]).minhash.digest())
"""


def test_a_sketch_is_the_same_in_every_process() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", PRINT_SKETCH],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    here = sketch(said("Where is my order W1234? It is late.")).minhash.digest()
    assert [json.loads(digest) for digest in digests] == [here]


def test_no_shipped_seed_is_like_another() -> None:
    seeds_file = load_environment("mini-retail").seeds_file
    assert seeds_file is not None
    duplicates = Duplicates(0.85)
    for seed in load_seeds(seeds_file):
        assert duplicates.of(seed.id, sketch(seed.messages)) is None
        duplicates.add(seed.id, seed.id, sketch(seed.messages))
