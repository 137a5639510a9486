"""The agent of `mini-airline`."""

import re
from collections.abc import Generator
from typing import Any

from simia_async.builtin.agents.script import Say, Script, Step, call, learn

_RESERVATION = r"\bR\d{4}\b"
_DAY = r"\bMay \d+\b"
_WHICH_DAY = "Which day would you like to fly?"


def serve(said: str) -> Script:
    """Serve one request of the user."""
    if route := re.search(r"from (\w+) to (\w+)", said):
        return (yield from _quote(said, *route.groups()))
    if re.search(r"(?i)\b(latest|last) reservation\b", said):
        user_id = yield from learn(said, r"[a-z]+_\d+", "What is your user id?")
        user = yield from call("get_user", user_id=user_id)
        reservation_id = user["reservations"][-1]
    else:
        question = "Which reservation is it? Please tell me its id."
        reservation_id = yield from learn(said, _RESERVATION, question)
    reservation = yield from call("get_reservation", reservation_id=reservation_id)
    flight = yield from call("get_flight", flight_id=reservation["flight_id"])
    if re.search(r"(?i)\bdepart\b", said):
        return Say(f"Flight {flight['flight_id']} departs at {flight['departs']}.")
    if re.search(r"(?i)\bcancel\b", said):
        return (yield from _cancel(reservation, flight))
    return (yield from _change(reservation, flight))


def _quote(said: str, origin: str, destination: str) -> Script:
    flights = yield from _cheapest_first(said, origin, destination)
    best = flights[0]
    return Say(f"The cheapest flight is {best['flight_id']}, for {best['price']}.")


def _cancel(reservation: dict[str, Any], flight: dict[str, Any]) -> Script:
    reservation_id = reservation["reservation_id"]
    if reservation["fare"] != "flex" and flight["status"] != "cancelled":
        return _refuse("cancel", reservation)
    payment = reservation["payment"]
    yield from call("cancel_reservation", reservation_id=reservation_id, refund_to=payment)
    return Say(f"Reservation {reservation_id} is now cancelled and refunded to {payment}.")


def _change(reservation: dict[str, Any], flight: dict[str, Any]) -> Script:
    if reservation["fare"] != "flex":
        return _refuse("change", reservation)
    flights = yield from _cheapest_first("", flight["origin"], flight["destination"])
    for other in flights:
        answer = yield from call(
            "change_flight",
            reservation_id=reservation["reservation_id"],
            flight_id=other["flight_id"],
        )
        if "error" not in answer:
            return Say(f"You are now on flight {other['flight_id']}, which is {other['price']}.")
    return Say("I am sorry, all flights of that day are full.")


def _cheapest_first(
    said: str, origin: str, destination: str
) -> Generator[Step, Any, list[dict[str, Any]]]:
    day = yield from learn(said, _DAY, _WHICH_DAY)
    flights = yield from call("search_flights", origin=origin, destination=destination, day=day)
    return sorted(flights, key=lambda flight: float(flight["price"]))


def _refuse(verb: str, reservation: dict[str, Any]) -> Say:
    reservation_id, fare = reservation["reservation_id"], reservation["fare"]
    return Say(f"I cannot {verb} reservation {reservation_id}, because its fare is {fare}.")
