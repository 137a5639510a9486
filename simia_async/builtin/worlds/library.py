"""Tasks of `mini-library`: find by title, try copy after copy, and go through all loans."""

from typing import Any, Literal

import msgspec

from simia_async.builtin.worlds.drawing import WITHDRAWALS, Draw, Plot, Template
from simia_async.environments.task import Utterance

_ADJECTIVES = ("Silent", "Golden", "Hidden", "Broken", "Distant", "Frozen", "Crimson", "Narrow")
_NOUNS = ("River", "Garden", "Harbor", "Mirror", "Orchard", "Lantern", "Bridge", "Meadow")
_AUTHORS = ("Ada Brandt", "Noor Haddad", "Ines Rocha", "Tomas Lind", "Kofi Mensah", "Yuki Mori")

LoanState = Literal["renewable", "reserved", "worn"]
"""`worn`: renewed as often as the library's system allows."""


class _Scene(msgspec.Struct, frozen=True):
    """A member with loans, and a book that they do not have."""

    member_id: str
    book_id: str
    loans: list[str]
    """Copies, in the order of the loans' states."""
    state: dict[str, Any]

    @property
    def book(self) -> dict[str, Any]:
        return self.state["books"][self.book_id]  # type: ignore[no-any-return]

    @property
    def payment(self) -> str:
        return str(self.state["members"][self.member_id]["payment"])

    def title_of(self, copy_id: str) -> str:
        book_id = self.state["copies"][copy_id]["book_id"]
        return str(self.state["books"][book_id]["title"])


def _scene(draw: Draw, *loans: LoanState, out: int = 0, fees: float = 0) -> _Scene:
    """A scene in which the first `out` of the wanted book's three copies are out."""
    member_id = draw.user_id()
    words = [(a, n) for a in _ADJECTIVES for n in _NOUNS]
    titles = [f"The {a} {n}" for a, n in draw.rng.sample(words, len(loans) + 1)]
    copies: dict[str, Any] = {}
    books = [_book(draw, title, copies) for title in titles]
    for copy_id in books[0]["copies"][:out]:
        _lend(draw, copies[copy_id])
    lent = []
    for book, loan in zip(books[1:], loans, strict=True):
        copy = copies[draw.rng.choice(book["copies"])]
        _lend(draw, copy)
        copy["renewals"] = 2 if loan == "worn" else draw.rng.randrange(2)
        book["reserved_by"] = [draw.user_id()] if loan == "reserved" else []
        lent.append(copy["copy_id"])
    wanted = books[0]["book_id"]
    draw.rng.shuffle(books)
    member = {
        "member_id": member_id,
        "loans": draw.rng.sample(lent, len(lent)),
        "fees": fees,
        "payment": f"card_{draw.rng.randrange(100, 1000)}",
    }
    state = {
        "members": {member_id: member},
        "books": {book["book_id"]: book for book in books},
        "copies": copies,
    }
    return _Scene(member_id, wanted, lent, state)


def _book(draw: Draw, title: str, copies: dict[str, Any]) -> dict[str, Any]:
    """A new book, whose copies are put among `copies`."""
    book_id = draw.id("K", 3)
    ids = [draw.id("C", 4) for _ in range(3)]
    for copy_id in ids:
        copies[copy_id] = {
            "copy_id": copy_id,
            "book_id": book_id,
            "place": "in",
            "due": "",
            "renewals": 0,
        }
    author = draw.rng.choice(_AUTHORS)
    return {"book_id": book_id, "title": title, "author": author, "copies": ids, "reserved_by": []}


def _lend(draw: Draw, copy: dict[str, Any]) -> None:
    copy |= {"place": "out", "due": f"May {draw.rng.randrange(1, 29)}"}


def _member(draw: Draw, scene: _Scene) -> Utterance:
    wordings = ("I am {}.", "It is {}.", "My member id is {}.", "{}.")
    return Utterance(draw.rng.choice(wordings).format(scene.member_id), when=("member id",))


def _wish(draw: Draw, scene: _Scene) -> Utterance:
    title = scene.book["title"]
    return Utterance(
        draw.opening(
            f'I want to borrow "{title}".',
            f'can I borrow "{title}"?',
            f'please lend me "{title}".',
        )
    )


def _lending(scene: _Scene, copy_number: int) -> tuple[str, dict[str, str]]:
    copy_id = scene.book["copies"][copy_number]
    return ("lend_copy", {"copy_id": copy_id, "member_id": scene.member_id})


