"""Scripts about meetings, rooms and invitations."""

from typing import Any

from scripting import Call, Script, call

from office_world.asking import (
    ANA,
    ME,
    answered,
    at,
    done_after_yes,
    kind,
    refused,
)


def book(
    name: str,
    use: Any,
    *,
    opening: str,
    find: list[str],
    people: list[str],
    title: str,
    day: str,
    start: str,
    end: str,
    minutes: int,
    room: str,
    equipment: str = "",
    worse: str = "room_oak",
) -> Script:
    """A meeting with everybody free, in the smallest room that does."""
    emails = [at(person) for person in people]
    need = {"equipment": equipment} if equipment else {}
    made = {"title": title, "date": day, "start": start, "end": end}
    return done_after_yes(
        name,
        use,
        opening=opening,
        looks=[
            ME,
            *[call("find_people", text=text) for text in find],
            call("find_free_times", emails=[ANA, *emails], date=day, minutes=minutes),
            call("find_rooms", date=day, start=start, end=end, capacity=len(people) + 1, **need),
        ],
        proposal=f"All are free on {day} from {start} to {end}. I would set up {title!r} then, in "
        f"{room}, and invite {', '.join(emails)}. Shall I?",
        does=[call("create_event", **made, attendees=emails, room=room)],
        report=f"{title!r} is set up for {day}, {start} to {end}, in {room}.",
        wrong=[
            [call("create_event", **made, attendees=emails, room=worse)],
            [call("create_event", **made, attendees=[], room=room)],
        ],
    )


def block(
    name: str, use: Any, *, opening: str, title: str, day: str, start: str, end: str
) -> Script:
    """Time of Ana's own."""
    made = {"title": title, "date": day, "start": start, "end": end, "attendees": []}
    return done_after_yes(
        name,
        use,
        opening=opening,
        looks=[ME, call("list_events", date=day)],
        proposal=f"You are free then. I would block {day} from {start} to {end} as {title!r}, "
        "without a room. All right?",
        does=[call("create_event", **made)],
        report=f"{title!r} is in your calendar: {day}, {start} to {end}.",
        wrong=[[call("create_event", **made, room="room_fir")]],
    )


def move(
    name: str,
    use: Any,
    *,
    opening: str,
    event: str,
    title: str,
    day: str,
    start: str,
    end: str,
    others: list[str],
    minutes: int,
    old_day: str,
    same_day: bool = False,
) -> Script:
    """An event of Ana's own, to when everybody is free."""
    to: dict[str, Any] = {"start": start, "end": end}
    if not same_day:
        to = {"date": day, **to}
    return done_after_yes(
        name,
        use,
        opening=opening,
        looks=[
            ME,
            call("list_events", date=old_day),
            call("get_event", event_id=event),
            call("find_free_times", emails=[ANA, *map(at, others)], date=day, minutes=minutes),
            call("find_rooms", date=day, start=start, end=end, capacity=len(others) + 1),
        ],
        proposal=f"All are free, and so is the room. I would move {title!r} ({event}) to {day}, "
        f"{start} to {end}, in the same room. Shall I?",
        does=[call("move_event", event_id=event, **to)],
        report=f"{title!r} is now on {day} from {start} to {end}.",
        wrong=[
            [call("cancel_event", event_id=event)],
            [call("move_event", event_id=event, date="2025-06-27")],
        ],
    )


def on_own_event(
    name: str,
    use: Any,
    *,
    opening: str,
    day: str,
    event: str,
    title: str,
    act: Call,
    what: str,
    looks: list[Call],
    wrong: list[Call],
) -> Script:
    """Something done with an event that Ana organizes."""
    return done_after_yes(
        name,
        use,
        opening=opening,
        looks=[ME, call("list_events", date=day), call("get_event", event_id=event), *looks],
        proposal=f"I would {what} ({title}, {event}, on {day}). Shall I?",
        does=[act],
        report=f"Done for {title!r} on {day}: {what}.",
        wrong=[wrong],
    )


def respond(
    name: str,
    use: Any,
    *,
    opening: str,
    day: str,
    event: str,
    title: str,
    response: str,
    other: str,
) -> Script:
    """An invitation answered."""
    return done_after_yes(
        name,
        use,
        opening=opening,
        looks=[ME, call("list_events", date=day), call("get_event", event_id=event)],
        proposal=f"I would answer the invitation to {title!r} on {day} with {response}. Shall I?",
        does=[call("respond_to_invitation", event_id=event, response=response)],
        report=f"Your answer to {title!r} is {response}.",
        wrong=[[call("respond_to_invitation", event_id=event, response=other)]],
    )


DEMO, RETRO = "Pilot demo rehearsal", "Atlas retrospective"

