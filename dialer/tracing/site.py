"""What a process needs to write into the traces of its installation: the key that all share, and a way out."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Final, Self

from dialer.settings import Settings, Tracing
from dialer.storage.database import Database
from dialer.storage.shared_keys import SharedKeys
from dialer.tracing.outlet import Outlet, Sender
from dialer.tracing.places import KEY_BYTES, Places

#: Name of the key among those that nodes share.
_KEY: Final = "traces"
#: An end waits so long for the collector.
_CLOSE_S: Final = 2.0


class TracingSite:
    """Open while the process works.

    Args:
        places: where spans belong, and which contacts are traced.
        outlet: where they go out.
    """

    def __init__(self, places: Places, outlet: Outlet) -> None:
        self.places: Final = places
        self.outlet: Final = outlet

    @classmethod
    async def open(
        cls, settings: Settings, database: Database, count: Callable[[str, int], None], now: float
    ) -> Self | None:
        """None: the settings ask for no traces.

        Args:
            settings: of the process.
            database: where the shared key is.
            count: told what became of how many spans, from any thread.
            now: unix seconds.

        Raises:
            ConfigError: the packages for it are missing, or the file of authorities is.
            StorageError: the database is out of reach.
        """
        tracing = settings.tracing
        if not tracing.endpoint:
            return None
        key = await SharedKeys(database).get(_KEY, secrets.token_bytes(KEY_BYTES), now)
        sender = await asyncio.to_thread(_sender, tracing, settings.node)
        return cls(Places(key, tracing.share), Outlet(sender, count))

    async def close(self) -> None:
        """Send what waits, where the collector takes it soon."""
        await asyncio.to_thread(self.outlet.close, _CLOSE_S)


def _sender(tracing: Tracing, node: str) -> Sender:
    # Half a second of imports, for those who want them.
    from dialer.tracing.otlp import OtlpSender  # noqa: PLC0415

    return OtlpSender(tracing, node)
