"""Defects of every kind, planted in real conversations: each is caught by its own rule.

A kind plants one defect at a random place, the same for the same draw, or finds no place for it.
What a rule may repair must come out as it was before the defect.
"""

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from simia_async.environments import load_environment, load_seeds
from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.simulation.prompts import WORDS
from simia_async.synthesis.rules import RULES, Verdict, apply_rules

AIRLINE = load_environment("airline")
SCHEMAS = {tool["function"]["name"]: tool["function"]["parameters"] for tool in AIRLINE.tools}
DRAWS = 4

Messages = list[Message]
Plant = Callable[[random.Random, Messages], Messages | None]


@dataclass
class Kind:
    name: str
    rule: str
    plant: Plant


KINDS: list[Kind] = []


def kind(name: str, rule: str) -> Callable[[Plant], Plant]:
    def enter(plant: Plant) -> Plant:
        KINDS.append(Kind(name, rule, plant))
        return plant

    return enter


def replaced(messages: Messages, at: int, **fields: Any) -> Messages:
    return [*messages[:at], msgspec.structs.replace(messages[at], **fields), *messages[at + 1 :]]


def draw(rng: random.Random, places: list[Any]) -> Any:
    return rng.choice(places) if places else None


def turns(messages: Messages, *roles: str) -> list[int]:
    return [at for at, message in enumerate(messages) if message.role in roles]


def spoken(messages: Messages) -> list[int]:
    """Where user or agent say something."""
    return [at for at in turns(messages, "user", "assistant") if not messages[at].tool_calls]


def call_at(messages: Messages, at: int) -> ToolCall:
    """The only call of a turn; in these conversations no turn has two."""
    (call,) = messages[at].tool_calls or ()
    return call


def calls(messages: Messages) -> list[int]:
    return [at for at, message in enumerate(messages) if message.tool_calls]


def arguments_at(messages: Messages, at: int) -> dict[str, Any]:
    arguments: dict[str, Any] = json.loads(call_at(messages, at).function.arguments)
    return arguments


def calling(
    messages: Messages, at: int, name: str | None = None, arguments: Any = None
) -> Messages:
    """With another name or other arguments, given as text or as a value."""
    call = call_at(messages, at)
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    function = FunctionCall(
        name or call.function.name, call.function.arguments if arguments is None else text
    )
    return replaced(messages, at, tool_calls=[msgspec.structs.replace(call, function=function)])


def full(messages: Messages) -> list[int]:
    """Where a call has arguments."""
    return [at for at in calls(messages) if arguments_at(messages, at)]


# Arguments ----------------------------------------------------------------------------------------


@kind("broken JSON of arguments", "arguments_are_json")
def break_json(rng: random.Random, messages: Messages) -> Messages | None:
    at = draw(rng, full(messages))
    if at is None:
        return None
    value = arguments_at(messages, at)
    text = json.dumps(value)
    slips = [text[:-1], text[:-1] + ",}", f"```json\n{text}\n```", json.dumps(text), text + "}"]
    slips += [re.sub(r'"(\w+)":', r"\1:", text)]
    if "'" not in text:
        slips += [repr(value)]
    if ', "' in text:
        slips += [text.replace(', "', ' "', 1)]
    return calling(messages, at, arguments=rng.choice(slips))


@kind("arguments cut off", "arguments_are_json")
def cut_arguments(rng: random.Random, messages: Messages) -> Messages | None:
    at = draw(rng, full(messages))
    if at is None:
        return None
    text = call_at(messages, at).function.arguments
    return calling(messages, at, arguments=text[: rng.randrange(1, len(text))])


@kind("arguments without text", "arguments_are_json")
def remove_arguments(rng: random.Random, messages: Messages) -> Messages | None:
    at = draw(rng, full(messages))
    empty = rng.choice(["", " ", "null", '""', "[]", "None"])
    return None if at is None else calling(messages, at, arguments=empty)


@kind("arguments emptied", "arguments_fit_schema")
def empty_arguments(rng: random.Random, messages: Messages) -> Messages | None:
    at = draw(rng, full(messages))
    return None if at is None else calling(messages, at, arguments={})


