"""Scripts about spreadsheets, approvals, and what other people have to settle."""

from typing import Any

from scripting import Call, Say, Script, User, call

from office_world.asking import ME, answered, done_after_yes, kind, refused, told


def set_one(
    name: str,
    use: Any,
    *,
    opening: str,
    sheet: str,
    title: str,
    row: str,
    what: str,
    find: dict[str, Any],
    column: str,
    value: Any,
    other: Any,
) -> Script:
    """One cell."""
    at_row = {"sheet_id": sheet, "row": row, "column": column}
    return done_after_yes(
        name,
        use,
        opening=opening,
        looks=[ME, call("list_sheets"), call("find_rows", sheet_id=sheet, **find)],
        proposal=f"In {title} I would set {column} of {what} ({row}) to {value}. Shall I?",
        does=[call("set_cell", **at_row, value=value)],
        report=f"{column} of {what} is {value} now.",
        wrong=[[call("set_cell", **at_row, value=other)]],
    )


def add(
    name: str,
    use: Any,
    *,
    opening: str,
    sheet: str,
    title: str,
    cells: dict[str, Any],
    slip: dict[str, Any],
) -> Script:
    """One more row."""
    listed = ", ".join(f"{column} {value}" for column, value in cells.items())
    return done_after_yes(
        name,
        use,
        opening=opening,
        looks=[ME, call("list_sheets"), call("get_sheet", sheet_id=sheet)],
        proposal=f"I would add a row to {title}: {listed}. Shall I?",
        does=[call("add_row", sheet_id=sheet, cells=cells)],
        report=f"The row is added to {title}.",
        wrong=[[call("add_row", sheet_id=sheet, cells={**cells, **slip})]],
    )


def delete(
    name: str,
    use: Any,
    *,
    opening: str,
    sheet: str,
    title: str,
    find: dict[str, Any],
    row: str,
    what: str,
    other: str,
) -> Script:
    """A row that is not wanted any more."""
    return done_after_yes(
        name,
        use,
        opening=opening,
        looks=[ME, call("list_sheets"), call("find_rows", sheet_id=sheet, **find)],
        proposal=f"I would delete the row {row} ({what}) of {title}. Shall I?",
        does=[call("delete_row", sheet_id=sheet, row=row)],
        report=f"{what} is no more in {title}.",
        wrong=[[call("delete_row", sheet_id=sheet, row=other)]],
    )


def approve(
    name: str, use: Any, *, opening: str, person: str, rows: list[str], total: str, spared: str
) -> Script:
    """Expenses of the team, within the limit."""
    does = [_approved(row) for row in rows]
    return done_after_yes(
        name,
        use,
        opening=opening,
        looks=[
            ME,
            call("list_sheets"),
            call("find_rows", sheet_id=EXPENSES, column="person", value=person),
        ],
        proposal=f"I would approve {', '.join(rows)} of {person}, {total} EUR together. Shall I?",
        does=does,
        report=f"Approved for {person}: {total} EUR.",
        must_say=[[total]],
        wrong=[[_approved(spared)], [*does, _approved(spared)]],
    )


def hand_over(
    name: str,
    use: Any,
    *,
    opening: str,
    looks: list[Call],
    reason: str,
    team: str,
    summary: str,
    wrong: list[Call],
) -> Script:
    """What is not the assistant's to settle."""
    return Script(
        id=name,
        use=use,
        instructions=told(opening, "If you are offered to be handed over, you agree."),
        goal=f"Handed over to {team}, and nothing is changed: {reason}",
        required=[call("hand_over_to_human", team=team)],
        steps=[
            User(opening),
            ME,
            *looks,
            Say(f"{reason} Shall I hand you over to {team}?"),
            User("Yes, please."),
            call("hand_over_to_human", team=team, summary=summary),
        ],
        wrong=[wrong, [], [call("hand_over_to_human", team="Operations", summary=summary)]],
    )


def _approved(row: str) -> Call:
    return call("set_cell", sheet_id=EXPENSES, row=row, column="status", value="approved")


BUDGET, EXPENSES, PILOTS, EQUIPMENT = "sheet_401", "sheet_402", "sheet_403", "sheet_405"
_BUDGET, _PILOTS = "Atlas budget 2025", "Pilot customers"
_MONITOR = {"column": "what", "value": "Monitor"}

