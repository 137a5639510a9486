"""Tools for the calendar and the rooms."""

from datetime import date as Date
from typing import Any

from simia_async.builtin.exact.binding import State
from simia_async.builtin.exact.office.rights import clear, colleague, found, me, next_id
from simia_async.environments.tool_effects import ToolError

_OPENS, _CLOSES = "09:00", "17:00"


def list_events(
    state: State, date: str, last_date: str | None = None, email: str | None = None
) -> Any:
    """Events of the signed-in person, or of a colleague, from day to day."""
    whose = colleague(state, email or me(state))
    rows = [
        {"event_id": key, **{name: it[name] for name in ("title", "date", "start", "end", "room")}}
        for key, it in state["events"].items()
        if date <= it["date"] <= (last_date or date) and whose in _taking_part(it)
    ]
    return {"events": sorted(rows, key=lambda row: (row["date"], row["start"]))}


def get_event(state: State, event_id: str) -> Any:
    """All about one event."""
    return found(state, "events", event_id)


def find_free_times(state: State, emails: list[str], date: str, minutes: int) -> Any:
    """When all of these people are free for so long, in working hours; and who is away."""
    away = [email for email in emails if _is_away(state, colleague(state, email), date)]
    busy = sorted(
        (it["start"], it["end"])
        for it in state["events"].values()
        if it["date"] == date and not _taking_part(it).isdisjoint(emails)
    )
    free, begin = [], _OPENS
    for start, end in [*busy, (_CLOSES, _CLOSES)]:
        if _minutes(start) - _minutes(begin) >= minutes:
            free.append({"start": begin, "end": start})
        begin = max(begin, end)
    is_weekend = _day(date).weekday() >= 5
    return {"date": date, "free": [] if away or is_weekend else free, "away": away}


def find_rooms(
    state: State, date: str, start: str, end: str, capacity: int = 1, equipment: str | None = None
) -> Any:
    """Rooms that are free then, and large enough."""
    rows = [
        {"room_id": key, **room}
        for key, room in state["rooms"].items()
        if room["capacity"] >= capacity
        and equipment in (None, *room["equipment"])
        and not _clashes(state, key, date, start, end)
    ]
    return {"rooms": rows}


def create_event(
    state: State,
    title: str,
    date: str,
    start: str,
    end: str,
    attendees: list[str],
    room: str = "",
) -> Any:
    """An event that the signed-in person organizes; the others are invited."""
    _check_time(date, start, end)
    _check_room(state, room, date, start, end)
    key = next_id(state["events"], "evt_")
    invited = [colleague(state, email) for email in attendees if email != me(state)]
    state["events"][key] = {
        "title": clear(title, "title"),
        "date": date,
        "start": start,
        "end": end,
        "organizer": me(state),
        "room": room,
        "attendees": dict.fromkeys(invited, "pending"),
    }
    return {"event_id": key, **state["events"][key]}


def move_event(
    state: State,
    event_id: str,
    date: str | None = None,
    start: str | None = None,
    end: str | None = None,
    room: str | None = None,
) -> Any:
    """Another time or room for an event."""
    event = _organized(state, event_id)
    new = {"date": date, "start": start, "end": end, "room": room}
    after = {**event, **{key: value for key, value in new.items() if value is not None}}
    if after == event:
        raise ToolError(f"{event_id}: is exactly so already")
    _check_time(after["date"], after["start"], after["end"])
    _check_room(state, after["room"], after["date"], after["start"], after["end"], event_id)
    state["events"][event_id] = after
    return {"event_id": event_id, **after}


def cancel_event(state: State, event_id: str) -> Any:
    """Away with an event."""
    _organized(state, event_id)
    del state["events"][event_id]
    return {"event_id": event_id, "cancelled": True}


def add_attendee(state: State, event_id: str, email: str) -> Any:
    """One more is invited."""
    event = _organized(state, event_id)
    if colleague(state, email) in event["attendees"] or email == event["organizer"]:
        raise ToolError(f"{event_id}: {email} is invited already")
    event["attendees"][email] = "pending"
    return {"event_id": event_id, "attendees": event["attendees"]}


def remove_attendee(state: State, event_id: str, email: str) -> Any:
    """One is invited no more."""
    event = _organized(state, event_id)
    if email not in event["attendees"]:
        raise ToolError(f"{event_id}: {email} is not invited")
    del event["attendees"][email]
    return {"event_id": event_id, "attendees": event["attendees"]}


def respond_to_invitation(state: State, event_id: str, response: str) -> Any:
    """The signed-in person's answer."""
    event = found(state, "events", event_id)
    if me(state) not in event["attendees"]:
        raise ToolError(f"{event_id}: you are not invited")
    if event["attendees"][me(state)] == response:
        raise ToolError(f"{event_id}: your answer is {response} already")
    event["attendees"][me(state)] = response
    return {"event_id": event_id, "response": response}


def _organized(state: State, event_id: str) -> dict[str, Any]:
    event = found(state, "events", event_id)
    if event["organizer"] != me(state):
        raise ToolError(f"{event_id}: only its organizer, {event['organizer']}, can change it")
    return event


def _taking_part(event: dict[str, Any]) -> set[str]:
    coming = {email for email, said in event["attendees"].items() if said != "declined"}
    return {event["organizer"], *coming}


def _is_away(state: State, email: str, date: str) -> bool:
    return any(it["from"] <= date <= it["to"] for it in state["people"][email]["away"])


def _check_time(date: str, start: str, end: str) -> None:
    _day(date)
    if _minutes(end) <= _minutes(start):
        raise ToolError(f"an event from {start} to {end} does not last")


def _check_room(
    state: State, room: str, date: str, start: str, end: str, event_id: str | None = None
) -> None:
    if not room:
        return
    found(state, "rooms", room)
    if _clashes(state, room, date, start, end, event_id):
        raise ToolError(f"{room}: is taken on {date} between {start} and {end}")


def _clashes(
    state: State, room: str, date: str, start: str, end: str, event_id: str | None = None
) -> bool:
    return any(
        it["room"] == room and it["date"] == date and it["start"] < end and start < it["end"]
        for key, it in state["events"].items()
        if key != event_id
    )


def _day(date: str) -> Date:
    try:
        return Date.fromisoformat(date)
    except ValueError:
        raise ToolError(f"{date!r} is no day; give it as YYYY-MM-DD") from None


def _minutes(time: str) -> int:
    hours, _, minutes = time.partition(":")
    if len(time) != 5 or not (hours + minutes).isdecimal() or hours > "23" or minutes > "59":
        raise ToolError(f"{time!r} is no time; give it as HH:MM")
    return int(hours) * 60 + int(minutes)
