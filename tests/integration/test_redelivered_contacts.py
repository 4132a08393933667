"""A message of contacts that comes again, late: what came after it stays, on record and in the hopper."""

from __future__ import annotations

import msgspec

from dialer.core.ids import CampaignId
from dialer.intake.desk import ContactDesk
from dialer.intake.phones import PhoneReader
from dialer.queues.port import Offered
from dialer.storage.contacts import Contacts
from dialer.storage.database import Database
from tests.queue_worlds import NOW, WINTER, Caller, MemoryWorld, contact, phone


async def test_an_old_message_overwrites_nothing_in_the_hopper(database: Database) -> None:
    queues = await MemoryWorld().node("n1")
    desk = ContactDesk(Contacts(database), queues, PhoneReader("ES"))
    old = [contact(n, name="old") for n in range(3)]
    assert await desk.take(old, NOW) == [Offered.ADDED] * 3
    new = msgspec.structs.replace(old[1], name="new", phones=(phone(7),))
    assert await desk.take([new], NOW + 10) == [Offered.UPDATED]
    assert await desk.take([*old, contact(4)], NOW) == [Offered.UPDATED] * 3 + [Offered.ADDED]
    permits = (await Caller(queues)(4)).granted.permits
    assert {permit.contact: (permit.name, permit.phone) for permit in permits} == {
        "c0": ("old", phone(0)),
        "c1": ("new", phone(7)),
        "c2": ("old", phone(2)),
        "c4": ("", phone(4)),
    }


async def test_those_of_other_campaigns_are_told_apart(database: Database) -> None:
    contacts = Contacts(database)
    summer = contact(1, campaign=CampaignId("summer"))
    await contacts.upsert([contact(n) for n in range(1_500)], NOW)
    await contacts.upsert([summer], NOW + 10)
    found = await contacts.newer([*(contact(n) for n in range(1_500)), summer], NOW + 5)
    assert found == {("summer", "c1"): summer}
    assert await contacts.newer([contact(1)], NOW) == {}
    assert await contacts.newer([contact(1)], NOW - 1) == {(WINTER, "c1"): contact(1)}
