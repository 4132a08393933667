"""Fixtures for all tests. Each family has its own module; this one only brings them in."""

from __future__ import annotations

import pytest

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests on the one real Asterisk are done by one worker: they share its phones and its trunk."""
    for item in items:
        if item.get_closest_marker("asterisk") is not None:
            item.add_marker(pytest.mark.xdist_group("asterisk"))
