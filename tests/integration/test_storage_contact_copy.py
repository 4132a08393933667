"""Rows of lists that go by COPY straight to where they belong: on record is what a merge would have left."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import text

from dialer.core.campaign import Campaign
from dialer.core.contact import Contact
from dialer.core.ids import CampaignId, ContactId
from dialer.errors import StorageError
from dialer.intake.importer import Importer, ImportOrder
from dialer.storage.campaigns import Campaigns
from dialer.storage.contact_load import rows_of
from dialer.storage.contact_rows import ContactRow
from dialer.storage.contacts import Contacts, ContactState
from dialer.storage.database import Database
from dialer.storage.lists import Lists
from dialer.storage.removals import Removal, Removals
from tests.databases import count
from tests.patience import PATIENCE_S
from tests.record_values import CAMPAIGN, contact


def rows(numbers: Sequence[int], at: float = 5.0, name: str = "") -> list[ContactRow]:
    """Rows in the order of `numbers`, which is that of a file rather than of ids."""
    made = {row[1]: row for row in rows_of([contact(i, name=name) for i in numbers], at, "l1")}
    return [made[f"crm-{i}"] for i in numbers]


async def names(database: Database) -> dict[str, str]:
    async with database.read() as connection:
        return {row.id: row.name for row in await connection.execute(text("SELECT id, name FROM contacts"))}


async def test_new_ones_stay_expected(database: Database) -> None:
    contacts = Contacts(database)
    assert await contacts.upsert_rows(rows([3, 1, 2]), fresh=True)
    assert await contacts.upsert_rows(rows([5, 4]), fresh=True)
    assert await contacts.upsert_rows([], fresh=True)
    assert not await contacts.upsert_rows(rows([6]), fresh=False)
    stored = await contacts.get(CAMPAIGN, ContactId("crm-1"))
    assert stored is not None
    assert (stored.contact, stored.state, stored.attempts, stored.list) == (
        contact(1, name="", list="l1"),
        ContactState.WAITING,
        0,
        "l1",
    )
    assert await count(database, "contacts") == 6


@pytest.mark.parametrize("known_at", [4.0, 5.0, 6.0])
async def test_of_a_known_one_the_later_data_stays_and_the_new_ones_beside_it_come_in(
    database: Database, known_at: float
) -> None:
    contacts = Contacts(database)
    await contacts.upsert_rows(rows([7], known_at, "known"))
    await contacts.upsert_rows(rows([9, 8, 7, 6], 5.0, "list"), fresh=True)
    expected = "known" if known_at > 5.0 else "list"
    assert await names(database) == {"crm-6": "list", "crm-7": expected, "crm-8": "list", "crm-9": "list"}


@pytest.mark.postgres
async def test_after_a_known_one_the_rest_is_not_copied_in_vain(postgres_url: str) -> None:
    database = Database(postgres_url)
    contacts = Contacts(database)
    await contacts.upsert_rows(rows([7]))
    assert not await contacts.upsert_rows(rows(range(100)), fresh=True)
    await database.close()


@pytest.mark.parametrize("scope", [CAMPAIGN, "*", "another"])
async def test_a_contact_removed_before_it_came_is_removed_from_the_start(database: Database, scope: str) -> None:
    await Campaigns(database).create(Campaign(id=CAMPAIGN), now=1.0)
    await Removals(database).add([Removal(campaign=scope, kind="contact", subject="crm-2", at=3.0)])
    await Removals(database).add([Removal(campaign=CAMPAIGN, kind="phone", subject="crm-3", at=3.0)])
    assert await Contacts(database).upsert_rows(rows([3, 2, 1]), fresh=True)
    states = {i: await Contacts(database).get(CAMPAIGN, ContactId(f"crm-{i}")) for i in (1, 2, 3)}
    removed = [i for i, stored in states.items() if stored is not None and stored.state is ContactState.REMOVED]
    assert removed == ([] if scope == "another" else [2])


async def test_a_row_that_is_refused_refuses_its_batch_whole(database: Database) -> None:
    *values, at = rows([2])[0]
    broken: list[ContactRow] = [*rows([1]), (*values[:4], None, *values[5:], at)]  # type: ignore[list-item]
    with pytest.raises(StorageError):
        await Contacts(database).upsert_rows(broken, fresh=True)
    assert await count(database, "contacts") == 0
    assert await Contacts(database).upsert_rows(rows([1, 2]), fresh=True)
    assert await count(database, "contacts") == 2


@pytest.mark.postgres
@pytest.mark.parametrize("ends_with", ["COMMIT", "ROLLBACK"])
async def test_a_row_that_somebody_is_adding_is_waited_for(postgres_url: str, ends_with: str) -> None:
    database = Database(postgres_url)
    async with database.engine.connect() as other:
        await other.execute(
            text(
                "INSERT INTO contacts (campaign, id, phones, name, priority, consent, fields, updated_at)"
                " VALUES (:campaign, 'crm-5', '[\"+34600111222\"]', 'theirs', 0, '{}', '{}', 9)"
            ),
            {"campaign": CAMPAIGN},
        )
        loading = asyncio.ensure_future(Contacts(database).upsert_rows(rows([4, 5, 6], 5.0, "ours"), fresh=True))
        async with asyncio.timeout(PATIENCE_S), database.engine.connect() as watching:
            waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            while not (await watching.execute(waiting)).scalar_one():
                await watching.rollback()
        assert not loading.done()
        await (other.commit() if ends_with == "COMMIT" else other.rollback())
    assert await loading is (ends_with == "ROLLBACK")
    assert (await names(database))["crm-5"] == ("theirs" if ends_with == "COMMIT" else "ours")
    assert await count(database, "contacts") == 3
    await database.close()


@pytest.mark.postgres
async def test_two_who_bring_the_same_contacts_in_opposite_orders_both_end(postgres_url: str) -> None:
    # Without one order of rows in all transactions the server would end one of them for a deadlock.
    database = Database(postgres_url)
    contacts = Contacts(database)
    batches = [range(start, start + 4_000) for start in range(0, 20_000, 4_000)]
    await contacts.upsert_rows(rows([20_000]))
    async with asyncio.timeout(60):
        for batch in batches:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(contacts.upsert_rows(rows(batch, 5.0, "first"), fresh=True))
                tasks.create_task(contacts.upsert_rows(rows(batch[::-1], 6.0, "second"), fresh=True))
    found = await names(database)
    assert {found[f"crm-{i}"] for i in range(20_000)} == {"second"}
    await database.close()


def write_list(path: Path, numbers: Sequence[int], name: str) -> Path:
    rows = [f"crm-{i},{name},+346{i:08}" for i in numbers]
    path.write_text("\n".join(["id,name,phone", *rows]), encoding="utf-8")
    return path


class Clock:
    """A second for every look at it."""

    def __init__(self, at: float) -> None:
        self.at = at

    def __call__(self) -> float:
        self.at += 1.0
        return self.at


async def test_two_lists_with_the_same_people_at_once_store_each_once(database: Database, tmp_path: Path) -> None:
    campaign = CampaignId("winter")
    newer = write_list(tmp_path / "newer.csv", range(13_999, -1, -1), "newer")
    older = write_list(tmp_path / "older.csv", range(6_000, 20_000), "older")

    async def load(path: Path, at: float) -> None:
        importer = Importer(Contacts(database), Lists(database), None, Clock(at))
        result = await importer.run(ImportOrder(list_id=path.stem, campaign=campaign, path=path))
        assert result.counts.accepted == 14_000

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(load(newer, 2_000.0))
        tasks.create_task(load(older, 1_000.0))
    found = await names(database)
    assert len(found) == 20_000
    assert {found[f"crm-{i}"] for i in range(14_000)} == {"newer"}
    assert {found[f"crm-{i}"] for i in range(14_000, 20_000)} == {"older"}


class Breaking:
    """Contacts whose third transaction is the end of the process."""

    def __init__(self, contacts: Contacts) -> None:
        self._contacts = contacts
        self.asked: list[bool] = []

    async def upsert_rows(self, rows: Sequence[ContactRow], *, fresh: bool = False) -> bool:
        self.asked.append(fresh)
        if len(self.asked) == 3:
            raise StorageError("the server went away")
        return await self._contacts.upsert_rows(rows, fresh=fresh)


async def test_a_list_that_broke_off_goes_on_and_what_was_pushed_meanwhile_stays(
    database: Database, tmp_path: Path
) -> None:
    campaign = CampaignId("winter")
    path = write_list(tmp_path / "list.csv", range(14_000), "list")
    order = ImportOrder(list_id="list-1", campaign=campaign, path=path)
    contacts = Contacts(database)
    breaking = Breaking(contacts)
    with pytest.raises(StorageError, match="went away"):
        await Importer(breaking, Lists(database), None, Clock(1_000.0)).run(order)
    assert breaking.asked == [True, True, True]
    pushed = Contact(campaign=campaign, id=ContactId("crm-13000"), phones=contact(1).phones, name="pushed")
    await contacts.upsert([pushed], at=5_000.0)

    again = Breaking(contacts)
    again.asked = [False] * 3  # it does not break now
    result = await Importer(again, Lists(database), None, Clock(9_000.0)).run(order)
    assert result.counts.accepted == 14_000
    # What an earlier run may have stored is not expected to be new.
    assert not any(again.asked)
    found = await names(database)
    assert len(found) == 14_000
    assert found.pop("crm-13000") == "pushed"
    assert set(found.values()) == {"list"}
