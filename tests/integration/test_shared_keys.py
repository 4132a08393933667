"""The key that all nodes sign with, on both databases."""

from __future__ import annotations

import asyncio
import secrets

import pytest
from sqlalchemy import update

from dialer.errors import StorageError
from dialer.storage.database import Database
from dialer.storage.shared_keys import SharedKeys
from dialer.storage.tables import shared_keys


async def test_whoever_comes_first_makes_it_and_all_have_it(database: Database) -> None:
    proposals = [secrets.token_bytes(32) for _ in range(4)]
    found = await asyncio.gather(*(SharedKeys(database).get("nodes", each, 1.0) for each in proposals))
    assert len(set(found)) == 1
    assert found[0] in proposals
    assert await SharedKeys(database).get("nodes", secrets.token_bytes(32), 2.0) == found[0]
    assert await SharedKeys(database).get("other", proposals[0], 2.0) == proposals[0]


@pytest.mark.parametrize("text", ["", "zz", "00"])
async def test_what_is_no_key_is_said_to_be_none(database: Database, text: str) -> None:
    await SharedKeys(database).get("nodes", bytes(32), 1.0)
    async with database.write() as connection:
        await connection.execute(update(shared_keys).values(secret=text))
    with pytest.raises(StorageError, match="delete its row"):
        await SharedKeys(database).get("nodes", bytes(32), 1.0)