SCRIPTS: list[Script] = [
    *kind(
        "book-meeting",
        book,
        {
            "opening": "I need half an hour with Tom Becker and Li about the export tomorrow, from "
            "15:00 to 15:30 if everybody can. Call it Export.",
            "find": ["tom becker", "li wei"],
            "people": ["tom.becker", "li.wei"],
            "title": "Export",
            "day": "2025-06-19",
            "start": "15:00",
            "end": "15:30",
            "minutes": 30,
            "room": "room_birch",
        },
        {
            "opening": "Set up Q2 figures with Marc from finance for Monday, 11:00 to 12:00.",
            "find": ["marc"],
            "people": ["marc.dubois"],
            "title": "Q2 figures",
            "day": "2025-06-23",
            "start": "11:00",
            "end": "12:00",
            "minutes": 60,
            "room": "room_fir",
        },
        {
            "opening": "Please invite Omar and Tom Berg to a meeting Hansen visit on 24 June from "
            "14:00 to 15:00, we need a screen.",
            "find": ["omar", "tom berg"],
            "people": ["omar.haddad", "tom.berg"],
            "title": "Hansen visit",
            "day": "2025-06-24",
            "start": "14:00",
            "end": "15:00",
            "minutes": 60,
            "room": "room_birch",
            "equipment": "screen",
        },
        {
            "opening": "Book a meeting Launch with Helena, Monday 23 June, 13:00 to 14:00.",
            "find": ["helena"],
            "people": ["helena.costa"],
            "title": "Launch",
            "day": "2025-06-23",
            "start": "13:00",
            "end": "14:00",
            "minutes": 60,
            "room": "room_fir",
        },
        {
            "opening": "Invite Li, Tom Becker, Marc and Sofia to Budget Q&A, next Monday from "
            "15:00 to 16:00 please.",
            "find": ["li wei", "tom becker", "marc", "sofia"],
            "people": ["li.wei", "tom.becker", "marc.dubois", "sofia.rossi"],
            "title": "Budget Q&A",
            "day": "2025-06-23",
            "start": "15:00",
            "end": "16:00",
            "minutes": 60,
            "room": "room_cedar",
        },
    ),
    *kind(
        "block-time",
        block,
        {
            "opening": "Keep Monday afternoon from 14:00 to 16:00 free for me, as Writing.",
            "title": "Writing",
            "day": "2025-06-23",
            "start": "14:00",
            "end": "16:00",
        },
        {
            "opening": "I want to prepare the launch on Friday, 27 June. Block 09:00 to 11:00 for "
            "it, as Launch preparation.",
            "title": "Launch preparation",
            "day": "2025-06-27",
            "start": "09:00",
            "end": "11:00",
        },
        {
            "opening": "Block tomorrow from 16:00 to 17:00 as Reading, please.",
            "title": "Reading",
            "day": "2025-06-19",
            "start": "16:00",
            "end": "17:00",
        },
    ),
    *kind(
        "move-meeting",
        move,
        {
            "opening": "My one-to-one with Tom tomorrow is too early, make it 16:00 to 16:30.",
            "event": "evt_202",
            "title": "Ana and Tom",
            "day": "2025-06-19",
            "start": "16:00",
            "end": "16:30",
            "others": ["tom.becker"],
            "minutes": 30,
            "old_day": "2025-06-19",
            "same_day": True,
        },
        {
            "opening": "Move the Atlas retrospective of 24 June to the day after, 15:30 to 16:30, "
            "same room if it is free.",
            "event": "evt_208",
            "title": RETRO,
            "day": "2025-06-25",
            "start": "15:30",
            "end": "16:30",
            "others": ["tom.becker", "li.wei"],
            "minutes": 60,
            "old_day": "2025-06-24",
        },
        {
            "opening": "The rehearsal of the pilot demo on 26 June should be from 15:00 to 16:00 "
            "instead. Same room.",
            "event": "evt_213",
            "title": DEMO,
            "day": "2025-06-26",
            "start": "15:00",
            "end": "16:00",
            "others": ["tom.becker", "tom.berg"],
            "minutes": 60,
            "old_day": "2025-06-26",
            "same_day": True,
        },
    ),
    *kind(
        "cancel-meeting",
        on_own_event,
        {
            "opening": "Cancel the rehearsal of the pilot demo on 26 June, the demo is off.",
            "day": "2025-06-26",
            "event": "evt_213",
            "title": DEMO,
            "looks": [],
            "act": call("cancel_event", event_id="evt_213"),
            "what": "cancel it for everybody",
            "wrong": [call("cancel_event", event_id="evt_208")],
        },
        {
            "opening": "We don't need the retrospective on 24 June, please cancel it.",
            "day": "2025-06-24",
            "event": "evt_208",
            "title": RETRO,
            "looks": [],
            "act": call("cancel_event", event_id="evt_208"),
            "what": "cancel it for everybody",
            "wrong": [call("respond_to_invitation", event_id="evt_207", response="declined")],
        },
        {
            "opening": "No one-to-one with Tom tomorrow, please. Cancel it.",
            "day": "2025-06-19",
            "event": "evt_202",
            "title": "Ana and Tom",
            "looks": [],
            "act": call("cancel_event", event_id="evt_202"),
            "what": "cancel it for everybody",
            "wrong": [call("cancel_event", event_id="evt_201")],
        },
    ),
    *kind(
        "invite-one-more",
        on_own_event,
        {
            "opening": "Omar should come to the rehearsal of the demo on 26 June too.",
            "day": "2025-06-26",
            "event": "evt_213",
            "title": DEMO,
            "looks": [
                call("find_people", text="omar"),
                call("find_free_times", emails=[at("omar.haddad")], date="2025-06-26", minutes=60),
            ],
            "act": call("add_attendee", event_id="evt_213", email=at("omar.haddad")),
            "what": "invite omar.haddad@lumen.example, who is free then",
            "wrong": [call("add_attendee", event_id="evt_213", email=at("li.wei"))],
        },
        {
            "opening": "Please invite Li to the demo rehearsal on 26 June as well.",
            "day": "2025-06-26",
            "event": "evt_213",
            "title": DEMO,
            "looks": [
                call("find_people", text="li wei"),
                call("list_events", date="2025-06-26", email=at("li.wei")),
            ],
            "act": call("add_attendee", event_id="evt_213", email=at("li.wei")),
            "what": "invite li.wei@lumen.example, who is free then",
            "wrong": [call("add_attendee", event_id="evt_208", email=at("omar.haddad"))],
        },
        {
            "opening": "Sofia would like to join our retrospective on 24 June. Invite her.",
            "day": "2025-06-24",
            "event": "evt_208",
            "title": RETRO,
            "looks": [
                call("find_people", text="sofia"),
                call("list_events", date="2025-06-24", email=at("sofia.rossi")),
            ],
            "act": call("add_attendee", event_id="evt_208", email=at("sofia.rossi")),
            "what": "invite sofia.rossi@lumen.example, who is free then",
            "wrong": [call("add_attendee", event_id="evt_201", email=at("sofia.rossi"))],
        },
    ),
    *kind(
        "take-off-event",
        on_own_event,
        {
            "opening": "Yusuf is away anyway: take him off the retrospective on 24 June.",
            "day": "2025-06-24",
            "event": "evt_208",
            "title": RETRO,
            "looks": [],
            "act": call("remove_attendee", event_id="evt_208", email=at("yusuf.demir")),
            "what": "take yusuf.demir@lumen.example off it",
            "wrong": [call("remove_attendee", event_id="evt_201", email=at("yusuf.demir"))],
        },
        {
            "opening": "Tom Berg doesn't have to come to the rehearsal on 26 June. Uninvite him.",
            "day": "2025-06-26",
            "event": "evt_213",
            "title": DEMO,
            "looks": [],
            "act": call("remove_attendee", event_id="evt_213", email=at("tom.berg")),
            "what": "take tom.berg@lumen.example off it",
            "wrong": [call("remove_attendee", event_id="evt_213", email=at("tom.becker"))],
        },
        {
            "opening": "Li can skip our weekly tomorrow, take him off.",
            "day": "2025-06-19",
            "event": "evt_201",
            "title": "Atlas weekly",
            "looks": [],
            "act": call("remove_attendee", event_id="evt_201", email=at("li.wei")),
            "what": "take li.wei@lumen.example off it",
            "wrong": [call("cancel_event", event_id="evt_201")],
        },
    ),
    *kind(
        "answer-invitation",
        respond,
        {
            "opening": "Tell Marc I come to the budget review on Friday.",
            "day": "2025-06-20",
            "event": "evt_203",
            "title": "Budget review",
            "response": "accepted",
            "other": "tentative",
        },
        {
            "opening": "I can't make the sales sync tomorrow, decline it.",
            "day": "2025-06-19",
            "event": "evt_205",
            "title": "Sales sync",
            "response": "declined",
            "other": "tentative",
        },
        {
            "opening": "I might come to the lunch talk on 24 June, put me down as tentative.",
            "day": "2025-06-24",
            "event": "evt_207",
            "title": "Lunch talk",
            "response": "tentative",
            "other": "accepted",
        },
    ),
    *kind(
        "not-hers-to-move",
        refused,
        {
            "opening": "Move the budget review on Friday to 14:00.",
            "looks": [
                ME,
                call("list_events", date="2025-06-20"),
                call("get_event", event_id="evt_203"),
            ],
            "reason": "Only its organizer, Marc Dubois, can move the budget review; you could "
            "decline it or write to him.",
            "words": ["marc"],
            "wrong": [call("respond_to_invitation", event_id="evt_203", response="declined")],
        },
        {
            "opening": "Cancel the yearly planning on 25 June for everyone.",
            "looks": [
                ME,
                call("list_events", date="2025-06-25"),
                call("get_event", event_id="evt_212"),
            ],
            "reason": "Only its organizer, Helena Costa, can cancel the yearly planning; you could "
            "decline it or write to her.",
            "words": ["helena"],
            "wrong": [call("respond_to_invitation", event_id="evt_212", response="declined")],
        },
        {
            "opening": "Put the design critique on Friday an hour later, will you?",
            "looks": [
                ME,
                call("list_events", date="2025-06-20"),
                call("get_event", event_id="evt_204"),
            ],
            "reason": "Only its organizer, Yusuf Demir, can move the design critique; you could "
            "write to him.",
            "words": ["yusuf"],
            "wrong": [
                call(
                    "create_event",
                    title="Design critique",
                    date="2025-06-20",
                    start="14:00",
                    end="15:00",
                    attendees=[at("yusuf.demir")],
                )
            ],
        },
    ),
    *kind(
        "cannot-be-booked",
        refused,
        {
            "opening": "Set up an hour with Yusuf on 24 June about the icons.",
            "looks": [
                ME,
                call("find_people", text="yusuf"),
                call("get_person", email=at("yusuf.demir")),
                call(
                    "find_free_times",
                    emails=[ANA, at("yusuf.demir")],
                    date="2025-06-24",
                    minutes=60,
                ),
            ],
            "reason": "Yusuf is away from 23 to 27 June, so he cannot meet you then.",
            "words": ["away"],
            "answer": "Then I'll ask him when he is back.",
            "wrong": [
                call(
                    "create_event",
                    title="Icons",
                    date="2025-06-24",
                    start="10:00",
                    end="11:00",
                    attendees=[at("yusuf.demir")],
                    room="room_fir",
                )
            ],
        },
        {
            "opening": "I want a meeting with Omar tomorrow at 18:00.",
            "looks": [ME, call("find_people", text="omar")],
            "reason": "Meetings have to lie between 09:00 and 17:00.",
            "words": ["17:00"],
            "wrong": [
                call(
                    "create_event",
                    title="Meeting",
                    date="2025-06-19",
                    start="18:00",
                    end="19:00",
                    attendees=[at("omar.haddad")],
                    room="room_fir",
                )
            ],
        },
        {
            "opening": "Book a workshop with Li for this Saturday, 10:00 to 12:00.",
            "looks": [ME, call("find_people", text="li wei")],
            "reason": "Saturday, 21 June, is no day for meetings; they lie from Monday to Friday.",
            "words": ["saturday"],
            "wrong": [
                call(
                    "create_event",
                    title="Workshop",
                    date="2025-06-21",
                    start="10:00",
                    end="12:00",
                    attendees=[at("li.wei")],
                    room="room_fir",
                )
            ],
        },
    ),
    *kind(
        "about-calendar",
        answered,
        {
            "opening": "What's in my calendar tomorrow?",
            "looks": [ME, call("list_events", date="2025-06-19")],
            "answer": "Tomorrow: Atlas weekly at 10:00, Sales sync at 11:00 (not answered yet), "
            "and "
            "Ana and Tom at 14:00.",
            "words": ["atlas weekly", "sales sync", "14:00"],
        },
        {
            "opening": "When could Helena, Marc and I meet for an hour on 25 June, at the "
            "earliest?",
            "looks": [
                ME,
                call("find_people", text="helena"),
                call("find_people", text="marc"),
                call(
                    "find_free_times",
                    emails=[ANA, at("helena.costa"), at("marc.dubois")],
                    date="2025-06-25",
                    minutes=60,
                ),
            ],
            "answer": "At the earliest at 09:00, until your interview at 10:00; then from 11:00 "
            "on.",
            "words": ["09:00"],
        },
        {
            "opening": "Is there a free room with video on Friday from 09:30 to 10:30? Which?",
            "looks": [
                ME,
                call(
                    "find_rooms", date="2025-06-20", start="09:30", end="10:30", equipment="video"
                ),
            ],
            "answer": "No: Oak is the only room with video, and it is taken then.",
            "words": ["oak"],
        },
        {
            "opening": "When is Yusuf away, and when is he back?",
            "looks": [
                ME,
                call("find_people", text="yusuf"),
                call("get_person", email=at("yusuf.demir")),
            ],
            "answer": "Yusuf is away from 23 June to 27 June, so he is back on Monday, 30 June.",
            "words": ["27 june", "30 june"],
        },
    ),
]
