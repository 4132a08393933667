"""Database URLs: what an operator writes, what is refused, and that no password is ever shown."""

from __future__ import annotations

import pytest

from dialer.errors import ConfigError
from dialer.storage.database import Database, driver_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///var/x.db", "sqlite+aiosqlite:///var/x.db"),
        ("sqlite:////abs/x.db", "sqlite+aiosqlite:////abs/x.db"),
        ("postgresql://u:p@h:5433/n", "postgresql+asyncpg://u:p@h:5433/n"),
        ("postgres://u@h/n", "postgresql+asyncpg://u@h/n"),
        ("postgresql://u@/n?host=/run/postgresql", "postgresql+asyncpg://u@/n?host=/run/postgresql"),
        ("postgresql://u@h/n?sslmode=require", "postgresql+asyncpg://u@h/n?ssl=require"),
        ("postgresql+asyncpg://u@h/n", "postgresql+asyncpg://u@h/n"),
    ],
)
def test_driver_is_chosen(url: str, expected: str) -> None:
    assert driver_url(url).render_as_string(hide_password=False).replace("%2F", "/") == expected


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "must be sqlite"),
        ("nonsense", "must be sqlite"),
        ("mysql://root:hunter2@h/n", "'mysql', which is not supported"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("postgresql://u:hunter2@h:port/n", "cannot be understood"),
        ("postgresql://u:hunter2@h/n?sslmod=require", "option that is not known: sslmod"),
        ("postgresql://u:hunter2@h/n?sslmode=yes", "sslmode must be disable, allow, prefer, require"),
        ("postgresql://u:hunter2@h/n?sslrootcert=system", "with sslrootcert sslmode must be require"),
        ("postgresql://u:hunter2@h/n?sslmode=verify-full&sslrootcert=/no/such", "'/no/such' cannot be used"),
    ],
)
def test_bad_url_is_refused_without_its_password(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        Database(url)
    assert "hunter2" not in str(caught.value)


async def test_password_is_never_shown() -> None:
    database = Database("postgresql://u:hunter2@h/n")
    assert "hunter2" not in repr(database)
    assert "hunter2" not in database.where
    assert "h/n" in database.where
    await database.close()
