"""Tools for spreadsheets: tables with named columns."""

from typing import Any

from simia_async.builtin.exact.binding import State
from simia_async.builtin.exact.office.rights import allow, found, next_id
from simia_async.environments.tool_effects import ToolError

Cell = str | int | float


def list_sheets(state: State) -> Any:
    """All tables."""
    return {
        "sheets": [
            {
                "sheet_id": key,
                **{name: it[name] for name in ("title", "owner", "columns")},
                "row_count": len(it["rows"]),
            }
            for key, it in state["sheets"].items()
        ]
    }


def get_sheet(state: State, sheet_id: str) -> Any:
    """A whole table."""
    return found(state, "sheets", sheet_id)


def find_rows(state: State, sheet_id: str, column: str, value: Cell) -> Any:
    """Rows with a value in a column."""
    sheet = found(state, "sheets", sheet_id)
    _check_columns(sheet, sheet_id, [column])
    rows = {key: row for key, row in sheet["rows"].items() if row[column] == value}
    return {"sheet_id": sheet_id, "found": rows, "count": len(rows)}


def sum_column(
    state: State,
    sheet_id: str,
    column: str,
    where_column: str | None = None,
    where_value: Cell | None = None,
) -> Any:
    """The sum of a column, of all rows or of those with a value in another."""
    sheet = found(state, "sheets", sheet_id)
    _check_columns(sheet, sheet_id, [column, *([where_column] if where_column else [])])
    chosen = [
        row
        for row in sheet["rows"].values()
        if where_column is None or row[where_column] == where_value
    ]
    if not all(isinstance(row[column], int | float) for row in chosen):
        raise ToolError(f"{sheet_id}: column {column} holds text")
    total = round(sum(row[column] for row in chosen), 2)
    return {"sheet_id": sheet_id, "column": column, "sum": total, "count": len(chosen)}


def set_cell(state: State, sheet_id: str, row: str, column: str, value: Cell) -> Any:
    """Another value in one cell."""
    sheet = _for_edit(state, sheet_id)
    _check_columns(sheet, sheet_id, [column])
    cells = _row(sheet, sheet_id, row)
    if cells[column] == value:
        raise ToolError(f"{sheet_id}: {column} of {row} is {value!r} already")
    cells[column] = value
    return {"sheet_id": sheet_id, "row": row, "cells": cells}


def add_row(state: State, sheet_id: str, cells: dict[str, Cell]) -> Any:
    """A new last row."""
    sheet = _for_edit(state, sheet_id)
    _check_columns(sheet, sheet_id, cells)
    if missing := [name for name in sheet["columns"] if name not in cells]:
        raise ToolError(f"{sheet_id}: the row lacks {', '.join(missing)}")
    key = next_id(sheet["rows"], "r")
    sheet["rows"][key] = {name: cells[name] for name in sheet["columns"]}
    return {"sheet_id": sheet_id, "row": key, "cells": sheet["rows"][key]}


def delete_row(state: State, sheet_id: str, row: str) -> Any:
    """Away with a row; the others keep their ids."""
    sheet = _for_edit(state, sheet_id)
    _row(sheet, sheet_id, row)
    del sheet["rows"][row]
    return {"sheet_id": sheet_id, "row": row, "deleted": True}


def _row(sheet: dict[str, Any], sheet_id: str, row: str) -> dict[str, Cell]:
    cells: dict[str, Cell] | None = sheet["rows"].get(row)
    if cells is None:
        raise ToolError(f"{sheet_id}: has no row {row}")
    return cells


def _check_columns(sheet: dict[str, Any], sheet_id: str, names: Any) -> None:
    for name in names:
        if name not in sheet["columns"]:
            raise ToolError(f"{sheet_id}: no column {name!r}; it has {', '.join(sheet['columns'])}")


def _for_edit(state: State, sheet_id: str) -> dict[str, Any]:
    sheet = found(state, "sheets", sheet_id)
    allow(state, sheet, sheet_id, "edit")
    return sheet
