"""A call to a number, asked for by hand: whose number it is, and what the caps and the evidence know of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from dialer.api.call_request_ports import AskedCall
from dialer.compliance.caps import CountryCaps, Facts
from dialer.compliance.rules import KeyPart, Span
from dialer.compliance.screening import Caps
from dialer.core import commands as cmd
from dialer.core.contact import Contact
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone
from dialer.intake.phones import PhoneReader
from dialer.queues.journal import decode_entry, encode_entry
from dialer.queues.port import Counted
from dialer.runtime.click_to_call import CallAnswers, ClickToCall
from dialer.runtime.tasks import Tasks
from dialer.storage.attempt_writer import AttemptWriter
from dialer.storage.attempts import Attempts
from dialer.storage.contacts import Contacts
from dialer.storage.database import Database
from dialer.storage.evidence import EvidenceFilter, EvidenceStore
from tests.compliance_rules import cap_rule
from tests.record_values import Stream, attempt
from tests.runtime_floor import CAMPAIGN, RuntimeFloor, eventually

ANA = AgentId("ana")
SUMMER = CampaignId("summer")
HOME, WORK = Phone("+34910000001"), Phone("+34910000002")


class Desk(RuntimeFloor):
    """A node's shell with a record in SQL."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        answers = CallAnswers()
        self.dispatcher._projections = (*self.dispatcher._projections, answers)
        self.database = database
        self.clicks = ClickToCall(
            dispatcher=self.dispatcher,
            answers=answers,
            queues=self.queues,
            database=database,
            phones=PhoneReader("ES"),
            now=self.clock.now,
        )

    async def click(self, phone: str, by: str = "agent:ana") -> AskedCall:
        """Ana wants a number called."""
        for _ in range(20):
            told = await self.clicks.call(ANA, CAMPAIGN, None, phone, by=by)
            # A permit lasts 50 ms: a process that stood still for longer lets it go, and whoever asked asks again.
            if told is not None and told.reason not in {"try_again", "gate_unavailable"}:
                return told
        raise AssertionError(told)

    async def called(self, contact: Contact, *, phone: Phone = HOME, number: int = 1, finished: bool = True) -> None:
        """A contact is on record, and so is a call to it."""
        await Contacts(self.database).upsert([contact], 1.0)
        made = replace(attempt(number), campaign=contact.campaign, contact=contact.id, phone=phone)
        await Attempts(self.database).record([(made, None if finished else 2.0)])

    def permits(self) -> list[tuple[str, object]]:
        """Contacts that have been called, and which person they are to the caps."""
        made = self.switch.of(cmd.Originate)
        return [(originate.permit.contact, originate.permit.fields.get("person")) for originate in made]


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    made = Desk(database)
    async with Tasks() as tasks:
        tasks.start("gate", made.gatekeeper.run())
        tasks.start("permits", made.gatekeeper.serve_permits())
        tasks.start("outbox", made.outbox.run())
        await made.gatekeeper.wait_open()
        made.work("ana")
        yield made
        made.dispatcher.close()


def person(contact: str, *phones: Phone, campaign: CampaignId = CAMPAIGN, who: object = "p1") -> Contact:
    fields = {} if who is None else {"person": who}
    return Contact(campaign=campaign, id=ContactId(contact), phones=phones or (HOME, WORK), fields=fields)


async def test_a_number_whose_contact_is_done_is_called_as_that_contact(desk: Desk) -> None:
    await desk.called(person("crm-1"))
    told = await desk.click("910 000 001")
    assert (told.contact, told.reason) == ("crm-1", "")
    assert desk.permits() == [("crm-1", "p1")]


async def test_a_number_whose_contact_was_withdrawn_is_not_called_unless_somebody_else_has_it(desk: Desk) -> None:
    await desk.called(person("crm-1"))
    async with desk.database.write() as connection:
        await connection.exec_driver_sql("UPDATE contacts SET state = 'removed'")
    told = await desk.click(HOME)
    assert (told.contact, told.call, told.reason) == ("crm-1", None, "removed")
    await desk.called(person("crm-2", HOME), number=2)
    assert (await desk.click(HOME)).contact == "crm-2"


