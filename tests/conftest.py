"""Fixtures for all tests. Each family has its own module; this one only brings them in."""

from __future__ import annotations

from tests.databases import (  # noqa: F401 - fixtures are found by name
    database,
    database_url,
    empty_database_url,
    postgres_server,
    postgres_url,
    sqlite_template,
    sqlite_url,
)
from tests.valkey import own_valkey, valkey, valkey_server  # noqa: F401 - likewise
