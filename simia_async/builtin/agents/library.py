"""The agent of `mini-library`."""

import re
from collections.abc import Generator
from typing import Any

from simia_async.builtin.agents.script import Say, Script, Step, call, confirm, learn

_MAX_LOANS = 3


def serve(said: str) -> Script:
    """Serve one request of the user."""
    named = re.search(r'"([^"]+)"', said)
    title = named.group(1) if named else ""
    if re.search(r"(?i)\b(wrote|author)\b", said):
        book = yield from _book(title)
        return Say(f"{title} is by {book['author']}.")
    member_id = yield from learn(said, r"[a-z]+_\d+", "What is your member id?")
    member = yield from call("get_member", member_id=member_id)
    if re.search(r"(?i)\bdue\b|\bkeep\b", said):
        copy = (yield from _loans(member, title))[0][0]
        return Say(f"{title} is due {copy['due']}.")
    if re.search(r"(?i)\brenew\b", said):
        return (yield from _renew(member, title))
    return (yield from _lend(member, title))


def _book(title: str) -> Generator[Step, Any, dict[str, Any]]:
    books = yield from call("search_books", title=title)
    return dict(books[0])


def _loans(
    member: dict[str, Any], title: str
) -> Generator[Step, Any, list[tuple[dict[str, Any], dict[str, Any]]]]:
    """Copy and book of the member's loans of that title; of all loans for no title."""
    loans = []
    for copy_id in member["loans"]:
        copy = yield from call("get_copy", copy_id=copy_id)
        book = yield from call("get_book", book_id=copy["book_id"])
        if title in ("", book["title"]):
            loans.append((copy, book))
    return loans


def _renew(member: dict[str, Any], title: str) -> Script:
    refused = []
    for copy, book in (yield from _loans(member, title)):
        if book["reserved_by"]:
            refused.append(book["title"])
            continue
        answer = yield from call("renew_copy", copy_id=copy["copy_id"])
        if "error" in answer:
            refused.append(book["title"])
    if refused:
        return Say(f"I cannot renew {' and '.join(refused)}. Anything else is renewed.")
    return Say("It is renewed.")


def _lend(member: dict[str, Any], title: str) -> Script:
    member_id, loans = member["member_id"], len(member["loans"])
    if loans >= _MAX_LOANS:
        return Say(f"I cannot lend you {title}: you have {loans} loans.")
    book = yield from _book(title)
    if member["fees"]:
        payment = member["payment"]
        yield from confirm(f"You have open fees of {member['fees']}. Pay them with {payment}?")
        yield from call("pay_fees", member_id=member_id, payment=payment)
    for copy_id in book["copies"]:
        answer = yield from call("lend_copy", copy_id=copy_id, member_id=member_id)
        if "error" not in answer:
            return Say(f"{title} is yours, copy {copy_id}, due in 3 weeks.")
    yield from call("reserve_book", book_id=book["book_id"], member_id=member_id)
    return Say(f"All copies of {title} are out, so I have reserved it for you.")
