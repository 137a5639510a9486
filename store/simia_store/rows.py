"""How a record becomes a row, and a row a record again."""

from math import isfinite
from typing import Any, TypeVar, get_origin, get_type_hints

import msgspec

from simia_store.compression import Decompressor, is_compressed
from simia_store.records import Record, TurnRecord
from simia_store.schema import TABLES

_encode = msgspec.json.Encoder().encode

R = TypeVar("R", bound=msgspec.Struct)


def _columns_of(record_type: type[Any], *kinds: type[Any]) -> tuple[int, ...]:
    hints = get_type_hints(record_type).values()
    return tuple(i for i, hint in enumerate(hints) if (get_origin(hint) or hint) in kinds)


_JSON_COLUMNS = {kind: _columns_of(kind, list, dict) for kind in TABLES}
_BOOL_COLUMNS = {kind: _columns_of(kind, bool) for kind in TABLES}
"""Looked up once: the writer has no time for it."""

_SPARSE = ("ops", "prompt_ids", "token_ids", "logprobs")
"""Fields of a turn that most turns leave empty."""


def insert_statement(record_type: type[Any]) -> str:
    """SQL that writes one record of this type."""
    table = TABLES[record_type]
    columns = record_type.__struct_fields__
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    statement = f"INSERT INTO {table.name} ({names}) VALUES ({marks})"
    if table.key:
        updates = ", ".join(f"{c} = excluded.{c}" for c in columns if c != table.key)
        statement += f" ON CONFLICT ({table.key}) DO UPDATE SET {updates}"
    return statement


def to_row(record: Record) -> tuple[Any, ...]:
    """Column values of a record; lists and dictionaries become JSON, a turn's empty lists nothing.

    Of the types that Python's sqlite3 binds, `bytes`, `bool` and None cost several times as much
    as `bytearray`, `int` and the empty text: it looks for an adapter for each of them. Raises
    `ValueError` or `TypeError` for what JSON cannot hold.
    """
    row = msgspec.structs.astuple(record)
    kind = type(record)
    if not _JSON_COLUMNS[kind]:
        return row
    columns = list(row)
    for index in _JSON_COLUMNS[kind]:
        value = columns[index]
        if not value and kind is TurnRecord and type(value) is list:
            columns[index] = ""
        else:
            encoded = _encode(value) if type(value) is dict else _encode_list(value)
            columns[index] = bytearray(encoded)
    for index in _BOOL_COLUMNS[kind]:
        columns[index] = int(columns[index])
    return tuple(columns)


def _encode_list(values: list[Any]) -> bytes:
    # Numbers of one list are of one kind, apart from the None of a missing reward.
    if values and (values[0] is None or isinstance(values[0], float)):
        for number in values:
            if number is not None and not isfinite(number):
                raise ValueError("JSON has no infinite numbers and no NaN")
    return _encode(values)


def from_row(record_type: type[R], row: tuple[Any, ...], decompressor: Decompressor) -> R:
    """The record that `to_row` made this row from."""
    decoded = {}
    for name, value in zip(record_type.__struct_fields__, row, strict=True):
        if isinstance(value, bytes):
            if is_compressed(value):
                value = decompressor.decompress(value)
            decoded[name] = msgspec.json.decode(value)
        elif value or name not in _SPARSE:
            decoded[name] = value
    # Not strict: SQLite keeps truth values as 0 and 1.
    return msgspec.convert(decoded, record_type, strict=False)
