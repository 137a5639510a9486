"""Tasks of `mini-airline`: follow references, compare flights, and try what may be full."""

from typing import Any

import msgspec

from simia_async.builtin.worlds.drawing import WITHDRAWALS, Draw, Plot, Template
from simia_async.environments.task import Utterance

_CITIES = ("Oslo", "Lima", "Cairo", "Dakar", "Quito", "Hanoi", "Turin", "Perth")
_WISHES_CANCEL = (
    "I want to cancel my flight.",
    "please cancel my reservation.",
    "can you cancel a reservation for me?",
)
_WISHES_CHANGE = (
    "I want to fly on another day.",
    "please change my flight to another day.",
    "can you change the day of my flight?",
)


class _Scene(msgspec.Struct, frozen=True):
    """A user with reservations, the flights they are on, and others to change to."""

    user_id: str
    reservation_id: str
    """The one that the task is about: neither the oldest nor the newest."""
    latest_id: str
    other_day: str
    choices: list[str]
    """Flights of the same route on the other day, cheapest first."""
    state: dict[str, Any]

    @property
    def reservation(self) -> dict[str, Any]:
        return self.state["reservations"][self.reservation_id]  # type: ignore[no-any-return]

    @property
    def flight(self) -> dict[str, Any]:
        return self.state["flights"][self.reservation["flight_id"]]  # type: ignore[no-any-return]

    def payment(self, reservation_id: str) -> str:
        return str(self.state["reservations"][reservation_id]["payment"])


def _scene(draw: Draw, *, fare: str = "flex", status: str = "on time", full: int = 0) -> _Scene:
    """A scene about a reservation of that fare on a flight of that status; the `full` cheapest
    flights of the other day have no free seat.
    """
    rng, user_id = draw.rng, draw.user_id()
    day, other_day = (f"May {number}" for number in rng.sample(range(1, 29), 2))
    flights = [_flight(draw, day, rng.sample(_CITIES, 2)) for _ in range(3)]
    route = [flights[1]["origin"], flights[1]["destination"]]
    flights[1]["status"] = status
    choices = sorted((_flight(draw, other_day, route) for _ in range(3)), key=_price)
    for choice in choices[:full]:
        choice["free"] = 0
    reservations = [_reservation(draw, user_id, flight["flight_id"]) for flight in flights]
    reservations[1]["fare"] = fare
    listed = [*flights, *choices]
    rng.shuffle(listed)
    ids = [reservation["reservation_id"] for reservation in reservations]
    state = {
        "users": {user_id: {"user_id": user_id, "reservations": ids}},
        "reservations": dict(zip(ids, reservations, strict=True)),
        "flights": {flight["flight_id"]: flight for flight in listed},
    }
    return _Scene(user_id, ids[1], ids[2], other_day, [c["flight_id"] for c in choices], state)


def _price(flight: dict[str, Any]) -> float:
    return float(flight["price"])


def _flight(draw: Draw, day: str, route: list[str]) -> dict[str, Any]:
    return {
        "flight_id": draw.id("F", 3),
        "origin": route[0],
        "destination": route[1],
        "day": day,
        "departs": f"{draw.rng.randrange(1, 10)} {draw.rng.choice(['am', 'pm'])}",
        "price": draw.amount(60, 400),
        "status": "on time",
        "free": draw.rng.randrange(1, 9),
    }


def _reservation(draw: Draw, user_id: str, flight_id: str) -> dict[str, Any]:
    return {
        "reservation_id": draw.id("R", 4),
        "user_id": user_id,
        "flight_id": flight_id,
        "fare": draw.rng.choice(["flex", "basic"]),
        "status": "booked",
        "payment": f"card_{draw.rng.randrange(100, 1000)}",
    }


def _named(draw: Draw, scene: _Scene) -> Utterance:
    wordings = ("It is {}.", "My reservation is {}.", "{}.", "The id is {}.")
    text = draw.rng.choice(wordings).format(scene.reservation_id)
    return Utterance(text, when=("reservation",))


