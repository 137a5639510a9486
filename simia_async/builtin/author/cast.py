"""Re-telling anywhere else: other people, ids, dates and places of living, where nothing is
computed from them.

Dates move by whole weeks, so that what is said of weekdays and of days between stays true. Prices,
times of day, cities and airports stay: routes and sums must still fit.
"""

import random
import re
import string
from collections.abc import Callable, Sequence
from datetime import date, timedelta

from simia_async.builtin.author.names import FIRST_NAMES, LAST_NAMES, STREETS
from simia_async.builtin.author.survey import Survey

_MONTHS = """
    January February March April May June July August September October November December
""".split()
_MONTH = "|".join(f"{month[:3]}(?:{month[3:]})?" for month in _MONTHS)
_TOKEN = re.compile(
    r"\b(?:(?P<day>(?:19|20)\d\d-\d\d-\d\d(?!\d))"
    rf"|(?P<month>{_MONTH})"
    r" (?P<of_month>\d{1,2})(?:(?P<until>[-–]\d{1,2})|(?P<ordinal>st|nd|rd|th))?\b"
    r"(?P<with_year>,? (?P<year>(?:19|20)\d\d)\b)?"
    r"|(?P<phone>\d{3}\)?[-. ]\d{3}[-. ]\d{4}\b)"
    r"|(?P<email>[\w.+-]++@[\w-]+\.[\w.-]*\w)"
    r"|(?P<word>(?=[a-z_]*[A-Z\d])(?!\d+\b)\w+))"  # what may be a name or an id
)
_USER_ID = re.compile(r"([a-z]+)_([a-z]+)_(\d+)")
_ID = re.compile(
    r"[a-z]+(?:_[a-z]+)?_\d+"  # gift_card_3668
    r"|(?=[A-Z]*\d)(?=\d*[A-Z])[A-Z0-9]{4,}"  # W1234, SI5UKW, 4WQ150
    r"|(?=(?:\w*\d){2})[A-Za-z]\w{3,}"  # any word with two digits
)
_MIXED_CODE = re.compile(r"(?=.*\d)(?=.*[A-Z])[A-Z0-9]{5,8}")
_LETTERS_THEN_DIGITS = re.compile(r"[A-Z]+\d+")
_OLD_AGE = 1999


