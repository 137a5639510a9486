"""The office as every conversation finds it: people, rooms, calendar, and the state's schema."""

from typing import Any

from office_world.paper import DOCUMENTS, MESSAGES, SHEETS

ANA = "ana.ribeiro@lumen.example"
TODAY = "2025-06-18"


def at(name: str) -> str:
    """A colleague's address."""
    return f"{name}@lumen.example"


def _person(
    name: str, title: str, team: str, manager: str, *away: tuple[str, str]
) -> dict[str, Any]:
    return {
        "name": name,
        "title": title,
        "team": team,
        "manager": at(manager) if manager else "",
        "away": [{"from": first, "to": last} for first, last in away],
    }


PEOPLE = {
    ANA: _person("Ana Ribeiro", "Project lead", "Atlas", "helena.costa"),
    at("tom.becker"): _person("Tom Becker", "Developer", "Atlas", "ana.ribeiro"),
    at("yusuf.demir"): _person(
        "Yusuf Demir", "Designer", "Atlas", "ana.ribeiro", ("2025-06-23", "2025-06-27")
    ),
    at("li.wei"): _person("Li Wei", "Analyst", "Atlas", "ana.ribeiro"),
    at("helena.costa"): _person(
        "Helena Costa", "Head of product", "Leadership", "", ("2025-06-26", "2025-06-26")
    ),
    at("marc.dubois"): _person("Marc Dubois", "Controller", "Finance", "helena.costa"),
    at("sofia.rossi"): _person("Sofia Rossi", "People partner", "People", "helena.costa"),
    at("ingrid.holm"): _person("Ingrid Holm", "Office manager", "Operations", "helena.costa"),
    at("omar.haddad"): _person("Omar Haddad", "Head of sales", "Sales", "helena.costa"),
    at("tom.berg"): _person("Tom Berg", "Account manager", "Sales", "omar.haddad"),
}

ROOMS = {
    "room_fir": {"name": "Fir", "capacity": 2, "equipment": []},
    "room_birch": {"name": "Birch", "capacity": 4, "equipment": ["screen"]},
    "room_cedar": {"name": "Cedar", "capacity": 8, "equipment": ["screen", "whiteboard"]},
    "room_oak": {"name": "Oak", "capacity": 16, "equipment": ["screen", "video"]},
}


def _event(
    title: str, when: str, organizer: str, room: str, **answers: list[str]
) -> dict[str, Any]:
    date, start, end = when.split()
    attendees = {at(name): answer for answer, names in answers.items() for name in names}
    return {
        "title": title,
        "date": date,
        "start": start,
        "end": end,
        "organizer": at(organizer),
        "room": room and f"room_{room}",
        "attendees": attendees,
    }


EVENTS = {
    "evt_201": _event(
        "Atlas weekly",
        "2025-06-19 10:00 11:00",
        "ana.ribeiro",
        "cedar",
        accepted=["tom.becker", "yusuf.demir", "li.wei"],
    ),
    "evt_202": _event(
        "Ana and Tom", "2025-06-19 14:00 14:30", "ana.ribeiro", "fir", accepted=["tom.becker"]
    ),
    "evt_203": _event(
        "Budget review",
        "2025-06-20 09:30 11:00",
        "marc.dubois",
        "oak",
        pending=["ana.ribeiro"],
        accepted=["helena.costa"],
    ),
    "evt_204": _event(
        "Design critique",
        "2025-06-20 13:00 14:00",
        "yusuf.demir",
        "birch",
        accepted=["ana.ribeiro", "li.wei"],
    ),
    "evt_205": _event(
        "Sales sync",
        "2025-06-19 11:00 12:00",
        "omar.haddad",
        "oak",
        pending=["ana.ribeiro"],
        accepted=["tom.berg"],
    ),
    "evt_206": _event(
        "Product board",
        "2025-06-23 09:00 10:30",
        "helena.costa",
        "oak",
        accepted=["ana.ribeiro", "omar.haddad", "marc.dubois"],
    ),
    "evt_207": _event(
        "Lunch talk",
        "2025-06-24 12:00 13:00",
        "ingrid.holm",
        "oak",
        pending=["ana.ribeiro"],
        accepted=["sofia.rossi"],
    ),
    "evt_208": _event(
        "Atlas retrospective",
        "2025-06-24 15:00 16:00",
        "ana.ribeiro",
        "cedar",
        accepted=["tom.becker"],
        pending=["li.wei"],
        declined=["yusuf.demir"],
    ),
    "evt_209": _event(
        "Interview with Noor Aziz",
        "2025-06-25 10:00 11:00",
        "sofia.rossi",
        "birch",
        accepted=["ana.ribeiro"],
    ),
    "evt_210": _event("Focus time", "2025-06-19 13:00 15:00", "li.wei", ""),
    "evt_211": _event("Dentist", "2025-06-20 15:00 16:30", "tom.becker", ""),
    "evt_212": _event(
        "Yearly planning",
        "2025-06-25 13:00 15:00",
        "helena.costa",
        "oak",
        accepted=["ana.ribeiro", "marc.dubois"],
    ),
    "evt_213": _event(
        "Pilot demo rehearsal",
        "2025-06-26 11:00 12:00",
        "ana.ribeiro",
        "birch",
        accepted=["tom.becker"],
        pending=["tom.berg"],
    ),
}

