"""The database of the settings, with what opens what is sealed in it."""

from __future__ import annotations

from dialer.settings import Settings
from dialer.storage.database import Database
from dialer.storage.field_seal import seal_of


def open_database(settings: Settings) -> Database:
    """The record as the settings say; close it at the end.

    Raises:
        ConfigError: the URL or a key is wrong.
    """
    return Database(settings.database.url, seal=seal_of(settings.privacy))
