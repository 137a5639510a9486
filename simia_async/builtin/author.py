"""The scripted author: re-tells a seed conversation with other people, ids, dates and amounts.

Rule-based. What stands in several places of the seed is replaced by the same new value in all of
them, so calls and observations stay consistent; what happens in the conversation stays the same.
"""

import random
import re
from collections.abc import Callable
from datetime import date, timedelta

import msgspec

from simia_async.builtin.templates import FIRST_NAMES, HELDOUT_MODULUS
from simia_async.messages import FunctionCall, Message, ToolCall

_DATE = re.compile(r"\b(20\d\d)-(\d\d)-(\d\d)\b")
_USER_ID = re.compile(r"\b[a-z]+(?:_[a-z]+)?_\d+\b")
_CODE = re.compile(r"#?\b(?:(?=[A-Z]*\d)(?=\d*[A-Z])[A-Z0-9]{4,}|(?=(?:\w*\d){2})[A-Za-z]\w{3,})\b")
"""Identifiers that mix letters and digits: W1234, SI5UKW, 4WQ150, card_123. Not address1."""
_NUMBER = re.compile(r"(?<![\w.])\d{2,3}(?![\w.]\d)")

_OPENINGS = ("", "", "Hi, ", "Hello, ", "Hey there, ", "Good morning, ", "Excuse me, ")
_SYNONYMS = (
    ("I'd like to", "I want to"),
    ("I want to", "I would like to"),
    ("I need to", "I have to"),
    ("please", "kindly"),
    ("Can you", "Could you"),
    ("can you", "could you"),
    ("Thanks", "Thank you"),
)


def retell(seed: list[Message], request_seed: int, *, scripted_world: bool) -> list[Message]:
    """A new conversation; the same for the same arguments.

    In a scripted world short numbers are replaced as well: nothing there is computed from them.
    Elsewhere they stay, because prices must still add up.
    """
    rng = random.Random(f"{request_seed}/{len(seed)}")
    shift = timedelta(days=rng.randrange(1, 300))
    new_names: dict[str, str] = {}

    def consistently(replace: Callable[[str], str]) -> Callable[[re.Match[str]], str]:
        def substitute(match: re.Match[str]) -> str:
            old = match.group()
            if old not in new_names:
                new = replace(old)
                while new in new_names.values():
                    new = replace(old)
                new_names[old] = new
            return new_names[old]

        return substitute

    def shifted(match: re.Match[str]) -> str:
        try:
            return (date(*map(int, match.groups())) + shift).isoformat()
        except ValueError:
            return match.group()

    new_id = consistently(lambda old: _new_id(rng, old, rename=scripted_world))
    new_number = consistently(lambda old: _number(rng, len(old)))

    def rewrite(text: str) -> str:
        # Dates go first, and out of the way of the patterns that would see numbers in them.
        dates: list[str] = []

        def set_aside(match: re.Match[str]) -> str:
            dates.append(shifted(match))
            return f"\x00{chr(0xE000 + len(dates) - 1)}\x00"

        text = _DATE.sub(set_aside, text)
        text = _CODE.sub(new_id, _USER_ID.sub(new_id, text))
        if scripted_world:
            text = _NUMBER.sub(new_number, text)
        return re.sub("\x00(.)\x00", lambda match: dates[ord(match[1]) - 0xE000], text)

    first_user = next((m for m in seed if m.role == "user"), None)
    told = []
    for message in seed:
        content = rewrite(message.content) if message.content is not None else None
        if message.role == "user" and content is not None:
            content = _reword(rng, content, opening=message is first_user)
        calls = [
            ToolCall(call.id, FunctionCall(call.function.name, rewrite(call.function.arguments)))
            for call in message.tool_calls or ()
        ]
        told.append(msgspec.structs.replace(message, content=content, tool_calls=calls or None))
    return told


def _new_id(rng: random.Random, old: str, *, rename: bool) -> str:
    """`old` with other digits and, with `rename`, another first name if it starts with one.

    Names are only changed in scripted worlds: elsewhere they stand in places that do not look
    like ids, which would then disagree.

    Its last number is one of train tasks: held-out ones are the multiples of `HELDOUT_MODULUS`.
    """
    head, digits = re.findall(r"\A(.*?)(\d*)\Z", old, flags=re.DOTALL)[0]
    head = re.sub(r"\d", lambda _: str(rng.randrange(10)), head)
    name = re.match(r"[a-z]+", head)
    if rename and name and name.group() in FIRST_NAMES:
        head = rng.choice(FIRST_NAMES) + head[name.end() :]
    if not digits:
        return head
    number = _number(rng, len(digits))
    while len(digits) > 1 and int(number) % HELDOUT_MODULUS == 0:
        number = _number(rng, len(digits))
    return head + number


def _number(rng: random.Random, digits: int) -> str:
    return str(rng.randrange(10 ** (digits - 1), 10**digits))


def _reword(rng: random.Random, text: str, *, opening: bool) -> str:
    for old, new in _SYNONYMS:
        if rng.random() < 0.5:
            text = text.replace(old, new, 1)
    if opening:
        plain = re.sub(r"^(Hi|Hello|Hey|Good morning|Excuse me)( there)?[,.!]* *", "", text)
        prefix = rng.choice(_OPENINGS)
        text = prefix + plain if prefix else plain
    return text[:1].upper() + text[1:]