STATE = {
    "me": {"email": ANA, "name": "Ana Ribeiro", "today": TODAY},
    "people": PEOPLE,
    "rooms": ROOMS,
    "documents": DOCUMENTS,
    "events": EVENTS,
    "messages": MESSAGES,
    "sheets": SHEETS,
}

_TEXT = {"type": "string"}
_NAME = {"type": "string", "minLength": 1}
_EMAIL = {"type": "string", "pattern": "^[^@ ]+@[^@ ]+$"}
_DAY = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"}
_TIME = {"type": "string", "pattern": r"^\d{2}:\d{2}$"}
_FLAG = {"type": "boolean"}
_CELL = {"type": ["string", "number"]}


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }


def _map(schema: dict[str, Any], pattern: str = "@") -> dict[str, Any]:
    return {
        "type": "object",
        "patternProperties": {pattern: schema},
        "additionalProperties": False,
    }


def _list(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": schema}


_ACCESS = _map({"enum": ["view", "comment", "edit"]})

SCHEMA = _object(
    me=_object(email=_EMAIL, name=_NAME, today=_DAY),
    people=_map(
        _object(
            name=_NAME,
            title=_NAME,
            team=_NAME,
            manager=_TEXT,
            away=_list(_object(**{"from": _DAY, "to": _DAY})),
        )
    ),
    rooms=_map(
        _object(name=_NAME, capacity={"type": "integer"}, equipment=_list(_NAME)), "^room_[a-z]+$"
    ),
    documents=_map(
        _object(
            title=_NAME,
            folder=_NAME,
            owner=_EMAIL,
            body=_TEXT,
            access=_ACCESS,
            comments=_map(_object(author=_EMAIL, text=_NAME, resolved=_FLAG), r"^c\d+$"),
            modified=_DAY,
        ),
        r"^doc_\d+$",
    ),
    events=_map(
        _object(
            title=_NAME,
            date=_DAY,
            start=_TIME,
            end=_TIME,
            organizer=_EMAIL,
            room={"type": "string", "pattern": "^(room_[a-z]+)?$"},
            attendees=_map({"enum": ["pending", "accepted", "tentative", "declined"]}),
        ),
        r"^evt_\d+$",
    ),
    messages=_map(
        _object(
            folder={"enum": ["inbox", "sent", "archive", "spam", "trash"]},
            sender=_EMAIL,
            to=_list(_EMAIL),
            subject=_NAME,
            body=_NAME,
            date=_DAY,
            read=_FLAG,
            labels=_list(_NAME),
            reply_to=_TEXT,
        ),
        r"^msg_\d+$",
    ),
    sheets=_map(
        _object(
            title=_NAME,
            owner=_EMAIL,
            access=_ACCESS,
            columns=_list(_NAME),
            rows=_map(_map(_CELL, "."), r"^r\d+$"),
        ),
        r"^sheet_\d+$",
    ),
)