def _author(draw: Draw) -> Plot:
    scene = _scene(draw, "renewable", "reserved")
    text = draw.opening(
        f'who wrote "{scene.book["title"]}"?', f'who is the author of "{scene.book["title"]}"?'
    )
    return Plot(scene.state, (Utterance(text),), must_say=((scene.book["author"],),))


def _due(draw: Draw) -> Plot:
    scene = _scene(draw, "renewable", "renewable", "worn")
    copy_id = draw.rng.choice(scene.loans)
    title = scene.title_of(copy_id)
    text = draw.opening(f'when is "{title}" due?', f'until when may I keep "{title}"?')
    due = scene.state["copies"][copy_id]["due"]
    return Plot(scene.state, (Utterance(text), _member(draw, scene)), must_say=((due,),))


def _lend_one(draw: Draw, *, out: int = 0) -> Plot:
    scene = _scene(draw, "renewable", out=out)
    lines = (_wish(draw, scene), _member(draw, scene))
    if out == len(scene.book["copies"]):
        call = ("reserve_book", {"book_id": scene.book_id, "member_id": scene.member_id})
        return Plot(scene.state, lines, (call,), (("reserved",),))
    return Plot(scene.state, lines, (_lending(scene, out),))


def _lend_refused(draw: Draw) -> Plot:
    scene = _scene(draw, "renewable", "renewable", "reserved")
    lines = (_wish(draw, scene), _member(draw, scene))
    return Plot(scene.state, lines, must_say=(("cannot", "3"),))


def _lend_with_fees(draw: Draw) -> Plot:
    fees = draw.amount(2, 30)
    scene = _scene(draw, "renewable", fees=fees)
    pay = ("pay_fees", {"member_id": scene.member_id, "payment": scene.payment})
    agreed = Utterance(draw.rng.choice(["Yes, please.", "Yes, do that."]), when=(str(fees),))
    lines = (_wish(draw, scene), _member(draw, scene), agreed)
    return Plot(scene.state, lines, (pay, _lending(scene, 0)))


def _fees_declined(draw: Draw) -> Plot:
    scene = _scene(draw, "renewable", fees=draw.amount(2, 30))
    texts = (f"I am {scene.member_id}.", draw.rng.choice(["No, not now.", "No, not today."]))
    return Plot(scene.state, (_wish(draw, scene), *(Utterance(text) for text in texts)))


def _lend_withdrawn(draw: Draw) -> Plot:
    scene = _scene(draw, "renewable")
    return Plot(scene.state, (_wish(draw, scene), Utterance(draw.rng.choice(WITHDRAWALS))))


def _renew(draw: Draw, loan: LoanState) -> Plot:
    scene = _scene(draw, loan, "renewable")
    copy_id = scene.loans[0]
    title = scene.title_of(copy_id)
    text = draw.opening(f'please renew "{title}".', f'I want to renew "{title}".')
    lines = (Utterance(text), _member(draw, scene))
    if loan == "renewable":
        return Plot(scene.state, lines, (("renew_copy", {"copy_id": copy_id}),))
    return Plot(scene.state, lines, must_say=(("cannot", title),))


def _renew_all(draw: Draw) -> Plot:
    loans: tuple[LoanState, ...] = ("renewable", "reserved", "worn")
    scene = _scene(draw, *loans)
    lines = (
        Utterance(
            draw.opening("please renew all my loans.", "renew everything I have."),
        ),
    )
    titles = tuple(scene.title_of(copy_id) for copy_id in scene.loans[1:])
    call = ("renew_copy", {"copy_id": scene.loans[0]})
    return Plot(scene.state, (*lines, _member(draw, scene)), (call,), (titles,))


TEMPLATES: dict[str, Template] = {
    "author": _author,
    "due": _due,
    "lend": _lend_one,
    "lend-second-copy": lambda draw: _lend_one(draw, out=1),
    "lend-third-copy": lambda draw: _lend_one(draw, out=2),
    "lend-all-out": lambda draw: _lend_one(draw, out=3),
    "lend-refused": _lend_refused,
    "lend-with-fees": _lend_with_fees,
    "lend-fees-declined": _fees_declined,
    "lend-withdrawn": _lend_withdrawn,
    "renew": lambda draw: _renew(draw, "renewable"),
    "renew-refused": lambda draw: _renew(draw, "reserved"),
    "renew-worn": lambda draw: _renew(draw, "worn"),
    "renew-all": _renew_all,
}
