"""PostgreSQL over TLS: who it is has to be vouched for, as `sslmode` says. The server stands behind what speaks it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from benchmarks.processes import free_ports
from dialer.errors import StorageError
from dialer.storage.backup import backup
from dialer.storage.database import Database
from tests.certificates import Authority
from tests.databases import PostgresServer
from tests.tls_front import TlsFront

pytestmark = pytest.mark.postgres


@dataclass(frozen=True, slots=True)
class Place:
    """A database that is reached by a certificate for this machine's name, not for its address."""

    name: str
    user: str
    front: TlsFront
    port: int
    known: Authority

    def url(self, options: str, host: str = "localhost") -> str:
        return f"postgresql://{self.user}@{host}:{self.port}/{self.name}?{options}"


@pytest.fixture
async def place(postgres_server: PostgresServer, tmp_path: Path) -> AsyncIterator[Place]:
    name = postgres_server.create()
    inside = make_url(postgres_server.url(name))
    where = inside.query.get("host", inside.host)
    behind = f"{where}/.s.PGSQL.{inside.port or 5432}" if str(where).startswith("/") else int(inside.port or 5432)
    known = Authority(tmp_path)
    certificate = known.vouch("localhost")
    (port,) = free_ports(1)
    async with TlsFront(port, behind, str(certificate.chain), str(certificate.key)) as front:
        yield Place(name, str(inside.username), front, port, known)
    postgres_server.drop(name)


async def tables(url: str) -> int:
    database = Database(url, busy_timeout_s=20.0)
    try:
        async with database.read() as connection:
            return int((await connection.execute(text("SELECT count(*) FROM campaigns"))).scalar_one())
    finally:
        await database.close()


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
async def test_a_server_whom_the_authority_vouches_for_is_spoken_to(place: Place, mode: str) -> None:
    assert await tables(place.url(f"sslmode={mode}&sslrootcert={place.known.file}")) == 0
    assert place.front.with_tls > 0
    assert place.front.without == 0


async def test_a_server_whom_nobody_known_vouches_for_is_told_nothing(place: Place, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "Somebody Else")
    for authorities in (stranger.file, "system"):
        for mode in ("require", "verify-ca", "verify-full"):
            with pytest.raises(StorageError):
                await tables(place.url(f"sslmode={mode}&sslrootcert={authorities}"))


async def test_only_verify_full_asks_for_the_name(place: Place) -> None:
    assert await tables(place.url(f"sslmode=verify-ca&sslrootcert={place.known.file}", "127.0.0.1")) == 0
    with pytest.raises(StorageError):
        await tables(place.url(f"sslmode=verify-full&sslrootcert={place.known.file}", "127.0.0.1"))


async def test_a_backup_asks_for_the_same(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here pg_dump is one that tells what it is given: the one at hand may speak no TLS."""
    (tmp_path / "pg_dump").write_text(f"#!/bin/sh\nenv >{tmp_path}/given\nexit 1\n", "utf-8")
    (tmp_path / "pg_dump").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    url = place.url(f"sslmode=verify-full&sslrootcert={place.known.file}")
    with pytest.raises(StorageError, match="pg_dump failed"):
        await backup(url, tmp_path / "all.tar", 1.0)
    given = (tmp_path / "given").read_text("utf-8").splitlines()
    assert {"PGSSLMODE=verify-full", f"PGSSLROOTCERT={place.known.file}"} <= set(given)
