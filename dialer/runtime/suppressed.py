"""Who was erased, as this node knows it: read from SQL, and anew whenever Redis or SQL tells of another erasure."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from dialer.compliance.suppression import Suppressions
from dialer.errors import QueueError, StorageError
from dialer.storage.suppressions import SuppressionStore

_log = structlog.get_logger(__name__)

#: Erasures that did not come by a node are found so soon.
_POLL_S: Final = 5.0


class SuppressedNumbers:
    """The one holder of a node's `Suppressions`."""

    def __init__(self, store: SuppressionStore, key: str) -> None:
        self._store = store
        self._key = key
        self._version: int | None = None
        self._suppressions = Suppressions()

    @property
    def problem(self) -> str:
        """Why nobody may be called; empty: all is well."""
        return self._suppressions.problem

    def cover(self, phone: str) -> bool:
        """Whether the number was erased."""
        return self._suppressions.cover(phone)

    async def read(self) -> None:
        """Read all of them.

        Raises:
            StorageError: the database is out of reach; what was known stays.
        """
        self._suppressions = Suppressions(await self._store.all(), self._key)

    async def bring_up_to(self, version: int) -> None:
        """See `dialer.queues.redis_gate.Suppressed`; called with every reservation."""
        if version == self._version:
            return
        try:
            await self.read()
        except StorageError as error:
            raise QueueError(f"it cannot be told who was erased, so nobody is called: {error}") from error
        self._version = version

    async def run(self) -> None:
        """Look for erasures that were made beside the nodes, for ever."""
        while True:
            await asyncio.sleep(_POLL_S)
            try:
                if await self._store.count() != len(self._suppressions):
                    await self.read()
            except StorageError as error:
                _log.warning("who was erased was not looked up", error=str(error))
