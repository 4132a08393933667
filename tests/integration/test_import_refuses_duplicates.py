"""Lists that refuse rows whose numbers other contacts of the campaign have already."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.core.contact import Contact
from dialer.core.ids import CampaignId, ContactId, Phone
from dialer.errors import InputError
from dialer.intake.importer import Importer, ImportOrder, ImportProgress
from dialer.intake.known_numbers import KnownNumbers, gather, owner_of
from dialer.storage.contact_scan import ContactScan, ScannedContact
from dialer.storage.contacts import Contacts
from dialer.storage.database import Database
from dialer.storage.lists import Lists
from dialer.storage.tables import contacts
from tests.databases import count

WINTER, SUMMER = CampaignId("winter"), CampaignId("summer")
LIST = """id,phone,phone2
a,600000001,
new,600000001,
both,600000001,600000002
half,600000001,600000009
summer,600000003,
fresh,600000008,
"""


def person(id: str, *phones: str, campaign: CampaignId = WINTER) -> Contact:
    return Contact(campaign=campaign, id=ContactId(id), phones=tuple(Phone(phone) for phone in phones))


async def load(database: Database, path: Path, *, refuse: bool, list_id: str = "l-1") -> ImportProgress:
    scan = ContactScan(database, page=2)
    importer = Importer(Contacts(database), Lists(database), None, lambda: 1_000.0, numbers=scan)
    order = ImportOrder(list_id=list_id, campaign=WINTER, path=path, refuse_duplicates=refuse)
    return await importer.run(order)


@pytest.fixture
async def known(database: Database, tmp_path: Path) -> Path:
    await Contacts(database).upsert(
        [
            person("a", "+34600000001"),
            person("b", "+34600000002", "+34600000001"),
            person("c", "+34600000003", campaign=SUMMER),
        ],
        5.0,
    )
    path = tmp_path / "list.csv"
    path.write_text(LIST, encoding="utf-8")
    return path


async def test_a_row_of_numbers_of_others_is_rejected(database: Database, known: Path) -> None:
    result = await load(database, known, refuse=True)
    rejected = (await Lists(database).rejected("l-1")).items
    # "a" is the contact that has the number; "half" has one that nobody has; another campaign is another matter.
    assert [(row.row, row.code) for row in rejected] == [(3, "duplicate_phone"), (4, "duplicate_phone")]
    assert "another contact of the campaign has its number" in rejected[0].message
    assert (result.counts.accepted, result.counts.reasons) == (4, {"duplicate_phone": 2})
    assert await count(database, contacts.name) == 6


async def test_the_same_list_again_refuses_no_more(database: Database, known: Path) -> None:
    first = await load(database, known, refuse=True)
    again = await load(database, known, refuse=True)
    assert again.counts == first.counts
    assert await count(database, contacts.name) == 6


async def test_by_default_they_are_taken(database: Database, known: Path) -> None:
    result = await load(database, known, refuse=False)
    # Within one file the second row of a number is a duplicate of the first, whoever else has it.
    assert result.counts.reasons == {"duplicate_phone": 1}
    assert result.counts.accepted == 5


async def test_an_importer_that_cannot_know_says_so(database: Database, known: Path) -> None:
    importer = Importer(Contacts(database), Lists(database), None, lambda: 1_000.0)
    with pytest.raises(InputError, match="cannot refuse numbers of others"):
        await importer.run(ImportOrder(list_id="l-1", campaign=WINTER, path=known, refuse_duplicates=True))


class Pages:
    """Contacts of one campaign."""

    def __init__(self, pages: Sequence[list[ScannedContact]]) -> None:
        self._pages = pages

    async def of_campaign(self, campaign: CampaignId) -> object:
        for page in self._pages:
            yield page


@pytest.mark.parametrize("ids", [["é", "\udcff", "x" * 128]])
async def test_any_id_has_a_digest(tmp_path: Path, ids: list[str]) -> None:
    page = [ScannedContact("winter", id, None, "", (34_600_000_001 + i,)) for i, id in enumerate(ids)]
    assert await gather(Pages([page, []]), WINTER, tmp_path / "known.npy") == len(ids)  # type: ignore[arg-type]
    known = KnownNumbers.load(tmp_path / "known.npy")
    for i, id in enumerate(ids):
        assert not known.of_another(f"+{34_600_000_001 + i}", id)
        assert known.of_another(f"+{34_600_000_001 + i}", "other")


OWNERS = st.dictionaries(st.integers(10**7, 10**7 + 5), st.sets(st.sampled_from("abc"), min_size=1), max_size=6)


@given(owners=OWNERS, number=st.integers(10**7 - 1, 10**7 + 6), asked=st.sampled_from("abcd"))
def test_a_number_is_of_another_if_it_has_owners_and_none_is_the_asked(
    owners: dict[int, set[str]], number: int, asked: str
) -> None:
    pairs = sorted((n, o) for n, several in owners.items() for o in several)
    known = KnownNumbers(
        np.array([n for n, _ in pairs], dtype=np.uint64),
        np.array([owner_of(o) for _, o in pairs], dtype=np.uint64),
    )
    has = owners.get(number, set())
    assert known.of_another(f"+{number}", asked) == (bool(has) and asked not in has)