class Cast:
    """Who and what the new conversation is about: the same new value for the same old one."""

    def __init__(self, rng: random.Random, seed: Survey) -> None:
        self._rng = rng
        self._seed = seed
        self._shift = timedelta(weeks=rng.randrange(1, 45))
        self._new: dict[str, str] = {}
        self._taken: set[str] = set()
        self._words: dict[str, str] = {}
        self._told: dict[str, str] = {}
        for old, kind in seed.literals.items():
            self._renew(old, self._drawer_of(kind))
        literals = sorted(map(re.escape, seed.literals), key=len, reverse=True)
        self._literal = re.compile(rf"(?<!\w)(?:{'|'.join(literals)})(?!\w)") if literals else None

    def rewrite(self, text: str) -> str:
        """`text` with what it names replaced."""
        if text not in self._told:
            self._told[text] = self._rewrite(text)
        return self._told[text]

    def _rewrite(self, text: str) -> str:
        if self._literal is None:
            return _TOKEN.sub(self._replace, text)
        # What has been replaced once must not be replaced again.
        kept, end = "", 0
        for match in self._literal.finditer(text):
            kept += _TOKEN.sub(self._replace, text[end : match.start()]) + self._new[match.group()]
            end = match.end()
        return kept + _TOKEN.sub(self._replace, text[end:])

    def _replace(self, match: re.Match[str]) -> str:
        token = match.group()
        match match.lastgroup:
            case "word":
                if token not in self._words:
                    self._words[token] = self._word(token)
                return self._words[token]
            case "day":
                return self._moved(token)
            case "phone":
                return self._renew(token, self._other_digits)
            case "email":
                return self._email(token)
        return self._spoken_day(match)

    def _word(self, word: str) -> str:
        """The new form of a word; most are no name or id, and stay as they are."""
        if kind := self._seed.names.get(word):
            pool = FIRST_NAMES if kind == "first" else LAST_NAMES
            return self._renew(word, lambda longer: self._other_name(pool, len(longer) - len(word)))
        if word in self._seed.codes:
            return self._renew(word, self._other_letters)
        if match := _USER_ID.fullmatch(word):
            first, last, digits = match.groups()
            if first.capitalize() in self._seed.names:
                person = f"{self._lower_name(first)}_{self._lower_name(last)}"
                return self._renew(
                    word,
                    lambda longer: f"{person}_{self._other_digits(digits + longer[len(word) :])}",
                )
        if _ID.fullmatch(word):
            coded = _MIXED_CODE.fullmatch(word) and not _LETTERS_THEN_DIGITS.fullmatch(word)
            return self._renew(word, self._other_code if coded else self._other_digits)
        return word

    def _lower_name(self, name: str) -> str:
        capitalised = name.capitalize()
        return self._word(capitalised).lower() if capitalised in self._seed.names else name

    def _email(self, address: str) -> str:
        name, host = address.split("@", 1)
        if _USER_ID.fullmatch(name):
            return f"{self._word(name)}@{host}"
        if name not in self._new:
            pieces = re.findall(r"[A-Za-z]+|\d+|[^A-Za-z\d]+", name)
            others = (
                self._other_digits(each) if each.isdigit() else self._lower_name(each)
                for each in pieces
            )
            self._new[name] = "".join(others)
        return f"{self._new[name]}@{host}"

    def _moved(self, day: str) -> str:
        try:
            old = date.fromisoformat(day)
        except ValueError:
            return day
        return self._moved_date(old).isoformat()

    def _moved_date(self, old: date) -> date:
        if old.year > _OLD_AGE:
            return old + self._shift
        renewed = self._renew(
            old.isoformat(), lambda longer: self._other_birth_date(old, longer).isoformat()
        )
        return date.fromisoformat(renewed)

    def _spoken_day(self, match: re.Match[str]) -> str:
        """A date as it is said: `May 23, 2024`, `May 3rd` or `May 3-6`."""
        month, year = match["month"], int(match["year"] or self._seed.year)
        number = next(at for at, name in enumerate(_MONTHS, 1) if name.startswith(month))
        days = [match["of_month"], *filter(None, [(match["until"] or "")[1:]])]
        try:
            new = [self._moved_date(date(year, number, int(day))) for day in days]
        except ValueError:
            return match.group()
        names = [_MONTHS[day.month - 1][: None if month in _MONTHS else 3] for day in new]
        told = f"{names[0]} {new[0].day}"
        if match["ordinal"]:
            told += _ordinal(new[0].day)
        if len(new) > 1:
            told += f"-{new[1].day}" if names[0] == names[1] else f" to {names[1]} {new[1].day}"
        return told + (match["with_year"] or "").replace(str(year), str(new[-1].year))

    def _renew(self, old: str, draw: Callable[[str], str]) -> str:
        """The new value of `old`. Two old ones never become the same, and none becomes one of the
        seed's; where short ones run out, `old` is made longer.
        """
        longer, tries = old, 0
        while old not in self._new:
            new = draw(longer)
            if new not in self._taken and new not in self._seed.text:
                self._new[old] = new
                self._taken.add(new)
            tries += 1
            if tries % 50 == 0:
                longer += "0"
        return self._new[old]

    def _drawer_of(self, kind: str) -> Callable[[str], str]:
        match kind:
            case "street":
                return self._other_street
            case "zip":
                return self._other_zip
        return self._other_digits

    def _other_digits(self, old: str) -> str:
        return self._redrawn(old, string.digits, string.digits)

    def _other_letters(self, old: str) -> str:
        return self._redrawn(old, string.ascii_uppercase, string.ascii_uppercase)

    def _other_code(self, old: str) -> str:
        return self._other_letters(self._other_digits(old))

    def _redrawn(self, old: str, replaced: str, by: Sequence[str]) -> str:
        return "".join(self._rng.choice(by) if sign in replaced else sign for sign in old)

    def _other_zip(self, old: str) -> str:
        """Its first three digits stand for the region, which stays."""
        return old[:3] + self._other_digits(old[3:])

    def _other_street(self, old: str) -> str:
        kind = old.split()[-1]
        return f"{self._rng.randrange(100, 1000)} {self._rng.choice(STREETS)} {kind}"

    def _other_name(self, pool: Sequence[str], more: int) -> str:
        return self._rng.choice(pool) + "".join(self._rng.choice(pool).lower() for _ in range(more))

    def _other_birth_date(self, old: date, longer: str) -> date:
        span = len(longer) - len("2000-12-31") + 6
        year = min(old.year + self._rng.randint(-span, span), _OLD_AGE)
        return date(year, self._rng.randrange(1, 13), self._rng.randrange(1, 29))


def _ordinal(day: int) -> str:
    return "th" if 10 < day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
