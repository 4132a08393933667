"""Codes of agents that say no, calls that a CRM made, and the law of places on record: from the record to the gate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from dialer.api.attempt_ports import CrmCall
from dialer.compliance.caps import OUTCOME_FACTS, Facts
from dialer.compliance.registry import Registries
from dialer.compliance.rules import KeyPart
from dialer.compliance.screening import Screening
from dialer.core.campaign import Campaign
from dialer.core.ids import CallId, CampaignId, ContactId, Phone
from dialer.core.outcome import Outcome
from dialer.errors import QueueError
from dialer.queues.cap_law import AnyCap, CapLaw
from dialer.queues.port import Counted
from dialer.runtime import counting
from dialer.runtime.counting import Counting
from dialer.runtime.laws_on_record import laws_on_record
from dialer.storage.attempts import Attempts
from dialer.storage.calls_elsewhere import CallsElsewhere
from dialer.storage.contacts import Contacts
from dialer.storage.database import Database
from dialer.storage.dispositions import Disposition, Dispositions
from dialer.storage.record import RecordPages
from tests.compliance_rules import shipped_book
from tests.record_values import CAMPAIGN, attempt, contact, eventually

NOW = 1_795_687_200.0
FRANCE = Campaign(id=CAMPAIGN, purpose="marketing", party="consumer", seller="acme")


def rules_of(law: CapLaw) -> list[AnyCap]:
    """All rules that some number is held to."""
    return [rule for country in law.countries for rule in country.rules]


class Gate:
    """Keeps what it is told to count."""

    def __init__(self) -> None:
        self.counted: list[Counted] = []
        self.away = 0

    async def count(self, counted: Counted, now: float) -> None:
        if self.away:
            self.away -= 1
            raise QueueError("Redis is out of reach")
        self.counted.append(counted)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def desk(database: Database, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Counting]:
    monkeypatch.setattr(counting, "_RETRY_S", 0.01)
    made = Counting(database, gate, {CAMPAIGN: FRANCE}.get, lambda _: None, lambda: NOW)
    work = asyncio.create_task(made.run())
    yield made
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


def code(call: str, category: str | None) -> Disposition:
    return Disposition(call=CallId(call), code="NO_SALE", at=NOW, category=category)


async def test_a_refusal_is_counted_with_the_person_and_the_company(
    database: Database, gate: Gate, desk: Counting
) -> None:
    await Contacts(database).upsert([contact(1, fields={"person": "ana"})], NOW)
    await Attempts(database).record([(attempt(1), None), (attempt(2), None)])
    gate.away = 2
    desk.disposed(code("call-2", "sale"))
    desk.disposed(code("call-2", None))
    desk.disposed(code("call-1", "refused"))
    await eventually(lambda: gate.counted)
    [told] = gate.counted
    assert (told.phone, told.facts, told.fields, told.seller) == (
        attempt(1).phone,
        Facts.REFUSED,
        {"person": "ana"},
        "acme",
    )
    assert told.started_at == attempt(1).started_at


async def test_a_code_may_be_on_record_before_its_call(database: Database, gate: Gate, desk: Counting) -> None:
    desk.disposed(code("call-1", "refused"))
    desk.disposed(code("call-9", "refused"))
    await Attempts(database).record([(attempt(1), None)])
    await eventually(lambda: gate.counted)
    assert [told.phone for told in gate.counted] == [attempt(1).phone], "and one that never comes holds up nobody"


async def test_a_call_of_the_crm_is_on_record_once_and_counted(database: Database, gate: Gate, desk: Counting) -> None:
    call = CrmCall(
        id="crm-call-1",
        campaign=CAMPAIGN,
        phone=Phone("+33612345678"),
        started_at=NOW - 60,
        ended_at=NOW,
        outcome=Outcome.CONNECTED,
        inbound=True,
        refused=True,
        fields={"person": "ana"},
    )
    await desk.made([call])
    await desk.made([call])
    facts = OUTCOME_FACTS[Outcome.CONNECTED] | Facts.INBOUND | Facts.REFUSED
    assert {told.facts for told in gate.counted} == {facts}
    [kept] = await CallsElsewhere(database).after(NOW - 100, None, 10)
    assert (kept.id, kept.made.more, kept.made.fields) == (
        "crm-call-1",
        Facts.INBOUND | Facts.REFUSED,
        {"person": "ana"},
    )
    assert await CallsElsewhere(database).after(NOW - 100, (NOW, "crm-call-1"), 10) == []
    gate.away = 1
    with pytest.raises(QueueError):
        await desk.made([call])


async def test_what_a_rebuild_loads_has_all_of_it(database: Database, gate: Gate, desk: Counting) -> None:
    french = attempt(
        1, phone=Phone("+33612345678"), started_at=NOW - 600, ended_at=NOW - 500, outcome=Outcome.CONNECTED
    )
    await Attempts(database).record([(french, None)])
    await Dispositions(database).add(code("call-1", "refused"))
    elsewhere = CrmCall(
        id="crm-call-1",
        campaign=CampaignId("spanish"),
        phone=Phone("+34600111222"),
        started_at=NOW - 60,
        ended_at=NOW,
        outcome=Outcome.BUSY,
        inbound=False,
        refused=False,
        fields={},
    )
    await desk.made([elsewhere])
    screening = Screening(shipped_book(), lambda: Registries([], {}))
    campaigns = [FRANCE, Campaign(id=CampaignId("spanish"), purpose="debt"), Campaign(id=CampaignId("idle"))]
    laws = await laws_on_record(database, screening, campaigns, NOW - 86_400, NOW)
    assert "FR-refusal" in {rule.id for rule in rules_of(laws[CAMPAIGN])}
    assert laws[CAMPAIGN].seller == "acme"
    assert not any(rule.jurisdiction == "FR" for rule in rules_of(laws[CampaignId("spanish")]))
    assert CampaignId("idle") not in laws
    assert any(KeyPart.PERSON in rule.key for rule in laws[CAMPAIGN].kept)
    pages = [page async for page in RecordPages(database, NOW, laws=laws)]
    made = [one for page in pages for one in page.attempts_made]
    assert [(one.phone, one.more) for one in made] == [
        ("+33612345678", Facts.REFUSED),
        ("+34600111222", Facts(0)),
    ]
    assert made[1].contact == ContactId("")