@kind("required argument missing", "arguments_fit_schema")
def forget_argument(rng: random.Random, messages: Messages) -> Messages | None:
    at = draw(rng, full(messages))
    if at is None:
        return None
    value = arguments_at(messages, at)
    del value[rng.choice(SCHEMAS[call_at(messages, at).function.name]["required"])]
    return calling(messages, at, arguments=value)


@kind("undeclared argument", "arguments_fit_schema")
def add_argument(rng: random.Random, messages: Messages) -> Messages | None:
    at = draw(rng, calls(messages))
    if at is None:
        return None
    more = rng.choice([{"reason": "asked for"}, {"limit": 5}, {"confirmed": True}])
    return calling(messages, at, arguments={**arguments_at(messages, at), **more})


@kind("argument of a wrong type", "arguments_fit_schema")
def mistype_argument(rng: random.Random, messages: Messages) -> Messages | None:
    at = draw(rng, full(messages))
    if at is None:
        return None
    value = arguments_at(messages, at)
    key = rng.choice(list(value))
    wrong = [None, True, {"value": value[key]}, 1.5]
    value[key] = rng.choice(wrong if isinstance(value[key], list) else [*wrong, [value[key]]])
    return calling(messages, at, arguments=value)


@kind("argument spelt in another type", "arguments_fit_schema")
def respell_argument(rng: random.Random, messages: Messages) -> Messages | None:
    places = [
        (at, key)
        for at in calls(messages)
        for key, value in arguments_at(messages, at).items()
        if isinstance(value, int | list)
    ]
    if not places:
        return None
    at, key = rng.choice(places)
    value = arguments_at(messages, at)
    return calling(messages, at, arguments={**value, key: json.dumps(value[key])})


# Tools --------------------------------------------------------------------------------------------


@kind("unknown tool", "known_tools")
def misname_tool(rng: random.Random, messages: Messages) -> Messages | None:
    at = draw(rng, calls(messages))
    if at is None:
        return None
    name = call_at(messages, at).function.name
    wrong = [name[:-1], f"{name}s", f"{name}_v2", "lookup", name.replace("_", "__x"), name + "я"]
    return calling(messages, at, name=rng.choice([other for other in wrong if other != name]))


@kind("tool in another spelling", "known_tools")
def respell_tool(rng: random.Random, messages: Messages) -> Messages | None:
    at = draw(rng, calls(messages))
    if at is None:
        return None
    name = call_at(messages, at).function.name
    camel = re.sub(r"_(\w)", lambda found: found[1].upper(), name)
    spellings = [f"functions.{name}", name.upper(), f"airline/{name}", f"tools:{camel}"]
    spellings += [name.replace("_", "-"), camel] if "_" in name else []
    return calling(messages, at, name=rng.choice(spellings))


# Calls and their observations ---------------------------------------------------------------------


@kind("observation dropped", "calls_are_answered")
def drop_observation(rng: random.Random, messages: Messages) -> Messages | None:
    at = draw(rng, turns(messages[:-1], "tool"))
    return None if at is None else [*messages[:at], *messages[at + 1 :]]


@kind("call dropped", "calls_are_answered")
def drop_call(rng: random.Random, messages: Messages) -> Messages | None:
    at = draw(rng, calls(messages[:-2]))
    return None if at is None else [*messages[:at], *messages[at + 1 :]]


@kind("observation doubled", "calls_are_answered")
def double_observation(rng: random.Random, messages: Messages) -> Messages | None:
    at = draw(rng, turns(messages[:-1], "tool"))
    return None if at is None else [*messages[: at + 1], *messages[at:]]


@kind("observation in another place", "calls_are_answered")
def move_observation(rng: random.Random, messages: Messages) -> Messages | None:
    at = draw(rng, turns(messages[:-2], "tool"))
    if at is None:
        return None
    to = rng.randrange(at + 1, len(messages) - 1)
    return [*messages[:at], *messages[at + 1 : to + 1], messages[at], *messages[to + 1 :]]


