"""The database of the settings, with what opens what is sealed in it."""

from __future__ import annotations

from dialer.settings import Settings
from dialer.storage.database import CACHE_MB, Database
from dialer.storage.field_seal import seal_of


def open_database(settings: Settings, *, cache_mb: int = CACHE_MB) -> Database:
    """The record as the settings say; close it at the end.

    Args:
        settings: name it, and the keys.
        cache_mb: as `Database`.

    Raises:
        ConfigError: the URL or a key is wrong.
    """
    return Database(settings.database.url, cache_mb=cache_mb, seal=seal_of(settings.privacy))
