"""The tools of `office`."""

from declaring import Argument, Declared, flag, maybe, reads, text, texts, whole, writes

EMAIL = text("E-mail address of a colleague, for example tom.becker@lumen.example.")
DOCUMENT = text("Id of a document, for example doc_101.")
EVENT = text("Id of an event, for example evt_201.")
MESSAGE = text("Id of a message, for example msg_301.")
SHEET = text("Id of a sheet, for example sheet_401.")
ROW = text("Id of a row, for example r1.")
COLUMN = text("Name of a column.")
DAY = text("Day, as YYYY-MM-DD.")
TIME = text("Time of the day, as HH:MM.")
ROOM = text("Id of a room, for example room_oak.")
CELL = Argument({"type": ["string", "number"], "description": "Text or number."})
CELLS = Argument(
    {
        "type": "object",
        "additionalProperties": {"type": ["string", "number"]},
        "description": "A value for every column, by its name.",
    }
)

PEOPLE = [
    reads("get_me", "Tell who is signed in, and what day it is.", "/me"),
    reads(
        "find_people",
        "Find colleagues whose name, title or team holds a text.",
        text=text("Part of a name, title or team; capitals make no difference."),
    ),
    reads(
        "get_person",
        "Tell all about a colleague: name, title, team, manager, and when they are away.",
        "/people/{email}",
        email=EMAIL,
    ),
]

DOCUMENTS = [
    reads(
        "search_documents",
        "List documents that hold a text in title or body; all, if no text is given.",
        text=maybe(text("The text; capitals make no difference.")),
        folder=maybe(text("Only those in this folder.")),
    ),
    reads(
        "get_document",
        "Read a document: title, folder, owner, body, who has access, comments.",
        "/documents/{document_id}",
        document_id=DOCUMENT,
    ),
    writes(
        "create_document",
        "Make a document of the user's own, shared with nobody. Ids count up.",
        "/documents",
        title=text("Its title."),
        folder=text("The folder it goes to."),
        body=text("Its text; may be empty."),
    ),
    writes(
        "replace_in_document",
        "Replace a text by another wherever it stands in a body. Needs edit access.",
        "/documents/{document_id}/body",
        "/documents/{document_id}/modified",
        document_id=DOCUMENT,
        old=text("What stands there now, exactly."),
        new=text("What is to stand there."),
    ),
    writes(
        "append_to_document",
        "Add a text as a new last line of a body. Needs edit access.",
        "/documents/{document_id}/body",
        "/documents/{document_id}/modified",
        document_id=DOCUMENT,
        text=text("The text."),
    ),
    writes(
        "move_document",
        "Put a document of the user's own into another folder.",
        "/documents/{document_id}/folder",
        document_id=DOCUMENT,
        folder=text("The folder it goes to."),
    ),
    writes(
        "share_document",
        "Give a colleague access to a document of the user's own, other access, or none.",
        "/documents/{document_id}/access",
        document_id=DOCUMENT,
        email=EMAIL,
        access=text("What they may do.", "none", "view", "comment", "edit"),
    ),
    writes(
        "comment_on_document",
        "Put a comment on a document. Needs comment or edit access. Ids count up: c1, c2, …",
        "/documents/{document_id}/comments",
        document_id=DOCUMENT,
        text=text("The comment."),
    ),
    writes(
        "resolve_comment",
        "Mark a comment as dealt with. Needs comment or edit access.",
        "/documents/{document_id}/comments/{comment_id}/resolved",
        document_id=DOCUMENT,
        comment_id=text("Id of the comment, for example c1."),
    ),
]

CALENDAR = [
    reads(
        "list_events",
        "List the events of the user, or of a colleague, on a day or from day to day. What was "
        "declined is left out.",
        date=DAY,
        last_date=maybe(text("Last day, as YYYY-MM-DD; the same day if left out.")),
        email=maybe(EMAIL),
    ),
    reads(
        "get_event",
        "Tell all about an event: time, organizer, room, attendees and their answers.",
        "/events/{event_id}",
        event_id=EVENT,
    ),
    reads(
        "find_free_times",
        "Find when all of some people are free between 09:00 and 17:00 of a day, and who of them "
        "is away all day.",
        emails=texts("E-mail addresses of colleagues; the user's own too, if they take part."),
        date=DAY,
        minutes=whole("For how long they must be free."),
    ),
    reads(
        "find_rooms",
        "Find rooms that are free at a time, with capacity and equipment.",
        date=DAY,
        start=TIME,
        end=TIME,
        capacity=maybe(whole("For how many people; 1 if left out.")),
        equipment=maybe(text("What it must have.", "screen", "whiteboard", "video")),
    ),
    writes(
        "create_event",
        "Make an event that the user organizes, and invite colleagues; each is `pending` until "
        "they answer. Ids count up.",
        "/events",
        title=text("Its title."),
        date=DAY,
        start=TIME,
        end=TIME,
        attendees=texts("E-mail addresses of the others; empty for time of one's own."),
        room=maybe(ROOM),
    ),
    writes(
        "move_event",
        "Give an event of the user's own another day, time or room; answers stay as they are.",
        "/events/{event_id}",
        event_id=EVENT,
        date=maybe(DAY),
        start=maybe(TIME),
        end=maybe(TIME),
        room=maybe(ROOM),
    ),
    writes(
        "cancel_event",
        "Cancel an event of the user's own for everybody.",
        "/events/{event_id}",
        event_id=EVENT,
    ),
    writes(
        "add_attendee",
        "Invite one more colleague to an event of the user's own.",
        "/events/{event_id}/attendees",
        event_id=EVENT,
        email=EMAIL,
    ),
    writes(
        "remove_attendee",
        "Take a colleague off an event of the user's own.",
        "/events/{event_id}/attendees",
        event_id=EVENT,
        email=EMAIL,
    ),
    writes(
        "respond_to_invitation",
        "Answer an invitation of the user, or change the answer.",
        "/events/{event_id}/attendees",
        event_id=EVENT,
        response=text("The answer.", "accepted", "tentative", "declined"),
    ),
]

