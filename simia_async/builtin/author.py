"""The scripted author: re-tells a seed conversation with other people, ids, dates and amounts.

Rule-based. What stands in several places of the seed is replaced by the same new value in all of
them, so calls and observations stay consistent; what happens in the conversation stays the same.
"""

import random
import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import msgspec

from simia_async.builtin.templates import FIRST_NAMES, HELDOUT_MODULUS
from simia_async.messages import FunctionCall, Message, ToolCall

_DATE = re.compile(r"(?<!\d)20\d\d-\d\d-\d\d(?!\d)")
_ID = re.compile(
    r"\b(?:[a-z]+(?:_[a-z]+)?_\d+"  # mia_li_3668
    r"|(?=[A-Z]*\d)(?=\d*[A-Z])[A-Z0-9]{4,}"  # W1234, SI5UKW, 4WQ150
    r"|(?=(?:\w*\d){2})[A-Za-z]\w{3,})\b"  # credit_card_4421486, but not address1
)
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

    In a scripted world names and short numbers are replaced as well: nothing there is computed
    from them. Elsewhere they stay: prices must still add up, and names stand in places that do not
    look like names.
    """
    rng = random.Random(f"{request_seed}/{len(seed)}")
    cast = _Cast(rng, scripted_world=scripted_world)
    first_user = next((m for m in seed if m.role == "user"), None)
    told = []
    for message in seed:
        content = cast.rewrite_document(message.content) if message.content else ""
        if message.role == "user":
            content = _reword(rng, content, opening=message is first_user)
        calls = [
            ToolCall(
                call.id,
                FunctionCall(call.function.name, cast.rewrite_document(call.function.arguments)),
            )
            for call in message.tool_calls or ()
        ]
        told.append(
            msgspec.structs.replace(
                message,
                content=None if message.content is None else content,
                tool_calls=calls or None,
            )
        )
    return told


class _Cast:
    """Who and what the new conversation is about: the same new value for the same old one."""

    def __init__(self, rng: random.Random, *, scripted_world: bool) -> None:
        self._rng = rng
        self._scripted_world = scripted_world
        self._shift = timedelta(days=rng.randrange(1, 300))
        self._new: dict[str, str] = {}
        self._taken: set[str] = set()

    def rewrite_document(self, text: str) -> str:
        """Rewrite text; where it is JSON, value by value, so that its escapes are left alone."""
        try:
            value = msgspec.json.decode(text, type=dict[str, Any] | list[Any])
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return self._rewrite(text)
        rewritten = msgspec.json.encode(self._rewrite_value(value))
        return msgspec.json.format(rewritten, indent=0).decode()

    def _rewrite_value(self, value: Any) -> Any:
        match value:
            case str():
                return self._rewrite(value)
            case list():
                return [self._rewrite_value(part) for part in value]
            case dict():
                # Keys may be ids, as in {"card_123": {…}}.
                return {
                    self._rewrite(key): self._rewrite_value(part) for key, part in value.items()
                }
            case int() if not isinstance(value, bool) and self._scripted_world:
                return int(self._rewrite(str(value)))
        return value

    def _rewrite(self, text: str) -> str:
        # What is no date, id or number is left as it is; dates come first, because the other
        # patterns would see numbers in them.
        pieces = _DATE.split(text)
        dates = _DATE.findall(text)
        rewritten = [self._rewrite_words(piece) for piece in pieces]
        shifted = [self._shifted(day) for day in dates]
        return "".join(a + b for a, b in zip(rewritten, [*shifted, ""], strict=True))

    def _rewrite_words(self, text: str) -> str:
        text = _ID.sub(lambda match: self._renew(match.group(), self._new_id), text)
        if self._scripted_world:
            text = _NUMBER.sub(lambda match: self._renew(match.group(), self._new_number), text)
        return text

    def _shifted(self, day: str) -> str:
        try:
            return (date.fromisoformat(day) + self._shift).isoformat()
        except ValueError:
            return day

    def _renew(self, old: str, draw: Callable[[str, int], str]) -> str:
        """The new value of `old`. Two old ones never become the same: where short numbers run
        out, longer ones are drawn.
        """
        extra_digits = 0
        while old not in self._new:
            for _ in range(50):
                new = draw(old, extra_digits)
                if new not in self._taken:
                    self._new[old] = new
                    self._taken.add(new)
                    break
            extra_digits += 1
        return self._new[old]

    def _new_id(self, old: str, extra_digits: int) -> str:
        """`old` with other digits. Its last number is one of train tasks: held-out ones are the
        multiples of `HELDOUT_MODULUS`.
        """
        head, digits = re.findall(r"\A(.*?)(\d*)\Z", old, flags=re.DOTALL)[0]
        head = re.sub(r"\d", lambda _: str(self._rng.randrange(10)), head)
        name = re.match(r"[a-z]+", head)
        if self._scripted_world and name and name.group() in FIRST_NAMES:
            head = self._rng.choice(FIRST_NAMES) + head[name.end() :]
        if not digits:
            return head
        number = self._new_number(digits, extra_digits)
        while len(digits) > 1 and int(number) % HELDOUT_MODULUS == 0:
            number = self._new_number(digits, extra_digits)
        return head + number

    def _new_number(self, old: str, extra_digits: int) -> str:
        digits = len(old) + extra_digits
        return str(self._rng.randrange(10 ** (digits - 1), 10**digits))


def _reword(rng: random.Random, text: str, *, opening: bool) -> str:
    for old, new in _SYNONYMS:
        if rng.random() < 0.5:
            text = text.replace(old, new, 1)
    if opening:
        plain = re.sub(r"^(Hi|Hello|Hey|Good morning|Excuse me)( there)?[,.!]* *", "", text)
        prefix = rng.choice(_OPENINGS)
        text = prefix + plain if prefix else plain
    return text[:1].upper() + text[1:]
