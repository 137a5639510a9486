"""Task templates of the desks, and the tasks drawn from them."""

import random
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Literal

import jsonpatch
import msgspec

from simia_async.builtin.worlds.desk import Action, Desk
from simia_async.builtin.worlds.drawing import (
    FIRST_NAMES,
    GREETINGS,
    HELDOUT_MODULUS,
    WITHDRAWALS,
    draw_number,
    instructions_for,
)
from simia_async.environments.task import Check, Scenario, Split, Task, Utterance


class Request(msgspec.Struct, frozen=True):
    """One request within a template.

    `actions` are indices into `Desk.actions`: none asks for information, one asks for that
    action, two ask for the second if the first is not possible. `allowed` says what the policy
    must say of the first. `refer` is how the user names the record: by id, as their latest one,
    or by a wrong id that they correct when asked; `unnamed` is withdrawn before it is named.
    """

    actions: tuple[int, ...] = ()
    allowed: bool = True
    refer: Literal["id", "latest", "wrong", "unnamed"] = "id"
    ask: Literal["status", "total", "attribute"] = "status"


class Template(msgspec.Struct, frozen=True):
    """A named kind of task."""

    name: str
    requests: tuple[Request, ...]


TEMPLATES: tuple[Template, ...] = (
    Template("status", (Request(),)),
    Template("total", (Request(ask="total"),)),
    Template("attribute", (Request(ask="attribute"),)),
    Template("status-of-latest", (Request(refer="latest"),)),
    Template("total-wrong-id", (Request(ask="total", refer="wrong"),)),
    Template("first", (Request((0,)),)),
    Template("first-latest", (Request((0,), refer="latest"),)),
    Template("first-wrong-id", (Request((0,), refer="wrong"),)),
    Template("second", (Request((1,)),)),
    Template("second-latest", (Request((1,), refer="latest"),)),
    Template("third", (Request((2,)),)),
    Template("third-latest", (Request((2,), refer="latest"),)),
    Template("first-refused", (Request((0,), allowed=False),)),
    Template("second-refused", (Request((1,), allowed=False),)),
    Template("third-refused", (Request((2,), allowed=False),)),
    Template("first-else-second", (Request((0, 1), allowed=False),)),
    Template("second-else-third", (Request((1, 2), allowed=False),)),
    Template("third-else-first", (Request((2, 0), allowed=False),)),
    Template("status-then-first", (Request(), Request((0,)))),
    Template("first-then-third", (Request((0,)), Request((2,)))),
)
"""What the tiny base is pre-trained on. Which are `needs_action` follows from the drawn state, not
from the name."""

WITHDRAWN = Template("withdrawn", (Request((0,), refer="unnamed"),))
"""Nothing is to be done and nothing to be said."""

ALL_TEMPLATES = (*TEMPLATES, WITHDRAWN)


def draw_task(world: Desk, template: Template, seed: int, split: Split) -> Task:
    """One task of `template`, the same for the same arguments."""
    rng = random.Random(f"{world.name}/{template.name}/{seed}/{split}")
    user_id = f"{rng.choice(FIRST_NAMES)}_{draw_number(rng, 2, split)}"
    ids = _distinct_ids(rng, world, split, count=rng.randint(3, 4))
    targets = _targets(rng, template, ids)
    records = {id_: _record(rng, world, id_) for id_ in ids}
    for request, target in zip(template.requests, targets, strict=True):
        if request.actions:
            records[target]["status"] = _status_for(rng, world, request)
    state = {
        "users": {user_id: {"user_id": user_id, world.records: ids}},
        world.records: records,
    }
    final_state = deepcopy(state)
    must_say: list[tuple[str, ...]] = []
    utterances: list[Utterance] = []
    for request, target in zip(template.requests, targets, strict=True):
        values = [attribute_value(rng, world.attribute) for _ in request.actions]
        shown = _wrong_id(rng, target, ids, split) if request.refer == "wrong" else target
        text = _say(rng, world, request, shown, user_id, values, first=not utterances)
        correction = _correct(rng, target) if request.refer == "wrong" else None
        utterances.append(Utterance(text, correction))
        if request.refer == "unnamed":
            utterances.append(Utterance(rng.choice(WITHDRAWALS)))
            continue
        said = _settle(world, request, target, values, final_state)
        if said:
            must_say.append(said)
    return Task(
        id=f"{world.name}/{split}/{template.name}/{seed}",
        environment=world.name,
        template=template.name,
        split=split,
        scenario=Scenario(instructions_for(utterances), tuple(utterances)),
        initial_state=state,
        check=Check(final_state, tuple(must_say)),
        needs_action=final_state != state,
    )


