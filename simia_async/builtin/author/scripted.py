"""Re-telling in a scripted world: other names, ids, dates and amounts, and the phrases that its
scripted user knows. Nothing there is computed from what is replaced.
"""

import random
import re
from collections.abc import Callable
from datetime import date, timedelta

from simia_async.builtin.worlds.drawing import FIRST_NAMES, HELDOUT_MODULUS

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


class ScriptedCast:
    """Who and what the new conversation is about: the same new value for the same old one."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._shift = timedelta(days=rng.randrange(1, 300))
        self._new: dict[str, str] = {}
        self._taken: set[str] = set()

    def rewrite(self, text: str) -> str:
        """`text` with what it names replaced."""
        # What is no date, id or number is left as it is; dates come first, because the other
        # patterns would see numbers in them.
        pieces = _DATE.split(text)
        dates = _DATE.findall(text)
        rewritten = [self._rewrite_words(piece) for piece in pieces]
        shifted = [self._shifted(day) for day in dates]
        return "".join(a + b for a, b in zip(rewritten, [*shifted, ""], strict=True))

    def _rewrite_words(self, text: str) -> str:
        text = _ID.sub(lambda match: self._renew(match.group(), self._new_id), text)
        return _NUMBER.sub(lambda match: self._renew(match.group(), self._new_number), text)

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
        if name and name.group() in FIRST_NAMES:
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


def reword_scripted(rng: random.Random, text: str, *, opening: bool) -> str:
    """A user's turn in other words, none of which the scripted world would not understand."""
    for old, new in _SYNONYMS:
        if rng.random() < 0.5:
            text = text.replace(old, new, 1)
    if opening:
        plain = re.sub(r"^(Hi|Hello|Hey|Good morning|Excuse me)( there)?[,.!]* *", "", text)
        prefix = rng.choice(_OPENINGS)
        text = prefix + plain if prefix else plain
    return text[:1].upper() + text[1:]
