"""Keys that all nodes of one installation sign with: made once, by whichever node comes first."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select

from dialer.errors import StorageError
from dialer.storage.database import Database
from dialer.storage.inserts import insert_once
from dialer.storage.tables import shared_keys

KEY_BYTES: Final = 32
#: Name of the one that nodes sign with.
NODES: Final = "nodes"


class SharedKeys:
    """Those of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, name: str, proposal: bytes, now: float) -> bytes:
        """The key of this name; where there is none yet, `proposal` becomes it.

        Args:
            name: what it is for.
            proposal: 32 random bytes.
            now: unix seconds.

        Raises:
            StorageError: the database refused, is out of reach, or holds what is no key.
        """
        assert len(proposal) == KEY_BYTES, "a key has 32 bytes"
        row = {"name": name, "secret": proposal.hex(), "made_at": now}
        async with self._database.write() as connection:
            await connection.execute(insert_once(self._database.dialect, shared_keys), row)
        key = await self.find(name)
        assert key is not None, "it was there a moment ago"
        return key

    async def find(self, name: str) -> bytes | None:
        """The key of this name, where there is one.

        Raises:
            StorageError: as `get`.
        """
        wanted = select(shared_keys.c.secret).where(shared_keys.c.name == name)
        async with self._database.read() as connection:
            text = (await connection.execute(wanted)).scalar_one_or_none()
        if text is None:
            return None
        try:
            key = bytes.fromhex(text)
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise StorageError(
                f"the key {name!r} in the table shared_keys is not {KEY_BYTES} bytes: delete its row, and a new one is "
                "made",
                retryable=False,
            )
        return key