SCRIPTS: list[Script] = [
    *kind(
        "set-cell",
        set_one,
        {
            "opening": "The flyers cost 240.5 EUR. Put that into the Atlas budget as spent.",
            "sheet": BUDGET,
            "title": _BUDGET,
            "row": "r5",
            "what": "Flyers",
            "find": {"column": "item", "value": "Flyers"},
            "column": "spent",
            "value": 240.5,
            "other": 2405,
        },
        {
            "opening": "Kestrel Labs has signed! Set them to active in the pilot customers.",
            "sheet": PILOTS,
            "title": _PILOTS,
            "row": "r3",
            "what": "Kestrel Labs",
            "find": {"column": "customer", "value": "Kestrel Labs"},
            "column": "stage",
            "value": "active",
            "other": "Active",
        },
        {
            "opening": "Yusuf gave the camera K-3 to Li Wei. Please update the equipment sheet.",
            "sheet": EQUIPMENT,
            "title": "Equipment",
            "row": "r3",
            "what": "Camera K-3",
            "find": {"column": "item", "value": "Camera K-3"},
            "column": "holder",
            "value": "Li Wei",
            "other": "Li",
        },
        {
            "opening": "Baltic Rail wants 150 seats now. Correct that in our pilot customers.",
            "sheet": PILOTS,
            "title": _PILOTS,
            "row": "r4",
            "what": "Baltic Rail",
            "find": {"column": "customer", "value": "Baltic Rail"},
            "column": "seats",
            "value": 150,
            "other": 270,
        },
    ),
    *kind(
        "add-row",
        add,
        {
            "opening": "New pilot: Solvang Dairy, contact Ida Lund, stage trial, 15 seats. Add it "
            "to "
            "the pilot customers.",
            "sheet": PILOTS,
            "title": _PILOTS,
            "slip": {"stage": "active"},
            "cells": {
                "customer": "Solvang Dairy",
                "contact": "Ida Lund",
                "stage": "trial",
                "seats": 15,
            },
        },
        {
            "opening": "Add my train to Porto to the team expenses: 2025-06-17, Ana Ribeiro, 64.8 "
            "EUR, Train to Porto, submitted.",
            "sheet": EXPENSES,
            "title": "Team expenses June",
            "slip": {"status": "approved"},
            "cells": {
                "date": "2025-06-17",
                "person": "Ana Ribeiro",
                "what": "Train to Porto",
                "amount": 64.8,
                "status": "submitted",
            },
        },
        {
            "opening": "We plan 150 EUR for stickers in Q3, nothing spent yet. Item Stickers, in "
            "the "
            "Atlas budget.",
            "sheet": BUDGET,
            "title": _BUDGET,
            "slip": {"spent": 150},
            "cells": {"item": "Stickers", "quarter": "Q3", "planned": 150, "spent": 0},
        },
    ),
    *kind(
        "delete-row",
        delete,
        {
            "opening": "Old Mill Bakery is lost for good, delete them from the pilot customers.",
            "sheet": PILOTS,
            "title": _PILOTS,
            "row": "r6",
            "other": "r5",
            "find": {"column": "customer", "value": "Old Mill Bakery"},
            "what": "Old Mill Bakery",
        },
        {
            "opening": "The projector P-1 is broken and gone. Take it out of the equipment sheet.",
            "sheet": EQUIPMENT,
            "title": "Equipment",
            "row": "r4",
            "other": "r3",
            "find": {"column": "item", "value": "Projector P-1"},
            "what": "Projector P-1",
        },
        {
            "opening": "There will be no launch event, so delete it from the Atlas budget.",
            "sheet": BUDGET,
            "title": _BUDGET,
            "row": "r7",
            "other": "r6",
            "find": {"column": "item", "value": "Launch event"},
            "what": "Launch event",
        },
    ),
    *kind(
        "approve-expenses",
        approve,
        {
            "opening": "Approve Yusuf Demir's expenses in June, and tell me how much that is.",
            "person": "Yusuf Demir",
            "rows": ["r3"],
            "total": "349",
            "spared": "r4",
        },
        {
            "opening": "Please approve everything Li Wei has submitted for June. How much is it?",
            "person": "Li Wei",
            "rows": ["r2", "r6"],
            "total": "127.2",
            "spared": "r3",
        },
        {
            "opening": "Li Wei's June expenses are fine with me, approve them and tell me the sum.",
            "person": "Li Wei",
            "rows": ["r2", "r6"],
            "total": "127.2",
            "spared": "r5",
        },
    ),
    *kind(
        "not-hers-to-approve",
        refused,
        {
            "opening": "Approve Tom Becker's monitor in the June expenses.",
            "looks": [ME, call("list_sheets"), call("find_rows", sheet_id=EXPENSES, **_MONITOR)],
            "reason": "The monitor costs 612.9 EUR; above 500 EUR only Finance can approve. I "
            "could "
            "hand you over to Finance.",
            "words": ["finance"],
            "wrong": [_approved("r4")],
        },
        {
            "opening": "My own lunch with Hansen is still only submitted, set it to approved.",
            "looks": [
                ME,
                call("list_sheets"),
                call("find_rows", sheet_id=EXPENSES, column="person", value="Ana Ribeiro"),
            ],
            "reason": "Your own expenses are approved by Finance, not by you.",
            "words": ["finance"],
            "wrong": [_approved("r5")],
        },
        {
            "opening": "Please approve Li Wei's taxi in the June expenses.",
            "start": {"sheets": {EXPENSES: {"rows": {"r6": {"amount": 531.2}}}}},
            "looks": [
                ME,
                call("list_sheets"),
                call("find_rows", sheet_id=EXPENSES, column="what", value="Taxi"),
            ],
            "reason": "It is 531.2 EUR; anything above 500 EUR has to be approved by Finance.",
            "words": ["finance"],
            "wrong": [_approved("r6")],
        },
        {
            "opening": "Delete Tom's train to Berlin from the June expenses, it was not his.",
            "looks": [
                ME,
                call("list_sheets"),
                call("find_rows", sheet_id=EXPENSES, column="person", value="Tom Becker"),
            ],
            "reason": "That item is approved, and what is approved is neither changed nor deleted.",
            "words": ["approved"],
            "wrong": [call("delete_row", sheet_id=EXPENSES, row="r1")],
        },
    ),
    *kind(
        "sum-up",
        answered,
        {
            "opening": "How much has Atlas spent in Q2?",
            "looks": [
                ME,
                call("list_sheets"),
                call(
                    "sum_column",
                    sheet_id=BUDGET,
                    column="spent",
                    where_column="quarter",
                    where_value="Q2",
                ),
            ],
            "answer": "Atlas has spent 5264.75 EUR in Q2.",
            "words": ["5264.75"],
        },
        {
            "opening": "How many seats do our active pilot customers have together?",
            "looks": [
                ME,
                call("list_sheets"),
                call(
                    "sum_column",
                    sheet_id=PILOTS,
                    column="seats",
                    where_column="stage",
                    where_value="active",
                ),
            ],
            "answer": "Together they have 185 seats.",
            "words": ["185"],
        },
        {
            "opening": "What do the June expenses that are only submitted come to?",
            "looks": [
                ME,
                call("list_sheets"),
                call(
                    "sum_column",
                    sheet_id=EXPENSES,
                    column="amount",
                    where_column="status",
                    where_value="submitted",
                ),
            ],
            "answer": "They come to 1176.6 EUR.",
            "words": ["1176.6"],
        },
        {
            "opening": "How much do we plan to spend in Q3?",
            "looks": [
                ME,
                call("list_sheets"),
                call(
                    "sum_column",
                    sheet_id=BUDGET,
                    column="planned",
                    where_column="quarter",
                    where_value="Q3",
                ),
            ],
            "answer": "The plan for Q3 is 10200 EUR.",
            "words": ["10200"],
        },
    ),
    *kind(
        "hand-over",
        hand_over,
        {
            "opening": "I want to talk about a raise for Li.",
            "looks": [],
            "team": "People",
            "reason": "Salaries are settled by the People team.",
            "summary": "Ana Ribeiro would like to talk about a raise for Li Wei.",
            "wrong": [
                call("send_mail", to=["sofia.rossi@lumen.example"], subject="Raise", body="Please.")
            ],
        },
        {
            "opening": "Tom Becker's laptop L-17 does not start any more, what now?",
            "team": "IT",
            "looks": [
                call("list_sheets"),
                call("find_rows", sheet_id=EQUIPMENT, column="holder", value="Tom Becker"),
            ],
            "reason": "Broken devices are for IT.",
            "summary": "Laptop L-17 of Tom Becker does not start. Ana Ribeiro asks for help.",
            "wrong": [call("delete_row", sheet_id=EQUIPMENT, row="r1")],
        },
        {
            "opening": "The invoice of the cloud host has to be paid before 3 July.",
            "looks": [call("search_mail", sender="cloudhost")],
            "team": "Finance",
            "reason": "Payments are made by Finance.",
            "summary": "Ana Ribeiro asks to pay invoice 20418 of the cloud host, 1312.0 EUR, by 3 "
            "July.",
            "wrong": [call("move_message", message_id="msg_316", folder="archive")],
        },
    ),
]
