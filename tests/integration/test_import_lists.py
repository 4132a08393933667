"""Lists from files into a real SQLite database and a hopper, through the real reading process."""

from __future__ import annotations

import asyncio
import csv
import io
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from dialer.core.contact import Contact
from dialer.core.ids import CampaignId, ContactId
from dialer.errors import DialerError, InputError, QueueError
from dialer.intake.downloads import rejected_csv
from dialer.intake.importer import Importer, ImportOrder, ImportProgress
from dialer.intake.reading import ReadBatch, ReadOrder, read_apart
from dialer.queues.port import Offered, PackedOffer
from dialer.queues.wire import unpack
from dialer.storage.contacts import Contacts, ContactState
from dialer.storage.database import Database
from dialer.storage.lists import Lists, ListState
from dialer.storage.schema import migrate
from tests.patience import PATIENCE_S

WINTER = CampaignId("winter")


class Hopper:
    """Remembers what it was offered; `fails_after` offers it is out of reach."""

    def __init__(self, fails_after: int | None = None) -> None:
        self.contacts: dict[str, Contact] = {}
        self.offers = 0
        self._fails_after = fails_after

    async def offer_packed(self, offers: Sequence[PackedOffer]) -> Counter[Offered]:
        contacts = [contact for offer in offers for contact in unpack(offer)]
        assert sum(offer.count for offer in offers) == len(contacts) <= 1_000
        self.offers += 1
        if self._fails_after is not None and self.offers > self._fails_after:
            raise QueueError("Redis is out of reach")
        answers = [Offered.UPDATED if contact.id in self.contacts else Offered.ADDED for contact in contacts]
        self.contacts |= {contact.id: contact for contact in contacts}
        return Counter(answers)


class Clock:
    """A second for every look at it."""

    def __init__(self) -> None:
        self.at = 1_000.0

    def __call__(self) -> float:
        self.at += 1.0
        return self.at


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/record.db")
    await migrate(database)
    yield database
    await database.close()


def importer(database: Database, hopper: Hopper | None) -> Importer:
    return Importer(Contacts(database), Lists(database), hopper, Clock())


def order(path: Path, list_id: str = "list-1") -> ImportOrder:
    return ImportOrder(list_id=list_id, campaign=WINTER, path=path)


def write_list(path: Path, count: int, bad_every: int = 0) -> Path:
    lines = ["id,name,phone"]
    for i in range(count):
        phone = "nobody" if bad_every and i % bad_every == 0 else f"+346{i:08}"
        lines.append(f"crm-{i},Ana {i},{phone}")
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


async def test_a_list_is_stored_and_offered_and_its_rejected_rows_can_be_downloaded(
    database: Database, tmp_path: Path
) -> None:
    hopper, seen = Hopper(), list[ImportProgress]()
    path = write_list(tmp_path / "list.csv", 7_500, bad_every=100)
    result = await importer(database, hopper).run(order(path), seen.append)

    assert (result.counts.read, result.counts.accepted, result.counts.rejected) == (7_500, 7_425, 75)
    assert result.counts.reasons == {"phone_not_a_number": 75}
    assert (result.offered, result.answers) == (7_425, {"added": 7_425})
    assert result.bytes_read == result.bytes_total == path.stat().st_size
    assert len(hopper.contacts) == 7_425
    assert (await Contacts(database).counts(WINTER))[ContactState.WAITING] == 7_425
    stored = await Contacts(database).get(WINTER, ContactId("crm-77"))
    assert stored is not None
    assert stored.contact == hopper.contacts["crm-77"]
    assert stored.list == "list-1"
    known = await Lists(database).get("list-1")
    assert known is not None
    assert (known.state, known.counts, known.name) == (ListState.LOADED, result.counts, "list.csv")

    # Progress only ever grows, and tells of the first contacts before the last have been read.
    assert [p.offered for p in seen] == sorted(p.offered for p in seen)
    assert any(0 < p.offered < 7_425 for p in seen)

    text = b"".join([part async for part in rejected_csv(Lists(database), "list-1")]).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 75
    assert rows[0]["row"] == "2"
    assert rows[0]["reason"] == "phone_not_a_number"
    assert rows[0]["raw"] == "crm-0,Ana 0,nobody"


async def test_the_same_list_again_changes_nothing(database: Database, tmp_path: Path) -> None:
    hopper = Hopper()
    path = write_list(tmp_path / "list.csv", 2_000, bad_every=7)
    first = await importer(database, hopper).run(order(path))
    before = dict(hopper.contacts)
    again = await importer(database, hopper).run(order(path))
    assert again.counts == first.counts
    assert again.answers == {"updated": first.counts.accepted}
    assert hopper.contacts == before
    assert (await Contacts(database).counts(WINTER))[ContactState.WAITING] == first.counts.accepted
    assert len((await Lists(database).rejected("list-1")).items) == first.counts.rejected