def _cancelled(scene: _Scene, reservation_id: str) -> tuple[tuple[str, dict[str, str]], ...]:
    payment = scene.payment(reservation_id)
    arguments = {"reservation_id": reservation_id, "refund_to": payment}
    return (("cancel_reservation", arguments),)


def _departure(draw: Draw) -> Plot:
    scene = _scene(draw)
    text = draw.opening(
        f"when does the flight of my reservation {scene.reservation_id} depart?",
        f"at what time does reservation {scene.reservation_id} depart?",
    )
    return Plot(scene.state, (Utterance(text),), must_say=((scene.flight["departs"],),))


def _cheapest(draw: Draw) -> Plot:
    scene = _scene(draw)
    flight = scene.state["flights"][scene.choices[0]]
    text = draw.opening(
        f"which flight from {flight['origin']} to {flight['destination']} is the cheapest?",
        f"what is the cheapest flight from {flight['origin']} to {flight['destination']}?",
    )
    when = Utterance(f"On {scene.other_day}.", when=("day",))
    said = (flight["flight_id"], str(flight["price"]))
    return Plot(scene.state, (Utterance(text), when), must_say=(said,))


def _cancel(draw: Draw) -> Plot:
    scene = _scene(draw)
    lines = (Utterance(draw.opening(*_WISHES_CANCEL)), _named(draw, scene))
    return Plot(scene.state, lines, _cancelled(scene, scene.reservation_id))


def _cancel_latest(draw: Draw) -> Plot:
    scene = _scene(draw)
    scene.state["reservations"][scene.latest_id]["fare"] = "flex"
    text = draw.opening("please cancel my latest reservation.", "cancel my last reservation.")
    who = Utterance(f"I am {scene.user_id}.", when=("user id",))
    return Plot(scene.state, (Utterance(text), who), _cancelled(scene, scene.latest_id))


def _cancel_refused(draw: Draw) -> Plot:
    scene = _scene(draw, fare="basic", status=draw.rng.choice(["on time", "delayed"]))
    lines = (Utterance(draw.opening(*_WISHES_CANCEL)), _named(draw, scene))
    return Plot(scene.state, lines, must_say=(("cannot", "basic"),))


def _cancel_grounded(draw: Draw) -> Plot:
    """The fare forbids it, but the airline has cancelled the flight."""
    scene = _scene(draw, fare="basic", status="cancelled")
    lines = (Utterance(draw.opening(*_WISHES_CANCEL)), _named(draw, scene))
    return Plot(scene.state, lines, _cancelled(scene, scene.reservation_id))


def _cancel_withdrawn(draw: Draw) -> Plot:
    lines = (draw.opening(*_WISHES_CANCEL), draw.rng.choice(WITHDRAWALS))
    return Plot(_scene(draw).state, tuple(Utterance(line) for line in lines))


def _change(draw: Draw, *, full: int = 0, fare: str = "flex") -> Plot:
    scene = _scene(draw, full=full, fare=fare)
    day = Utterance(f"The cheapest flight on {scene.other_day}, please.", when=("day",))
    lines = (Utterance(draw.opening(*_WISHES_CHANGE)), _named(draw, scene))
    if fare == "basic":
        return Plot(scene.state, lines, must_say=(("cannot", "basic"),))
    if full == len(scene.choices):
        return Plot(scene.state, (*lines, day), must_say=(("full",),))
    chosen = scene.choices[full]
    call = ("change_flight", {"reservation_id": scene.reservation_id, "flight_id": chosen})
    return Plot(scene.state, (*lines, day), (call,), ((chosen,),))


TEMPLATES: dict[str, Template] = {
    "departure": _departure,
    "cheapest": _cheapest,
    "cancel": _cancel,
    "cancel-latest": _cancel_latest,
    "cancel-refused": _cancel_refused,
    "cancel-grounded": _cancel_grounded,
    "cancel-withdrawn": _cancel_withdrawn,
    "change": _change,
    "change-first-full": lambda draw: _change(draw, full=1),
    "change-second-full": lambda draw: _change(draw, full=2),
    "change-all-full": lambda draw: _change(draw, full=3),
    "change-refused": lambda draw: _change(draw, fare="basic"),
}