def draw_tasks(
    world: Desk,
    count: int,
    *,
    split: Split,
    seed: int = 0,
    templates: Sequence[Template] = ALL_TEMPLATES,
) -> list[Task]:
    """`count` tasks, every template in turn."""
    return [
        draw_task(world, templates[i % len(templates)], seed + i // len(templates), split)
        for i in range(count)
    ]


def _settle(
    world: Desk, request: Request, target: str, values: list[str], state: dict[str, Any]
) -> tuple[str, ...] | None:
    """Do to `state` what a perfect agent would; return what it then has to say, if anything."""
    record = state[world.records][target]
    if not request.actions:
        return (str(record[field_asked(world, request)]),)
    for index, value in zip(request.actions, values, strict=True):
        action = world.actions[index]
        if record["status"] in action.allowed:
            arguments = {world.record_id: target}
            if extra := world.extra_argument(action):
                arguments[extra] = record["payment"] if action.effect == "payment" else value
            ops = world.call(state, action.tool, arguments).ops
            jsonpatch.apply_patch(state, ops, in_place=True)
            return None
    return ("cannot", str(record["status"]))


def field_asked(world: Desk, request: Request) -> str:
    """Name of the record's field that an information request asks for."""
    return world.attribute if request.ask == "attribute" else request.ask


def _status_for(rng: random.Random, world: Desk, request: Request) -> str:
    """A status under which the first action is (or is not) allowed; with a fallback, it is."""
    first = world.actions[request.actions[0]]
    fitting = [s for s in world.statuses if (s in first.allowed) == request.allowed]
    if len(request.actions) > 1:
        second = world.actions[request.actions[1]]
        fitting = [s for s in fitting if s in second.allowed] or fitting
    return rng.choice(fitting)


def _targets(rng: random.Random, template: Template, ids: list[str]) -> list[str]:
    others = ids[:-1]
    rng.shuffle(others)
    return [ids[-1] if r.refer == "latest" else others.pop() for r in template.requests]


def _distinct_ids(rng: random.Random, world: Desk, split: Split, count: int) -> list[str]:
    ids: list[str] = []
    while len(ids) < count:
        candidate = f"{world.id_prefix}{draw_number(rng, 4, split)}"
        if candidate not in ids:
            ids.append(candidate)
    return ids


def _wrong_id(rng: random.Random, right: str, taken: list[str], split: Split) -> str:
    """An id that differs from `right` in one digit, belongs to nobody, and fits the split."""
    while True:
        at = rng.randrange(1, len(right))
        wrong = right[:at] + str(rng.randrange(10)) + right[at + 1 :]
        fits = (int(wrong[1:]) % HELDOUT_MODULUS == 0) == (split == "heldout")
        if wrong not in taken and fits and wrong[1] != "0":
            return wrong


def _record(rng: random.Random, world: Desk, record_id: str) -> dict[str, Any]:
    return {
        world.record_id: record_id,
        "status": rng.choice(world.statuses),
        world.attribute: attribute_value(rng, world.attribute),
        "payment": f"card_{rng.randrange(100, 1000)}",
        "total": rng.randrange(10, 400),
    }


def attribute_value(rng: random.Random, attribute: str) -> str:
    """A value for the attribute that a world's second kind of action changes."""
    match attribute:
        case "address":
            return f"{rng.randrange(1, 100)} King St"
        case "date":
            return f"May {rng.randrange(1, 29)}"
        case "time":
            return f"{rng.randrange(8, 20)}:{rng.choice(['00', '15', '30', '45'])}"
        case "phone":
            return f"555 {rng.randrange(1000, 10000)}"
        case "seat":
            return f"{rng.randrange(1, 41)}{rng.choice('ABCDEF')}"
        case "room":
            return f"room {rng.randrange(100, 1000)}"
        case "street":
            return f"{rng.randrange(1, 100)} {draw_name(rng)} {rng.choice(_WAYS)}"
        case "owner":
            return f"{draw_name(rng)} {draw_name(rng)}"
        case "city" | "label":
            return draw_name(rng)
    raise ValueError(f"no values are known for attribute {attribute!r}")


_WAYS = ("Lane", "Road", "Way", "Hill")
_SYLLABLES = """
    bar bel bor cor dal den dor fal fen gar gil hol hul jas kel kir lam lin lor mar mel mor nar
    nel nor ost pel quin ral ren ros sal sel sur tal tem tor ul van ver vik wen wil yor zel
""".split()


def draw_name(rng: random.Random) -> str:
    """A made-up name of two or three syllables, as `Torvikmel`: nobody knows it by heart."""
    return "".join(rng.choices(_SYLLABLES, k=rng.choice([2, 2, 3]))).capitalize()


# How the simulated user words things.

_NEXT = ("Also,", "One more thing,", "Next,", "Great.", "Ok.", "And", "Thanks.", "")
_WISHES = ("I want to", "I need to", "please", "can you", "I would like to", "could you", "help me")
_ELSE = ("If you can not,", "If that is not possible,", "Otherwise")


def _say(
    rng: random.Random,
    world: Desk,
    request: Request,
    shown: str,
    user_id: str,
    values: list[str],
    *,
    first: bool,
) -> str:
    noun = world.noun
    if request.refer == "latest":
        reference = rng.choice([f"my latest {noun}", f"my last {noun}", f"my most recent {noun}"])
        who = rng.choice([f" My user id is {user_id}.", f" I am {user_id}.", f" User {user_id}."])
    elif request.refer == "unnamed":
        reference, who = f"my {noun}", ""
    else:
        reference = rng.choice(
            [f"{noun} {shown}", f"my {noun} {shown}", shown, f"{noun} number {shown}"]
        )
        who = ""
    if request.actions:
        wording = [
            _word_action(rng, world, world.actions[index], name, value)
            for index, value, name in zip(request.actions, values, [reference, "it"], strict=False)
        ]
        body = f"{rng.choice(_WISHES)} {wording[0]}."
        if len(wording) > 1:
            body += f" {rng.choice(_ELSE)} {wording[1]}."
    else:
        asked = field_asked(world, request)
        body = rng.choice(
            [
                f"what is the {asked} of {reference}?",
                f"tell me the {asked} of {reference}.",
                f"I want to know the {asked} of {reference}.",
                f"can you check the {asked} on {reference}?",
            ]
        )
    text = f"{rng.choice(GREETINGS if first else _NEXT)} {body}{who}".strip()
    return text[0].upper() + text[1:]


def _word_action(
    rng: random.Random, world: Desk, action: Action, reference: str, value: str
) -> str:
    if action.effect == "attribute":
        return rng.choice(
            [
                f"change the {world.attribute} on {reference} to {value}",
                f"set the {world.attribute} of {reference} to {value}",
                f"update the {world.attribute} for {reference}, it should be {value}",
            ]
        )
    return rng.choice(
        [
            f"{action.verb} {reference}",
            f"have {reference} {action.result}",
            f"{action.verb} {reference} for me",
        ]
    )


def _correct(rng: random.Random, right: str) -> str:
    return rng.choice(
        [f"Sorry, it is {right}.", f"My mistake, the id is {right}.", f"Oh, I meant {right}."]
    )