@kind("observation of another call", "calls_are_answered")
def mix_observations_up(rng: random.Random, messages: Messages) -> Messages | None:
    at = draw(rng, turns(messages, "tool"))
    if at is None:
        return None
    ids = {call_at(messages, place).id for place in calls(messages)}
    other = draw(rng, sorted(ids - {messages[at].tool_call_id}))
    return None if other is None else replaced(messages, at, tool_call_id=other)


@kind("ids of calls lost", "calls_are_answered")
def lose_ids(rng: random.Random, messages: Messages) -> Messages | None:
    at = draw(rng, turns(messages, "tool"))
    if at is None:
        return None
    if rng.random() < 0.5:
        return replaced(messages, at, tool_call_id=rng.choice([None, "", "call_unheard_of"]))
    lost = msgspec.structs.replace(call_at(messages, at - 1), id="")
    return replaced(replaced(messages, at - 1, tool_calls=[lost]), at, tool_call_id="")


# Turns --------------------------------------------------------------------------------------------


@kind("role swapped", "role_order")
def swap_role(rng: random.Random, messages: Messages) -> Messages | None:
    at = rng.choice(spoken(messages))
    swapped = {"user": "assistant", "assistant": "user"}[messages[at].role]
    return replaced(messages, at, role=swapped)


@kind("two turns of one side in a row", "role_order")
def double_turn(rng: random.Random, messages: Messages) -> Messages | None:
    at = rng.choice(spoken(messages))
    again = msgspec.structs.replace(messages[at], content="One more thing before you go on.")
    return [*messages[: at + 1], again, *messages[at + 1 :]]


@kind("empty turn", "no_empty_turns")
def empty_turn(rng: random.Random, messages: Messages) -> Messages | None:
    empty = rng.choice([None, "", " \n\t", "\u200b"])
    return replaced(messages, rng.choice(spoken(messages)), content=empty)


@kind("end cut off", "proper_end")
def cut_end(rng: random.Random, messages: Messages) -> Messages | None:
    at = draw(rng, calls(messages) + turns(messages[:-1], "tool"))
    return None if at is None else messages[: at + 1]


