"""Commands that work on the database itself, since who may use the API cannot be asked of the API; and their deeds."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from dialer.storage.database import Database

T = TypeVar("T")


def on_database(config: Path | None, call: Callable[[Database], Coroutine[Any, Any, T]]) -> T:
    """What `call` makes of the database of the settings."""
    from dialer.settings import load  # noqa: PLC0415
    from dialer.storage import schema  # noqa: PLC0415
    from dialer.storage.opening import open_database  # noqa: PLC0415

    async def run() -> T:
        database = open_database(load(config))
        try:
            await schema.require(database)
            return await call(database)
        finally:
            await database.close()

    return asyncio.run(run())


async def note(database: Database, action: str, object: str, **details: object) -> None:
    """Put on record that whoever is at the keyboard has done something."""
    from dialer.core.audit_note import AuditNote  # noqa: PLC0415
    from dialer.storage.audit_log import AuditLog  # noqa: PLC0415

    who = f"cli:{getpass.getuser()}"
    await AuditLog(database).append([AuditNote(at=now(), who=who, action=action, object=object, details=details)])


def now() -> float:
    """Unix seconds."""
    from dialer.runtime.clock import Clock  # noqa: PLC0415

    return Clock().now()