MAIL = [
    reads(
        "search_mail",
        "List the user's messages that fit all that is asked for, the newest first.",
        text=maybe(text("Text in subject or body; capitals make no difference.")),
        folder=maybe(text("Only in this folder.", "inbox", "sent", "archive", "spam", "trash")),
        sender=maybe(text("Part of the sender's address.")),
        unread=flag("Only what was not read yet."),
    ),
    reads(
        "get_message",
        "Read a message. It does not count as read by that.",
        "/messages/{message_id}",
        message_id=MESSAGE,
    ),
    writes(
        "send_mail",
        "Send a new message; it is kept in `sent`. Ids count up.",
        "/messages",
        to=texts("E-mail addresses."),
        subject=text("The subject."),
        body=text("The text."),
    ),
    writes(
        "reply_to_message",
        "Answer the sender of a message; it is kept in `sent`, with the subject after `Re: `.",
        "/messages",
        message_id=MESSAGE,
        body=text("The text."),
    ),
    writes(
        "forward_message",
        "Send a message on; it is kept in `sent`, with the subject after `Fwd: ` and the text of "
        "the message.",
        "/messages",
        message_id=MESSAGE,
        to=texts("E-mail addresses."),
        note=maybe(text("What stands before it.")),
    ),
    writes(
        "move_message",
        "Put a message into another folder.",
        "/messages/{message_id}/folder",
        message_id=MESSAGE,
        folder=text("The folder.", "inbox", "archive", "spam", "trash"),
    ),
    writes(
        "set_label",
        "Put a label on a message, or take it off.",
        "/messages/{message_id}/labels",
        message_id=MESSAGE,
        label=text("The label, in lower case."),
        on=Argument(
            {"type": "boolean", "description": "False takes it off; true if left out."},
            required=False,
        ),
    ),
    writes(
        "mark_message",
        "Mark a message as read or unread.",
        "/messages/{message_id}/read",
        message_id=MESSAGE,
        read=Argument({"type": "boolean", "description": "True for read."}),
    ),
]

SHEETS = [
    reads("list_sheets", "List the sheets with their columns and how many rows they have."),
    reads(
        "get_sheet",
        "Read a sheet: title, owner, who has access, columns, and rows by their ids.",
        "/sheets/{sheet_id}",
        sheet_id=SHEET,
    ),
    reads(
        "find_rows",
        "Find the rows that have exactly this value in a column.",
        sheet_id=SHEET,
        column=COLUMN,
        value=CELL,
    ),
    reads(
        "sum_column",
        "Add up a column of numbers, of all rows or of those with a value in another column.",
        sheet_id=SHEET,
        column=COLUMN,
        where_column=maybe(text("Column that chooses rows.")),
        where_value=maybe(CELL),
    ),
    writes(
        "set_cell",
        "Set one cell. Needs edit access.",
        "/sheets/{sheet_id}/rows/{row}",
        sheet_id=SHEET,
        row=ROW,
        column=COLUMN,
        value=CELL,
    ),
    writes(
        "add_row",
        "Add a row at the end. Needs edit access. Ids count up.",
        "/sheets/{sheet_id}/rows",
        sheet_id=SHEET,
        cells=CELLS,
    ),
    writes(
        "delete_row",
        "Delete a row; the others keep their ids. Needs edit access.",
        "/sheets/{sheet_id}/rows/{row}",
        sheet_id=SHEET,
        row=ROW,
    ),
    reads(
        "hand_over_to_human",
        "Hand the conversation over to people of a team.",
        team=text("The team.", "IT", "People", "Finance", "Operations"),
        summary=text("What they must know: who asks, for what, and why it is theirs."),
    ),
]

TOOLS: list[Declared] = [*PEOPLE, *DOCUMENTS, *CALENDAR, *MAIL, *SHEETS]
