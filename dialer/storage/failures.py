"""What the database said, translated into a `StorageError` that says what to do.

No message carries a statement's parameters, since those are people's numbers, nor a password.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import exc

from dialer.errors import StorageError


class RowRefused(StorageError):
    """The database is well, and refuses this very row: trying again is of no use, the other rows are not concerned."""

    about_input = True

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=False)


_UPGRADE: Final = "its tables are missing or old: run `cadencia db upgrade`"
_FULL: Final = "the disk is full: free some space; what waits to be written is kept and written then"
_BUSY: Final = (
    "another process holds it: this passes by itself; a backup or a shell with an open transaction may be why"
)
_REACH: Final = "out of reach: is the server running, and are host and port in database.url right?"
_SIGN_IN: Final = "refused the sign-in: check user and password in database.url"

#: SQLSTATE, or its class (the first two characters): what to do, and whether waiting helps.
_BY_STATE: Final[dict[str, tuple[str, bool]]] = {
    "08": (_REACH, True),
    "25006": ("it is a standby that takes no writes: point database.url to the primary", True),
    "28": (_SIGN_IN, False),
    "3D000": ("there is no such database: create it, then run `cadencia db upgrade`", False),
    "40": ("it gave way to another transaction: this passes by itself", True),
    "42501": ("the user may not do this: grant the rights on the database's tables", False),
    "42P01": (_UPGRADE, False),
    "42703": (_UPGRADE, False),
    "53100": (_FULL, True),
    "53": ("the server is short of memory or connections: raise max_connections or stop other clients", True),
    "55": (_BUSY, True),
    "57": ("the server is shutting down, starting, or cancelled the statement: this passes by itself", True),
    "58": ("the server met an error of its system: see its log", True),
}
#: Advice that catalogues have; the rest they know as trouble with the database.
ADVICE_CODES: Final = {_REACH: "database_away", _BUSY: "database_busy", _FULL: "database_full"}
#: Classes in which the row itself is at fault: data exception, integrity constraint.
_ROW_CLASSES: Final = frozenset({"22", "23"})

_SQLITE: Final[tuple[tuple[str, str, bool], ...]] = (
    ("locked", _BUSY, True),
    ("busy", _BUSY, True),
    ("disk is full", _FULL, True),
    ("disk i/o error", "the disk failed to read or write: see the system's log", True),
    ("no such table", _UPGRADE, False),
    ("no such column", _UPGRADE, False),
    ("has no column", _UPGRADE, False),
    ("readonly", "the file or its folder may not be written: correct the owner or the rights", False),
    ("unable to open", "the file cannot be opened: does its folder exist, and may it be written?", False),
    ("not a database", "the file is no SQLite database: set database.url to another, or restore a backup", False),
    ("malformed", "the file is damaged: stop the dialer and restore a backup", False),
)


def explain(error: BaseException, where: str) -> StorageError:
    """The `StorageError` that says what `error`, raised by driver or SQLAlchemy, means for the operator.

    Args:
        error: as raised.
        where: the database, without its password.
    """
    if isinstance(error, StorageError):
        return error
    chain = list(_causes(error))
    for cause in chain:
        state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
        if isinstance(state, str):
            return _of_postgresql(state, cause, where)
        if isinstance(cause, sqlite3.Error):
            return _of_sqlite(cause, where)
    for cause in chain:
        if isinstance(cause, exc.TimeoutError):
            return StorageError(f"database {where}: all connections are in use: this passes when the load does")
        if isinstance(cause, (TimeoutError, asyncio.TimeoutError, OSError)):
            return StorageError(f"database {where}: {_REACH}", code="database_away", where=where)
        if isinstance(cause, (OverflowError, UnicodeError)):
            return RowRefused(f"database {where}: a value is outside of what it can keep ({type(cause).__name__})")
    driver = chain[-1] if chain else error
    name = type(driver).__name__
    if any(type(cause).__name__ == "DataError" for cause in chain):
        return RowRefused(f"database {where}: a value is outside of what its column can keep")
    # asyncpg's InterfaceError and InternalClientError: the connection went away between two statements.
    retryable = name in {"InterfaceError", "InternalClientError", "ConnectionDoesNotExistError"} or bool(
        getattr(error, "connection_invalidated", False)
    )
    return StorageError(f"database {where}: {_REACH if retryable else name}", retryable=retryable)


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Let nothing but `StorageError` out, for whatever the database may raise inside."""
    try:
        yield
    except StorageError:
        raise
    except (exc.SQLAlchemyError, sqlite3.Error, OSError, OverflowError, UnicodeError) as error:
        raise explain(error, where) from error
    except Exception as error:
        # asyncpg used directly (COPY) raises its own tree, which has no common root with the above.
        if type(error).__module__.startswith("asyncpg"):
            raise explain(error, where) from error
        raise


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    queue = [error]
    while queue:
        cause = queue.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        queue.extend(c for c in (getattr(cause, "orig", None), cause.__cause__) if isinstance(c, BaseException))


def _of_postgresql(state: str, cause: BaseException, where: str) -> StorageError:
    if state[:2] in _ROW_CLASSES:
        return RowRefused(f"database {where}: it refuses the row (SQLSTATE {state})")
    advice, retryable = _BY_STATE.get(state) or _BY_STATE.get(state[:2]) or (f"{type(cause).__name__}", False)
    code = ADVICE_CODES.get(advice, "")
    told = {"where": where} if code else {}
    return StorageError(f"database {where}: {advice} (SQLSTATE {state})", retryable=retryable, code=code, **told)


def _of_sqlite(cause: sqlite3.Error, where: str) -> StorageError:
    text = str(cause).lower()
    if isinstance(cause, (sqlite3.IntegrityError, sqlite3.DataError)):
        return RowRefused(f"database {where}: it refuses the row ({cause})")
    for sign, advice, retryable in _SQLITE:
        if sign in text:
            code = ADVICE_CODES.get(advice, "")
            told = {"where": where} if code else {}
            return StorageError(f"database {where}: {advice}", retryable=retryable, code=code, **told)
    return StorageError(f"database {where}: {cause}", retryable=False)