async def test_a_hopper_that_goes_away_fails_the_list_and_the_same_order_ends_it(
    database: Database, tmp_path: Path
) -> None:
    path = write_list(tmp_path / "list.csv", 12_000)
    with pytest.raises(QueueError, match="out of reach"):
        await importer(database, Hopper(fails_after=2)).run(order(path))
    known = await Lists(database).get("list-1")
    assert known is not None
    assert (known.state, known.error.says) == (ListState.FAILED, "Redis is out of reach")
    hopper = Hopper()
    result = await importer(database, hopper).run(order(path))
    assert result.counts.accepted == len(hopper.contacts) == 12_000
    known = await Lists(database).get("list-1")
    assert known is not None
    assert (known.state, known.error.says) == (ListState.LOADED, "")


async def test_a_cancelled_import_is_noted_and_leaves_no_process_behind(database: Database, tmp_path: Path) -> None:
    path = write_list(tmp_path / "list.csv", 30_000)
    started = asyncio.Event()
    running = asyncio.ensure_future(importer(database, Hopper()).run(order(path), lambda _: started.set()))
    async with asyncio.timeout(PATIENCE_S):
        await started.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    known = await Lists(database).get("list-1")
    assert known is not None
    assert known.state is ListState.CANCELLED


async def test_a_file_that_is_no_list_fails_with_what_to_do(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("id,city\n1,Madrid\n", encoding="utf-8")
    hopper = Hopper()
    with pytest.raises(InputError, match="no column of telephone numbers; found: 'id', 'city'"):
        await importer(database, hopper).run(order(path))
    known = await Lists(database).get("list-1")
    assert known is not None
    assert known.state is ListState.FAILED
    assert "telefono" in known.error.says
    assert not hopper.contacts


async def test_a_file_that_is_not_there_is_told(database: Database, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*No such file"):
        await importer(database, Hopper()).run(order(tmp_path / "nothing.csv"))
    with pytest.raises(InputError, match="directory"):
        await importer(database, Hopper()).run(order(tmp_path))


async def test_a_list_id_belongs_to_one_campaign(database: Database, tmp_path: Path) -> None:
    path = write_list(tmp_path / "list.csv", 3)
    await importer(database, None).run(order(path))
    other = ImportOrder(list_id="list-1", campaign=CampaignId("summer"), path=path)
    with pytest.raises(InputError, match="belongs to campaign 'winter'"):
        await importer(database, None).run(other)


def kill_the_reader() -> None:
    for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split():
        if "dialer.intake.reading" in Path(f"/proc/{child}/cmdline").read_text(encoding="utf-8"):
            os.kill(int(child), signal.SIGKILL)


async def test_a_reading_process_that_dies_is_an_error_and_not_the_end_of_the_list(
    database: Database, tmp_path: Path
) -> None:
    path = write_list(tmp_path / "list.csv", 60_000)

    async def killed(order: ReadOrder) -> AsyncIterator[ReadBatch]:
        async for batch in read_apart(order):
            kill_the_reader()
            yield batch

    with pytest.raises(DialerError, match=r"ended early \(exit code -9\)"):
        await Importer(Contacts(database), Lists(database), Hopper(), Clock(), killed).run(order(path))
    known = await Lists(database).get("list-1")
    assert known is not None
    assert known.state is ListState.FAILED


async def test_a_region_that_does_not_exist_is_told(database: Database, tmp_path: Path) -> None:
    path = write_list(tmp_path / "list.csv", 10)
    nowhere = ImportOrder(list_id="list-1", campaign=WINTER, path=path, region="XX")
    with pytest.raises(InputError, match="'XX' is no region"):
        await importer(database, Hopper()).run(nowhere)


async def test_cells_of_a_download_are_no_formulas(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("phone,name\n=HYPERLINK(1),x\n@SUM(1),x\n-1+2,x\n  =1,x\n", encoding="utf-8")
    await importer(database, None).run(order(path))
    text = b"".join([part async for part in rejected_csv(Lists(database), "list-1")]).decode("utf-8-sig")
    raws = [row["raw"] for row in csv.DictReader(io.StringIO(text))]
    assert raws == ["'=HYPERLINK(1),x", "'@SUM(1),x", "'-1+2,x", "'  =1,x"]
