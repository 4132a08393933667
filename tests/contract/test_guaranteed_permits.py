"""Contacts asked for by name, between the engine and the queues: the gatekeeper, and the look for what is due."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dialer.compliance.caps import CountryCaps
from dialer.compliance.screening import Caps, TurnedAway
from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.contact import Contact
from dialer.core.ids import AgentId, ContactId, MessageId, Phone
from dialer.core.promise import Promise
from dialer.errors import QueueError
from dialer.queues.port import Offered
from dialer.runtime.cap_laws import CapLaws
from dialer.runtime.due_contacts import DueContacts
from dialer.runtime.tasks import Tasks
from dialer.testing_switch import OpenScreen
from tests.compliance_rules import cooldown_rule
from tests.runtime_floor import CAMPAIGN, RuntimeFloor, eventually

ANA = AgentId("ana")


@pytest.fixture
async def floor() -> AsyncIterator[RuntimeFloor]:
    made = RuntimeFloor()
    async with Tasks() as tasks:
        tasks.start("gate", made.gatekeeper.run())
        tasks.start("permits", made.gatekeeper.serve_permits())
        tasks.start("outbox", made.outbox.run())
        await made.gatekeeper.wait_open()
        made.work("ana")
        yield made
        assert tasks._failed is not None
        assert not tasks._failed.done(), "a task has died"
        made.dispatcher.close()


def ask(floor: RuntimeFloor, contact: str = "crm-1") -> None:
    """The agent asks for a call."""
    asked = ev.CallAsked(
        at=floor.clock.now(), agent=ANA, campaign=CAMPAIGN, contact=ContactId(contact), ref=MessageId(contact)
    )
    floor.dispatcher.feed(asked)


async def answer(floor: RuntimeFloor, contact: str = "crm-1") -> ntc.CallRequestAnswered:
    """What came of it."""

    def there() -> list[ntc.CallRequestAnswered]:
        return [n for n in floor.notices.seen if isinstance(n, ntc.CallRequestAnswered) and n.ref == contact]

    await eventually(there, "an answer")
    return there()[0]


def one(contact: str = "crm-1", *phones: str) -> Contact:
    numbers = tuple(Phone(phone) for phone in phones or ("+34600000001",))
    return Contact(campaign=CAMPAIGN, id=ContactId(contact), phones=numbers)


async def test_what_is_due_is_looked_up_and_called(floor: RuntimeFloor) -> None:
    now = floor.clock.now()
    promise = Promise(
        campaign=CAMPAIGN, contact=ContactId("crm-1"), at=now, agent=ANA, fallback_at=now + 60, until_at=now + 60
    )
    await floor.queues.promise(one(), promise)
    await DueContacts(floor.queues, floor.dispatcher, floor.gatekeeper.wait_open, floor.clock.now).look()
    await eventually(lambda: floor.switch.of(cmd.Originate))
    [call] = floor.switch.of(cmd.Originate)
    assert (call.permit.contact, call.permit.verdict) == ("crm-1", "{}")


async def test_a_call_outside_the_hours_is_refused_with_its_time(floor: RuntimeFloor) -> None:
    later = floor.clock.now() + 3_600.0
    floor.screen.turned_away[Phone("+34600000001")] = TurnedAway("hours", later, {"says": "Sunday"})
    assert await floor.queues.lend(one()) is Offered.ADDED
    ask(floor)
    told = await answer(floor)
    assert (told.call, told.reason, told.retry_at) == (None, "hours", later)
    assert [entry.reason for entry in floor.server.refusals] == ["hours"]
    # It is done again before anybody is told.
    assert (CAMPAIGN, "crm-1") not in floor.server.data


async def test_a_number_that_must_not_be_called_leaves_the_others(floor: RuntimeFloor) -> None:
    floor.screen.turned_away[Phone("+34600000001")] = TurnedAway("registry", None, {"says": "listed"})
    floor.dispatcher.feed(ev.AgentPauseAsked(at=floor.clock.now(), agent=ANA, code="mail"))
    await floor.queues.offer([one("crm-1", "+34600000001", "+34600000002")])
    ask(floor)
    told = await answer(floor)
    assert told.call is not None
    assert [call.permit.phone for call in floor.switch.of(cmd.Originate)] == ["+34600000002"]


async def test_a_campaign_that_may_not_dial_calls_nobody_for_an_agent(floor: RuntimeFloor) -> None:
    floor.screen.problems[CAMPAIGN] = "registry robinson is of 2026-01-01: too old"
    await floor.queues.lend(one())
    ask(floor)
    assert (await answer(floor)).reason == "compliance"


async def test_a_gate_out_of_reach_is_told(floor: RuntimeFloor, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> object:
        raise QueueError("no redis")

    monkeypatch.setattr(floor.queues, "reserve_contact", away)
    ask(floor)
    assert (await answer(floor)).reason == "gate is out of reach"
    agent = floor.engine.floor.roster.get(ANA)
    assert agent is not None
    assert agent.hold is None


async def test_a_node_that_stops_calls_nobody_for_an_agent(floor: RuntimeFloor) -> None:
    floor.gatekeeper.close()
    ask(floor)
    assert (await answer(floor)).reason == "stopping"


def test_rests_that_an_agent_lifts_do_not_count_where_one_is_reserved(floor: RuntimeFloor) -> None:
    rest = cooldown_rule(72 * 3_600, unless_agent_reserved=True)
    screen = RestingScreen(rest)
    laws, campaign = CapLaws(screen), floor.engine.floor.campaigns[CAMPAIGN].campaign
    usual, reserved = laws.of(campaign, 1.0), laws.of(campaign, 1.0, agent_reserved=True)
    assert usual is not None
    assert reserved is not None
    assert [law.countries[0].rules for law in (usual, reserved)] == [(rest,), ()]
    assert laws.of(campaign, 2.0) is usual


class RestingScreen(OpenScreen):
    """Counts by one rest."""

    def __init__(self, rest: object) -> None:
        super().__init__()
        self._counted = Caps(countries=(CountryCaps(rules=(rest,)),))  # type: ignore[arg-type]

    def caps(self, campaign: object, now: float) -> Caps:
        return self._counted
