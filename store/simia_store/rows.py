"""How a record becomes a row, and a row a record again."""

from math import isfinite
from typing import Any, TypeVar

import msgspec

from simia_store.compression import Decompressor, is_compressed
from simia_store.records import Record, TurnRecord
from simia_store.schema import TABLES

_encode = msgspec.json.Encoder().encode

R = TypeVar("R", bound=msgspec.Struct)

_EMPTY_IS_NULL = ("ops", "prompt_ids", "token_ids", "logprobs")
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
    """Column values of a record; lists and dictionaries become JSON.

    Raises `ValueError` or `TypeError` for what JSON cannot hold.
    """
    empty = None if type(record) is TurnRecord else b"[]"
    return tuple(
        [
            (_encode_finite(value) if value else empty)
            if isinstance(value, list)
            else _encode(value)
            if isinstance(value, dict)
            else value
            for value in msgspec.structs.astuple(record)
        ]
    )


def _encode_finite(values: list[Any]) -> bytes:
    # Numbers of one list are of one kind, apart from the None of a missing reward.
    if isinstance(values[0], float) or values[0] is None:
        for value in values:
            if value is not None and not isfinite(value):
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
        elif value is not None or name not in _EMPTY_IS_NULL:
            decoded[name] = value
    # Not strict: SQLite keeps truth values as 0 and 1.
    return msgspec.convert(decoded, record_type, strict=False)