@kind("too long", "not_too_long")
def make_too_long(rng: random.Random, messages: Messages) -> Messages | None:
    at = rng.choice(spoken(messages))
    content = messages[at].content or ""
    return replaced(messages, at, content=content * (100_000 // len(content) + 1))


# Text ---------------------------------------------------------------------------------------------


def said_in(rng: random.Random, messages: Messages, at: int, more: str) -> Messages:
    """With `more` between two words of a turn."""
    words = (messages[at].content or "").split(" ")
    place = rng.randrange(len(words) + 1)
    return replaced(messages, at, content=" ".join([*words[:place], more, *words[place:]]))


@kind("think tag that is not closed", "think_tags")
def leave_thought_open(rng: random.Random, messages: Messages) -> Messages | None:
    at = rng.choice(turns(messages, "assistant"))
    opened = rng.choice(["<think>", "</think>", "<think>First.<think>Then.</think>", "<Think>"])
    return replaced(messages, at, content=f"{opened}Let me see. {messages[at].content or ''}")


@kind("think tag in a wrong place", "think_tags")
def misplace_thought(rng: random.Random, messages: Messages) -> Messages | None:
    thought = "<think>The fare rules come first.</think>"
    if rng.random() < 0.5:
        at = rng.choice(turns(messages, "user", "tool"))
        return said_in(rng, messages, at, thought)
    at = rng.choice([at for at in spoken(messages) if messages[at].role == "assistant"])
    return replaced(messages, at, content=f"{messages[at].content} {thought}")


TAGS = ["<environment>", "</tools>", "<seed>", "<state>", "</task>", "<history>", "\\u003cseed>"]
TAGS += ["###STOP###", "## STOP", "<|im_end|>", "<|eot_id|>", "[/INST]", "<tool_call>"]


@kind("leaked tag", "no_leaked_prompt")
def leak_tag(rng: random.Random, messages: Messages) -> Messages | None:
    return said_in(rng, messages, rng.randrange(len(messages)), rng.choice(TAGS))


SENTENCES = [
    sentence
    for words in WORDS.values()
    for sentence in re.split(r"(?<=\.) ", words)
    if len(sentence) > 40
]


@kind("leaked sentence of a prompt", "no_leaked_prompt")
def leak_sentence(rng: random.Random, messages: Messages) -> Messages | None:
    return said_in(rng, messages, rng.randrange(len(messages)), rng.choice(SENTENCES))


TALK = [
    "In this simulation the user is called Mia.",
    "As the simulated user, I would now agree.",
    "I am simulating the response of the API.",
    "The seed conversation has another date.",
    "I will respond with valid JSON.",
    "Here is the conversation:",
    "I will now play the user.",
    "This is a role-play, so no harm is done.",
    "The system prompt forbids that.",
]


@kind("talk about simulating", "no_leaked_prompt")
def talk_about_it(rng: random.Random, messages: Messages) -> Messages | None:
    return said_in(rng, messages, rng.choice(spoken(messages)), rng.choice(TALK))


# Ids ----------------------------------------------------------------------------------------------

Path_ = tuple[Any, ...]


def paths(value: Any, at: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Every value that is no object or list, and the keys that lead there."""
    parts = value.items() if isinstance(value, dict) else None
    if isinstance(value, list):
        parts = enumerate(value)
    if parts is None:
        yield at, value
    for key, part in parts or ():
        yield from paths(part, (*at, key))


def with_value(value: Any, path: Path_, new: Any) -> Any:
    if not path:
        return new
    changed = value.copy()
    changed[path[0]] = with_value(value[path[0]], path[1:], new)
    return changed


def ids(value: Any) -> list[tuple[Path_, str]]:
    return [
        (path, part)
        for path, part in paths(value)
        if path and str(path[-1]).endswith(("_id", "_number")) and re.search(r"\d", str(part))
    ]


def ids_in_calls(messages: Messages) -> list[tuple[int, Path_, str]]:
    found = [(at, ids(arguments_at(messages, at))) for at in calls(messages)]
    return [(at, path, part) for at, parts in found for path, part in parts]


PLACEHOLDERS = "<order_id> [ORDER_ID] {{user_id}} {user_id} USER_ID_HERE your_user_id".split()
PLACEHOLDERS += "example_id XXXX user_123456 112233 1234567890 000000 ABC123".split()
UNTOLD = ["TBD", "unknown", "N/A", "placeholder", "<your reservation id>", "[Your Id]"]


@kind("placeholder in a call", "no_placeholders")
def call_with_placeholder(rng: random.Random, messages: Messages) -> Messages | None:
    place = draw(rng, ids_in_calls(messages))
    if place is None:
        return None
    at, path, _ = place
    new = with_value(arguments_at(messages, at), path, rng.choice([*PLACEHOLDERS, *UNTOLD]))
    return calling(messages, at, arguments=new)


@kind("placeholder in an observation", "no_placeholders")
def observe_placeholder(rng: random.Random, messages: Messages) -> Messages | None:
    found = [
        (at, observed, path)
        for at in turns(messages, "tool")
        if isinstance(observed := decoded(messages[at].content), dict | list)
        for path, _ in ids(observed)
    ]
    if not found:
        return None
    at, observed, path = rng.choice(found)
    new = with_value(observed, path, rng.choice(PLACEHOLDERS))
    return replaced(messages, at, content=json.dumps(new))


@kind("placeholder in what the agent says", "no_placeholders")
def say_placeholder(rng: random.Random, messages: Messages) -> Messages | None:
    at = rng.choice([at for at in spoken(messages) if messages[at].role == "assistant"])
    said = ["<reservation_id>", "[RESERVATION_ID]", "{{name}}", "[Your Name]", "{amount}"]
    said += ["RESERVATION_ID_HERE", "your_user_id", "XXXXXX", "[insert date]", "<insert amount>"]
    return said_in(rng, messages, at, rng.choice(said))


@kind("id that nobody told", "ids_were_seen")
def invent_id(rng: random.Random, messages: Messages) -> Messages | None:
    place = draw(rng, ids_in_calls(messages))
    if place is None:
        return None
    at, path, old = place
    told = str(messages[:at])
    while (new := reshuffled(rng, old)) in told:
        pass
    return calling(messages, at, arguments=with_value(arguments_at(messages, at), path, new))


def reshuffled(rng: random.Random, old: str) -> str:
    """Another id of the same shape."""
    return re.sub(r"\d", lambda _: str(rng.randrange(10)), old)


def decoded(text: str | None) -> Any:
    try:
        return json.loads(text or "")
    except json.JSONDecodeError:
        return None


READS = ("get_", "search_", "list_", "calculate")


@kind("observation that contradicts an earlier one", "observations_agree")
def contradict(rng: random.Random, messages: Messages) -> Messages | None:
    reads = [at for at in calls(messages[:-1]) if reads_only(messages, at)]
    reads = [at for at in reads if changes_of(decoded(messages[at + 1].content))]
    at = draw(rng, reads)
    if at is None:
        return None
    observed = decoded(messages[at + 1].content)
    path, old = rng.choice(changes_of(observed))
    changed = with_value(observed, path, old + 1 if isinstance(old, int | float) else f"{old}x")
    again = msgspec.structs.replace(messages[at + 1], content=json.dumps(changed))
    behind = rng.choice(unchanged_after(messages, at))
    return [*messages[: behind + 1], messages[at], again, *messages[behind + 1 :]]


def reads_only(messages: Messages, at: int) -> bool:
    return call_at(messages, at).function.name.startswith(READS)


def changes_of(observed: Any) -> list[tuple[Path_, Any]]:
    """Values that a second look may not find changed; times and dates may move on."""
    return [
        (path, part)
        for path, part in paths(observed)
        if isinstance(part, str | int | float)
        and not isinstance(part, bool)
        and not re.search("time|date", "".join(map(str, path)))
    ]


def unchanged_after(messages: Messages, at: int) -> list[int]:
    """Observations from the call `at` on, up to the next call that may change something."""
    places = [at + 1]
    for place in calls(messages):
        if place > at:
            if not reads_only(messages, place):
                break
            places.append(place + 1)
    return places


# The proof ----------------------------------------------------------------------------------------


@cache
def sound_conversations(path: Path) -> list[tuple[str, Messages]]:
    seeds = [(seed.id, seed.messages) for seed in load_seeds(path)]
    return [(name, told) for name, told in seeds if apply_rules(told, AIRLINE).rejected_by is None]


def told(messages: Messages) -> list[Any]:
    """What is said, called and observed; ids of calls and the spelling of JSON do not count."""
    return [
        (
            message.role,
            message.content,
            [
                (call.function.name, decoded(call.function.arguments))
                for call in message.tool_calls or ()
            ],
        )
        for message in messages
    ]


def is_caught(verdict: Verdict, original: Messages) -> bool:
    return verdict.rejected_by is not None or (
        bool(verdict.repairs) and told(verdict.messages) == told(original)
    )


def at_work(verdict: Verdict) -> set[str | None]:
    return {verdict.rejected_by, *(repair.rule for repair in verdict.repairs)}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_planted_defect_is_caught_by_its_own_rule(
    kind: Kind, airline_seeds: Path, record_property: Callable[[str, object], None]
) -> None:
    counts: Counter[str] = Counter()
    missed = []
    for name, messages in sound_conversations(airline_seeds):
        for number in range(DRAWS):
            planted = kind.plant(random.Random(f"{kind.name}/{name}/{number}"), messages)
            if planted is None:
                continue
            verdict = apply_rules(planted, AIRLINE)
            caught = is_caught(verdict, messages)
            counts["planted"] += 1
            counts["caught"] += caught
            counts["by its own rule"] += caught and kind.rule in at_work(verdict)
            if not caught or kind.rule not in at_work(verdict):
                missed.append((name, number, verdict.rejected_by, verdict.reason, verdict.repairs))
    print(f"{kind.name:45} {kind.rule:22} {dict(counts)}")
    for count, number in counts.items():
        record_property(count, number)
    assert counts["planted"] >= 200
    assert counts["by its own rule"] >= 0.99 * counts["planted"], missed[:5]


def test_there_are_kinds_enough_and_every_rule_but_one_has_some() -> None:
    assert len(KINDS) >= 12
    # Text that cannot be stored is no kind of defect that a real conversation comes near to.
    assert {rule.__name__ for rule in RULES} - {kind.rule for kind in KINDS} == {"storable_text"}
