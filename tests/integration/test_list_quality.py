"""Looking through the contacts of a list in a real database: who shares numbers, what fails, what the law misses."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dialer.compliance.eligibility import Terms
from dialer.compliance.loader import find_folder, load_rule_book
from dialer.compliance.rules import Purpose
from dialer.core.contact import Contact
from dialer.core.ids import CallId, CampaignId, ContactId, Phone
from dialer.core.outcome import Outcome
from dialer.errors import InputError, StorageError
from dialer.intake.list_check import ListChecker
from dialer.intake.phones import PhoneReader
from dialer.intake.standing import CampaignLaw, Law
from dialer.storage.attempts import Attempts
from dialer.storage.contact_scan import ContactScan, ScannedContact
from dialer.storage.contacts import Contacts
from dialer.storage.database import Database
from dialer.storage.list_checks import CheckCounts, CheckState, ListChecks
from dialer.storage.lists import ListCounts, Lists, ListState
from tests.record_values import attempt

WINTER, SUMMER = CampaignId("winter"), CampaignId("summer")
NOW = 1_780_000_000.0


def person(id: str, *phones: str, campaign: CampaignId = WINTER, name: str = "", **more: object) -> Contact:
    return Contact(
        campaign=campaign,
        id=ContactId(id),
        phones=tuple(Phone(phone) for phone in phones),
        name=name,
        **more,  # type: ignore[arg-type]
    )


async def load(
    database: Database, contacts: Sequence[Contact], list_id: str = "l-1", campaign: CampaignId = WINTER
) -> None:
    lists = Lists(database)
    await lists.start(list_id, campaign, name=list_id, source="test", now=1.0)
    await Contacts(database).upsert(contacts, 5.0, list_id=list_id)
    counts = ListCounts(read=len(contacts), accepted=len(contacts))
    await lists.finish(list_id, ListState.LOADED, counts, now=2.0)


def checker(database: Database, page: int = 5_000, max_listed: int = 100) -> ListChecker:
    return ListChecker(
        ContactScan(database, page),
        Lists(database),
        ListChecks(database),
        PhoneReader("ES"),
        lambda: NOW,
        max_listed=max_listed,
    )


async def found(database: Database, list_id: str = "l-1") -> set[tuple[str, str, str]]:
    page = await ListChecks(database).warnings(list_id)
    return {(warning.contact, warning.phone, warning.kind) for warning in page.items}


@pytest.fixture(scope="module")
def law() -> Law:
    return CampaignLaw(load_rule_book(find_folder(None)), Terms(purpose=Purpose.MARKETING))


@pytest.mark.parametrize("page", [1, 3, 5_000])
async def test_numbers_that_others_have_too(database: Database, page: int) -> None:
    one, two, three = "+34600000001", "+34600000002", "+34600000003"
    await load(
        database,
        [
            person("alone", "+34600000009", name="Nobody Else"),
            person("a", one, "+34910000001", name="Ana García"),
            person("b", two, one, name="Luis Pérez"),
            person("c", three, name="García Ana"),
        ],
    )
    await load(database, [person("x", two, name="Luis")], "l-2")
    await Contacts(database).upsert([person("pushed", two)], 6.0)
    await load(database, [person("c", three, campaign=SUMMER, name="ANA GARCIA")], "l-3", SUMMER)

    counts = await checker(database, page).check("l-1", None)
    assert await found(database) == {
        ("a", one, "duplicate_in_list"),
        ("a", one, "contradicting_owner"),
        ("b", one, "duplicate_in_list"),
        ("b", one, "contradicting_owner"),
        ("b", two, "duplicate_in_campaign"),
        # The same person in another campaign, whatever the spelling.
        ("c", three, "duplicate_in_other_campaign"),
    }
    assert (counts.contacts, counts.numbers, counts.contacts_with_warnings, counts.listed) == (4, 6, 3, 6)
    assert counts.warnings["duplicate_in_list"] == 2
    assert counts.types == {"mobile": 5, "fixed": 1}
    kept = await ListChecks(database).get("l-1")
    assert kept is not None
    assert (kept.state, kept.counts, kept.finished_at) == (CheckState.DONE, counts, NOW)
    messages = {(w.contact, w.kind): w.message for w in (await ListChecks(database).warnings("l-1")).items}
    assert messages["b", "duplicate_in_campaign"] == "contact pushed, x of this campaign has the number too"
    assert messages["c", "duplicate_in_other_campaign"] == "contact c of summer has the number too"

    # It is the others' matter too.
    await checker(database, page).check("l-2", None)
    assert await found(database, "l-2") == {("x", two, "duplicate_in_campaign")}


async def test_numbers_whose_calls_found_that_they_do_not_exist(database: Database) -> None:
    numbers = [f"+3460000000{i}" for i in range(6)]
    await load(database, [person(f"c{i}", number) for i, number in enumerate(numbers)])
    calls = [
        *((0, Outcome.INVALID, at) for at in (1.0, 2.0, 3.0, 4.0)),
        (1, Outcome.INVALID, 1.0),
        *((2, outcome, at) for outcome, at in ((Outcome.INVALID, 1.0), (Outcome.BUSY, 2.0))),
        *((3, outcome, at) for outcome, at in ((Outcome.BUSY, 1.0), (Outcome.INVALID, 2.0), (Outcome.INVALID, 3.0))),
        *(
            (4, outcome, at)
            for outcome, at in ((Outcome.BUSY, 1.0), *((Outcome.INVALID, at) for at in (2.0, 3.0, 4.0)))
        ),
    ]
    await Attempts(database).record(
        [
            (attempt(n, call=CallId(f"k{n}"), phone=Phone(numbers[i]), outcome=outcome, ended_at=at), None)
            for n, (i, outcome, at) in enumerate(calls)
        ]
    )
    await checker(database).check("l-1", None)
    # Of 2 and 3 one of the last three calls found something else; 5 was never called.
    assert await found(database) == {(f"c{i}", numbers[i], "stale_number") for i in (0, 1, 4)}
    messages = {warning.contact: warning.message for warning in (await ListChecks(database).warnings("l-1")).items}
    assert messages["c0"] == "its last 3 calls found that the number does not exist"
    assert messages["c1"] == "its last call found that the number does not exist"


async def test_places_consent_and_sorts_of_lines(database: Database, law: Law) -> None:
    given = {
        "id": "consent-1",
        "purposes": ["marketing"],
        "source": "web form",
        "text": "I agree",
        "given_at": "2026-05-04T10:12:00+02:00",
    }
    await load(
        database,
        [
            person("without", "+4915112345678"),
            person("with", "+4915112345679", consent=given),
            person("broken", "+4915112345670", consent={"said": "yes"}),
            person("free", "+34900123456"),
            person("nowhere", "+85221234567"),
        ],
    )
    counts = await checker(database).check("l-1", law)
    warned = await found(database)
    assert ("without", "+4915112345678", "no_consent") in warned
    assert ("broken", "+4915112345670", "no_consent") in warned
    assert ("free", "+34900123456", "unlikely_line") in warned
    assert not {kind for contact, _, kind in warned if contact == "with"}
    assert counts.types["mobile"] >= 3
    assert counts.types["toll_free"] == 1
    assert sum(counts.zones.values()) == sum(counts.jurisdictions.values()) == 5
    assert counts.zones["Europe/Berlin"] == 3
    unknown = {contact for contact, _, kind in warned if kind == "unknown_country"}
    assert unknown == {"nowhere"}


async def test_all_are_counted_where_too_many_are_odd_to_keep(database: Database) -> None:
    await load(database, [person(f"c{i:02}", "+34600000001") for i in range(30)])
    counts = await checker(database, page=7, max_listed=10).check("l-1", None)
    assert (counts.warnings, counts.listed) == ({"duplicate_in_list": 30}, 10)
    assert len(await found(database)) == 10


async def test_another_look_forgets_what_was_found_before(database: Database) -> None:
    await load(database, [person("a", "+34600000001"), person("b", "+34600000001")])
    await checker(database).check("l-1", None)
    assert len(await found(database)) == 2
    await Contacts(database).upsert([person("b", "+34600000002")], 9.0, list_id="l-1")
    counts = await checker(database).check("l-1", None)
    assert (await found(database), counts.warnings) == (set(), {})


async def test_warnings_come_in_pages(database: Database) -> None:
    await load(database, [person(f"c{i}", "+34600000001", "+34600000002") for i in range(8)])
    await checker(database).check("l-1", None)
    checks, cursor, seen = ListChecks(database), None, list[tuple[str, str]]()
    while True:
        page = await checks.warnings("l-1", cursor=cursor, limit=3)
        seen += [(warning.contact, warning.phone) for warning in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 16
    with pytest.raises(InputError, match="start again without it"):
        await checks.warnings("l-1", cursor="nonsense")


async def test_a_list_that_is_not_there_is_told(database: Database) -> None:
    with pytest.raises(InputError, match="there is no list 'l-9'"):
        await checker(database).check("l-9", None)
    assert await ListChecks(database).get("l-9") is None


class Failing(ContactScan):
    """A record that goes away."""

    async def invalid_in_a_row(self, numbers: Sequence[int], most: int) -> dict[int, int]:
        raise StorageError("the database is out of reach")


@pytest.mark.parametrize(
    ("tried_again", "state"), [(False, CheckState.FAILED), (True, CheckState.RUNNING)], ids=["failed", "goes on"]
)
async def test_a_database_that_goes_away(database: Database, tried_again: bool, state: CheckState) -> None:
    await load(database, [person("a", "+34600000001")])
    failing = ListChecker(Failing(database), Lists(database), ListChecks(database), PhoneReader("ES"), lambda: NOW)
    with pytest.raises(StorageError):
        await failing.check("l-1", None, tried_again=tried_again)
    kept = await ListChecks(database).get("l-1")
    assert kept is not None
    assert (kept.state, kept.counts) == (state, CheckCounts())
    assert kept.error.says == ("" if tried_again else "the database is out of reach")


async def test_an_empty_list_has_nothing_odd(database: Database, law: Law) -> None:
    await load(database, [])
    await Contacts(database).upsert([person("a", "+34600000001")], 5.0)
    assert await checker(database).check("l-1", law) == CheckCounts()


@pytest.mark.parametrize("page", [1, 2, 7, 100])
async def test_every_contact_is_scanned_once(database: Database, page: int) -> None:
    contacts = [
        person(f"c{i}", f"+3460000000{i}", campaign=campaign) for i in range(7) for campaign in (WINTER, SUMMER)
    ]
    await Contacts(database).upsert(contacts[:8], 5.0, list_id="l-1")
    await Contacts(database).upsert(contacts[8:], 5.0)
    scan = ContactScan(database, page)
    seen = [one async for rows in scan.all() for one in rows]
    assert {(one.campaign, one.id, one.numbers) for one in seen} == {
        (contact.campaign, contact.id, tuple(int(phone[1:]) for phone in contact.phones)) for contact in contacts
    }
    assert len(seen) == len(contacts)
    mine: list[ScannedContact] = [one async for rows in scan.of_list(WINTER, "l-1") for one in rows]
    assert [one.id for one in mine] == ["c0", "c1", "c2", "c3"]