async def test_a_number_that_is_the_contacts_no_more_is_nobodys(desk: Desk) -> None:
    await desk.called(person("crm-1", WORK), phone=HOME)
    told = await desk.click(HOME)
    assert told.contact not in {"crm-1", ""}
    assert desk.permits() == [(told.contact, None)]


@pytest.mark.parametrize("waits", [True, False], ids=["waits", "done"])
async def test_who_is_known_in_another_campaign_is_the_same_person(desk: Desk, waits: bool) -> None:
    known = person("s-1", campaign=SUMMER, who="p7")
    if waits:
        await Contacts(desk.database).upsert([known], 1.0)
        await desk.queues.offer([known])
    else:
        await desk.called(known)
    told = await desk.click(HOME)
    assert told.contact != "s-1"
    assert desk.permits() == [(told.contact, "p7")]
    stored = await Contacts(desk.database).get(CAMPAIGN, told.contact)
    assert stored is not None
    assert stored.contact.fields == {"person": "p7"}, "a Redis that is loaded anew must know it too"


async def test_another_tenants_names_say_nothing(desk: Desk) -> None:
    await desk.called(person("s-1", campaign=CampaignId("acme--summer"), who="p7"))
    told = await desk.click(HOME)
    assert desk.permits() == [(told.contact, None)]


async def test_a_contact_made_before_anybody_knew_the_person_becomes_theirs(desk: Desk) -> None:
    own = (await desk.click(HOME)).contact
    desk.hang_up(desk.switch.of(cmd.Originate)[0].permit.call)
    await eventually(lambda: not desk.engine.floor.calls, "the end of the call")
    await desk.outbox.written()  # until then the gate knows the contact to be called
    await desk.called(person("s-1", campaign=SUMMER, who=None), number=2)
    await desk.called(person("s-2", campaign=SUMMER, who="p2"), number=1)
    await eventually(desk.engine.floor.roster.idle, "an agent")
    told = await desk.click(HOME)
    assert (told.contact, told.reason) == (own, "")
    assert desk.permits() == [(own, None), (own, "p2")]


async def test_a_cap_by_person_sees_calls_to_their_other_number(desk: Desk) -> None:
    rule = cap_rule(1, Span.ROLLING, 86_400, key=(KeyPart.PERSON,))
    desk.screen.counted = Caps(countries=(CountryCaps(rules=(rule,)),))
    desk.server.learn([rule])  # as by an earlier reservation: what nothing counts by is forgotten
    known, now = person("s-1", campaign=SUMMER), desk.clock.now()
    await desk.called(known, phone=HOME)
    await desk.queues.offer([known])
    made = Counted(
        campaign=SUMMER, phone=WORK, started_at=now - 60, ended_at=now - 30, facts=Facts.CONNECTED, fields=known.fields
    )
    await desk.queues.count(made, now)
    told = await desk.click(HOME)
    assert (told.call, told.reason) == (None, "attempt_cap")
    assert desk.permits() == []


async def test_the_evidence_says_who_asked_and_older_records_stay_valid(desk: Desk) -> None:
    old = attempt(9)
    await Attempts(desk.database).record([(old, None)])
    await desk.click(HOME, by="key:4f2a")
    call = desk.switch.of(cmd.Originate)[0].permit.call
    desk.hang_up(call)
    await eventually(lambda: desk.server.journal, "the attempt in the journal")
    stream = Stream()
    # As it was written before anybody asked who had decided, and as it is now.
    before = json.loads(encode_entry(desk.server.journal[0]))
    del before["attempt"]["decision"]
    before["attempt"]["call"] = "n1-older"
    stream.add(json.dumps(before).encode(), encode_entry(desk.server.journal[0]))
    assert decode_entry(stream.entries[0][1]).attempt.decision is None
    stop = asyncio.Event()
    stop.set()
    await AttemptWriter(desk.database, stream.consumer(), desk.clock.now).run(stop)
    store = EvidenceStore(desk.database)
    facts = {link.reference: json.loads(link.facts) async for link in store.find(EvidenceFilter())}
    assert facts[CallId("n1-older")]["decision"] is None
    decision = facts[call]["decision"]
    assert (decision["kind"], decision["by"]) == ("asked", "key:4f2a")
    assert decision["at"] <= facts[call]["started_at"]
    verified = await store.verify()
    assert (verified.intact, verified.problem) == (3, "")
