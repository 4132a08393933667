"""A filter tried out on the record: counted exactly, on both databases, page by page."""

from __future__ import annotations

from dialer.core.contact_filter import FilterCount, parse_filter
from dialer.core.ids import CampaignId
from dialer.storage.attempts import Attempts
from dialer.storage.contacts import Contacts
from dialer.storage.database import Database
from dialer.storage.filter_counts import FilterCounts
from dialer.storage.removals import Removal, Removals
from tests.record_values import CAMPAIGN, attempt, contact

FIELDS = [{"state": "CA", "debt": 50}, {"state": "NY", "debt": "250.5"}, {"debt": 300, "vip": True}, {}]


async def fill(database: Database) -> None:
    people = [contact(n, fields=FIELDS[n % 4]) for n in range(20)]
    await Contacts(database).upsert(people[:12], at=1.0, list_id="may")
    await Contacts(database).upsert(people[12:], at=1.0)
    await Contacts(database).upsert([contact(1, campaign=CampaignId("other"), fields=FIELDS[0])], at=1.0)
    # The first is finished, the second withdrawn, the third has been called once: it waits for its next attempt.
    await Attempts(database).record([(attempt(0), None), (attempt(2), 5_000.0)])
    await Removals(database).add([Removal(campaign="winter", kind="contact", subject="crm-1", at=2.0)])


async def test_whoever_waits_is_counted_once(database: Database) -> None:
    await fill(database)
    counts = FilterCounts(database, page=7)
    assert await counts.count(CAMPAIGN, None, None) == FilterCount(contacts=18, passing=18)
    found = await counts.count(CAMPAIGN, parse_filter('state in ["CA", "NY"] and debt > 100'), None)
    assert found == FilterCount(contacts=18, passing=4, without={"debt": 5, "state": 10})
    found = await counts.count(CAMPAIGN, parse_filter("vip or @attempts > 0"), "may")
    assert found == FilterCount(contacts=10, passing=3, without={"vip": 7})
    assert await counts.count(CAMPAIGN, parse_filter("@attempts > 0"), None) == FilterCount(contacts=18, passing=1)


async def test_nobody_is_counted_where_nobody_waits(database: Database) -> None:
    assert await FilterCounts(database).count(CAMPAIGN, parse_filter("vip"), None) == FilterCount()
    await fill(database)
    assert await FilterCounts(database).count(CAMPAIGN, parse_filter("vip"), "no such list") == FilterCount()
