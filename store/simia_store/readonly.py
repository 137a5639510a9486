"""A connection that only reads, to whatever lies at a path."""

import sqlite3
from pathlib import Path

from simia_store.errors import StoreError
from simia_store.schema import SCHEMA_VERSION, check_identity


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A read-only connection to a run of today's schema.

    Raises `StoreError` if there is none, or it has to be upgraded first.
    """
    database, version = connect_to_any(path)
    if version == SCHEMA_VERSION:
        return database
    database.close()
    raise StoreError(
        f"{path}: is empty; its run has not begun to write yet"
        if version == 0
        else f"{path}: was written by an older simia-async (schema {version}, this one reads "
        f"{SCHEMA_VERSION}); bring it up to date with: simia runs upgrade {path}"
    )


def connect_to_any(path: Path) -> tuple[sqlite3.Connection, int]:
    """A read-only connection to a run, and its schema version. Raises `StoreError` if it is none.

    Nothing is made or changed where something else lies.
    """
    if not path.is_file():
        raise StoreError(f"{path}: no such run database")
    uri = f"{path.absolute().as_uri()}?mode=ro"
    try:
        try:
            return _checked(uri, path)
        except sqlite3.OperationalError as error:
            # A WAL database wants to write even to be read. Where it may not, and no log is left
            # to read, the file alone is the whole run.
            log = path.with_name(path.name + "-wal")
            if log.exists() and log.stat().st_size:
                raise StoreError(
                    f"{path}: {error}; {log.name} beside it, left by an owner that was killed, can "
                    "be read only in a directory that can be written; copy both there"
                ) from error
            return _checked(uri + "&immutable=1", path)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: not a run database: {error}") from error


def _checked(uri: str, path: Path) -> tuple[sqlite3.Connection, int]:
    database = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    try:
        return database, check_identity(database, path)
    except BaseException:
        database.close()
        raise
