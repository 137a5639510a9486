"""Parquet, one row a conversation: `id`, `reward`, `messages` and `tools` (JSON text).

Messages are lists of structs with the fields of OpenAI's format, so everything of a complete
conversation is held. Row groups are written and read one by one. Needs pyarrow, the extra
`parquet`.
"""

import math
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

from simia_async.errors import UsageError
from simia_async.formats import openai
from simia_async.formats.conversation import Conversation
from simia_async.formats.json_text import compact
from simia_async.formats.normal_form import name_of
from simia_async.formats.refusals import NotWritable

ROWS_IN_A_GROUP = 256


def write_parquet(path: Path, conversations: Iterable[Conversation]) -> None:
    """Write them all. Raises `NotWritable` for one that is incomplete, `OSError` as files do."""
    arrow, parquet = _pyarrow()
    schema = _schema(arrow)
    left = iter(conversations)
    with parquet.ParquetWriter(path, schema) as writer:
        while rows := [_row(conversation) for conversation in islice(left, ROWS_IN_A_GROUP)]:
            writer.write_table(arrow.Table.from_pylist(rows, schema=schema))


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of any Parquet file, without nulls and NaN. Raises `UsageError` if it is none."""
    arrow, parquet = _pyarrow()
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=ROWS_IN_A_GROUP):
                yield from map(_what_is_known, batch.to_pylist())
    except arrow.ArrowException as error:
        raise UsageError(f"{path}: cannot be read as Parquet: {error}") from error


def _row(conversation: Conversation) -> dict[str, Any]:
    if conversation.incomplete is not None:
        raise NotWritable(f"{name_of(conversation)}: is incomplete: {conversation.incomplete}")
    return openai.write(conversation) | {"tools": compact(conversation.tools)}


def _what_is_known(row: dict[str, Any]) -> dict[str, Any]:
    """A row without nulls, and without NaN, which pandas writes in their place."""
    return {key: value for key, value in row.items() if value is not None and not _is_nan(value)}


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _schema(arrow: ModuleType) -> Any:
    text = arrow.string()
    function = arrow.struct([("name", text), ("arguments", text)])
    call = arrow.struct([("id", text), ("type", text), ("function", function)])
    message = arrow.struct(
        [
            ("role", text),
            ("content", text),
            ("name", text),
            ("tool_call_id", text),
            ("reasoning_content", text),
            ("tool_calls", arrow.list_(call)),
        ]
    )
    columns = {"id": text, "reward": arrow.float64(), "messages": arrow.list_(message)}
    return arrow.schema([*columns.items(), ("tools", text)])


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise UsageError(
            "Parquet needs pyarrow, which is not installed: pip install 'simia-async[parquet]'"
        ) from error
