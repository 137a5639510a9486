"""What all scripts of the operator share: who calls, and how they are found."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from scripting import Call, Device, Say, Script, State, Step, User, call, device

from telecom_world.place import BILLS, CUSTOMERS, HOMES, LINES

BAR = device("check_status_bar")
SPEED = device("run_speed_test")
_USES = (("seed", "train", "heldout", "train"), ("seed", "train", "heldout", "heldout"))


class Caller(NamedTuple):
    """A customer with their phone."""

    name: str
    born: str
    number: str
    customer_id: str
    line_id: str
    home: str
    """Id of the area."""

    @property
    def bill_id(self) -> str:
        """The bill of last month."""
        return f"bill_08{self.line_id[-1]}"

    @property
    def owed(self) -> float:
        """What that bill comes to."""
        amount: float = BILLS[self.bill_id]["amount_eur"]
        return amount

    @property
    def line(self) -> dict[str, Any]:
        """Their line, as it usually is."""
        line: dict[str, Any] = LINES[self.line_id]
        return line


def caller(number: int) -> Caller:
    """The customer of that number, from 1 on."""
    line_id, customer_id = f"line_{200 + number}", f"cus_{100 + number}"
    customer = CUSTOMERS[customer_id]
    return Caller(
        customer["name"],
        customer["birth_date"],
        LINES[line_id]["phone_number"],
        customer_id,
        line_id,
        HOMES[line_id],
    )


def with_phone(who: Caller, line: State | None = None, **phone: Any) -> State:
    """What differs when they call: their phone, and perhaps their line."""
    start: State = {"phone": {"line_id": who.line_id, "area_id": who.home, **phone}}
    return start | ({"lines": {who.line_id: line}} if line else {})


def overdue(who: Caller) -> State:
    """Their bill of July was not paid, nor asked for yet."""
    july = {"month": "2025-07", "due": "2025-08-20", "status": "overdue"}
    return {f"bill_07{who.line_id[-1]}": BILLS[who.bill_id] | july}


def identified(who: Caller) -> list[Call]:
    """The agent finds them and sees that it is them."""
    return [
        call("find_customer_by_phone", phone_number=who.number),
        call("get_customer", customer_id=who.customer_id),
        call("get_line", line_id=who.line_id),
    ]


def identified_by_name(who: Caller) -> list[Call]:
    """The same for who does not tell a number."""
    return [
        call("find_customer_by_name", name=who.name, birth_date=who.born),
        call("get_line", line_id=who.line_id),
    ]


def asked(text: str, *does: Device, answer: str) -> list[Step]:
    """The agent asks for something to be done on the phone, and hears what came of it."""
    return [Say(text), *does, User(answer)]


def tried(who: Caller, answer: str) -> list[Step]:
    """The agent has the top of the screen and the speed looked at."""
    return asked(
        f"Thank you, {who.name.split()[0]}. Please look at the top of the screen, and measure the "
        "speed of mobile data.",
        BAR,
        SPEED,
        answer=answer,
    )


def amount(who: Caller) -> str:
    """What a bill of theirs comes to."""
    return f"{who.owed:.2f} EUR"


def bills(who: Caller) -> Call:
    """The agent looks at their bills."""
    return call("list_bills", customer_id=who.customer_id)


def agreed(proposal: str, answer: str = "Yes, please do.") -> list[Step]:
    """The agent says what it would do, and the user wants it."""
    return [Say(proposal), User(answer)]


def told(who: Caller, problem: str, manner: str) -> str:
    """What the simulated user is told."""
    return (
        f"You are {who.name}, born {who.born}; your number is {who.number}. {problem} Your phone "
        "is at hand, but you are no technician: you do on it what the agent asks, one thing at a "
        f"time, and tell what you see. {manner}"
    )


CONFIRMS = "If you are asked to confirm something of the kind, say yes."
NOTHING = "You want nothing else, and accept what you are told."


def scripted(
    name: str,
    use: Any,
    who: Caller,
    problem: str,
    steps: Sequence[Step],
    *,
    goal: str,
    start: State,
    manner: str = CONFIRMS,
    must_say: Sequence[Sequence[str]] = (),
    wrong: Sequence[Sequence[Call]] = (),
    by_name: bool = False,
) -> Script:
    """A call that begins with a problem and who has it: by their number, or else by their name."""
    named = f"I am {who.name}" if by_name else f"My number is {who.number}"
    looks = identified_by_name(who) if by_name else identified(who)
    opening = f"{problem} {named}, and I was born on {who.born}."
    return Script(
        id=name,
        use=use,
        instructions=told(who, f"You say: {problem}", manner),
        goal=goal,
        start=start,
        steps=[User(opening), *looks, *steps],
        must_say=must_say,
        wrong=wrong or [[]],
    )


def kind(make: Callable[..., Script], openings: Sequence[str], *people: int) -> list[Script]:
    """The same kind of call by four people, in words of their own: the first is a seed, two of the
    others are held out where the first person has an even number, else one.
    """
    name = make.__name__.replace("_", "-")
    uses = _USES[people[0] % 2 == 0]
    return [
        make(f"{name}-{number}", use, caller(person), openings[number % len(openings)])
        for number, (use, person) in enumerate(zip(uses, people, strict=True))
    ]
