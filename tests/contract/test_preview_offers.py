"""Preview dialing between engine, gate and queues: shown to one agent alone, called with consent alone, never lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import pytest

from dialer.api.call_request_ports import AskedCall
from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.ids import AgentId, CallId, ContactId
from dialer.core.promise import Promise
from dialer.queues.connection import AsyncRedis
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.memory import MemoryQueues
from dialer.queues.port import Queues
from dialer.runtime.click_to_call import CallAnswers
from dialer.runtime.previews import NodePreviews
from dialer.runtime.tasks import Tasks
from tests.patience import PATIENCE_S
from tests.queue_worlds import WINTER, MemoryWorld, RedisWorld, World, contact, phone
from tests.runtime_floor import PBX, RuntimeFloor, eventually

PREVIEW = Campaign(id=WINTER, method="preview")


@pytest.fixture(params=["memory", "redis"])
async def world(
    request: pytest.FixtureRequest, valkey_server: EmbeddedServer, valkey: AsyncRedis
) -> AsyncIterator[World]:
    made: World = MemoryWorld() if request.param == "memory" else RedisWorld(valkey, valkey_server.url)
    yield made
    await made.close()


class Site(RuntimeFloor):
    """A node's shell on shared queues."""

    def __init__(self, queues: Queues, node: str) -> None:
        super().__init__(cast("MemoryQueues", queues))
        self.gatekeeper._prefix = f"{node}-beef0001-"
        answers = CallAnswers()
        self.dispatcher._projections = (*self.dispatcher._projections, answers)
        self.previews = NodePreviews(self.dispatcher, answers, self.clock.now)

    def show(self, *agents: str, campaign: Campaign = PREVIEW) -> None:
        """These agents are idle in a running campaign."""
        at, feed = self.clock.now(), self.dispatcher.feed
        self.switch.connect("pbx")
        feed(ev.ServerConnected(at=at, server=PBX, calls=frozenset(), agents=frozenset()))
        feed(ev.CampaignConfigured(at=at, campaign=campaign, state=CampaignState.RUNNING))
        for agent in agents:
            feed(ev.AgentSignedIn(at=at, agent=AgentId(agent), phone=agent, campaigns=(WINTER,)))
            feed(ev.AgentPhoneUp(at=at, agent=AgentId(agent)))

    def shown(self) -> dict[str, str]:
        """Whom each agent is being shown."""
        open_: dict[str, str] = {}
        for notice in self.notices.seen:
            if isinstance(notice, ntc.ContactWasOffered):
                open_[notice.agent] = notice.offer.contact
            elif isinstance(notice, ntc.OfferClosed):
                del open_[notice.agent]
        return open_

    def dialed(self) -> list[str]:
        """Contacts that have been called, in their order."""
        return [originate.permit.contact for originate in self.switch.of(cmd.Originate)]

    async def decide(self, agent: str, *, consent: bool, about: str = "", reason: str = "") -> AskedCall:
        """An agent decides."""
        shown = ContactId(about or self.shown()[agent])
        return await self.previews.answer(AgentId(agent), shown, consent=consent, reason=reason, by=f"agent:{agent}")

    async def skip(self, agent: str, reason: str = "") -> None:
        """An agent skips whom they are shown; done when the contact is back where it waits."""
        before = self.answers()
        assert (await self.decide(agent, consent=False, reason=reason)).reason == ""
        # The agent is free again: what the gate says to that comes behind.
        await eventually(lambda: self.answers() > before)

    def answers(self) -> int:
        """How often the gate has answered."""
        return sum(isinstance(notice, ntc.GateAnswered) for notice in self.notices.seen)


@asynccontextmanager
async def site(world: World, node: str = "n1") -> AsyncIterator[Site]:
    made = Site(await world.node(node), node)
    async with Tasks() as tasks:
        tasks.start("gate", made.gatekeeper.run())
        tasks.start("permits", made.gatekeeper.serve_permits())
        tasks.start("outbox", made.outbox.run())
        await asyncio.wait_for(made.gatekeeper.wait_open(), PATIENCE_S)
        yield made
        await made.outbox.flush(PATIENCE_S)
        made.dispatcher.close()


async def attempts_of(queues: Queues, at: float, *, count: int = 5) -> dict[str, int]:
    """What the gate would give at a moment: contacts, and the number of the attempt."""
    calls = [CallId(f"n9-{at}-{n}") for n in range(count)]
    async with queues.reserve(WINTER, calls, at) as reservation:
        return {permit.contact: permit.attempt_number for permit in reservation.granted.permits}


async def test_who_is_shown_to_an_agent_waits_and_no_attempt_is_made(world: World) -> None:
    async with site(world) as node:
        await node.queues.offer([contact(1, name="Ana", fields={"debt": 12}), contact(2)])
        node.show("ana")
        await eventually(lambda: node.shown() == {"ana": "c1"})
        [shown] = [n for n in node.notices.seen if isinstance(n, ntc.ContactWasOffered)]
        assert (shown.offer.name, shown.offer.fields["debt"], shown.offer.attempt_number) == ("Ana", 12, 1)
        depth = await node.queues.depth(WINTER)
        assert (depth.ready, depth.later, depth.live) == (1, 1, 0)
        assert await world.journal() == []
        assert not node.dialed()


async def test_with_consent_they_are_called_as_for_the_first_time(world: World) -> None:
    async with site(world) as node:
        await node.queues.offer([contact(1)])
        node.show("ana")
        await eventually(node.shown)
        asked = await node.decide("ana", consent=True)
        assert asked.call is not None
        assert node.dialed() == ["c1"]
        [originate] = node.switch.of(cmd.Originate)
        assert (originate.permit.call, originate.permit.attempt_number) == (asked.call, 1)
        assert (await node.queues.depth(WINTER)).live == 1


async def test_who_is_skipped_comes_back_later_and_no_attempt_is_counted(world: World) -> None:
    async with site(world) as node:
        await node.queues.offer([contact(1)])
        node.show("ana", campaign=replace(PREVIEW, preview_skip_s=600.0))
        await eventually(node.shown)
        before = node.clock.now()
        await node.skip("ana", reason="called yesterday")
        depth = await node.queues.depth(WINTER)
        assert (depth.ready, depth.later, depth.live) == (0, 1, 0)
        assert await attempts_of(node.queues, before + 590) == {}
        assert await attempts_of(node.queues, before + 620) == {"c1": 1}


async def test_who_was_shown_when_a_process_died_comes_back_and_is_not_called_meanwhile(world: World) -> None:
    async with site(world, "n1") as node:
        await node.queues.offer([contact(1)])
        node.show("ana")
        await eventually(node.shown)
        kept_until = next(n for n in node.notices.seen if isinstance(n, ntc.ContactWasOffered)).offer.kept_until
    other = await world.node("n2")
    assert await other.recover(kept_until) == [], "nothing is under way that could be called lost"
    assert await attempts_of(other, kept_until - 1) == {}
    assert await attempts_of(other, kept_until + 1) == {"c1": 1}
    assert await world.journal() == []


@pytest.mark.parametrize(
    ("stream", "message", "reason"),
    [
        ("removals", {"id": "m1", "campaign": WINTER, "contact": "c1"}, "removed"),
        ("removals", {"id": "m1", "campaign": "*", "phone": phone(1)}, "removed"),
        ("dnc", {"id": "m1", "op": "add", "phone": phone(1), "scope": "*"}, "do_not_call"),
    ],
)
async def test_who_was_withdrawn_since_they_were_shown_is_not_called_and_the_agent_learns_why(
    world: World, stream: str, message: dict[str, Any], reason: str
) -> None:
    async with site(world) as node:
        await node.queues.offer([contact(1)])
        node.show("ana")
        await eventually(node.shown)
        await world.push(stream, message)
        asked = await node.decide("ana", consent=True)
        assert (asked.call, asked.reason) == (None, reason)
        assert not node.dialed()
        assert any(isinstance(n, ntc.OfferClosed) and n.reason == reason for n in node.notices.seen)


async def test_who_was_given_another_time_since_is_called_then(world: World) -> None:
    async with site(world) as node:
        await node.queues.offer([contact(1)])
        node.show("ana")
        await eventually(node.shown)
        at = node.clock.now() + 3_600.0
        promise = Promise(campaign=WINTER, contact=ContactId("c1"), at=at, fallback_at=at, until_at=at + 600)
        await node.queues.promise(contact(1), promise)
        asked = await node.decide("ana", consent=True)
        assert (asked.call, asked.reason) == (None, "put_off")
        assert asked.retry_at == pytest.approx(at, abs=0.01)
        assert not node.dialed()
        assert await node.queues.due_for_agents(WINTER, at - 1) == []
        assert [due.contact for due in await node.queues.due_for_agents(WINTER, at + 1)] == ["c1"]


async def test_who_was_given_another_time_and_is_skipped_keeps_it(world: World) -> None:
    async with site(world) as node:
        await node.queues.offer([contact(1)])
        node.show("ana")
        await eventually(node.shown)
        at = node.clock.now() + 3_600.0
        promise = Promise(campaign=WINTER, contact=ContactId("c1"), at=at, fallback_at=at, until_at=at + 600)
        await node.queues.promise(contact(1), promise)
        await node.skip("ana")
        assert await node.queues.due_for_agents(WINTER, at - 1) == []
        assert [due.contact for due in await node.queues.due_for_agents(WINTER, at + 1)] == ["c1"]


async def test_a_number_that_is_the_contacts_no_more_is_not_called(world: World) -> None:
    async with site(world) as node:
        await node.queues.offer([contact(1)])
        node.show("ana")
        await eventually(node.shown)
        await node.queues.offer([contact(1, 77)])
        asked = await node.decide("ana", consent=True)
        assert (asked.call, asked.reason) == (None, "unknown_phone")
        assert not node.dialed()


async def test_agents_of_two_nodes_are_never_shown_the_same_contact(world: World) -> None:
    async with site(world, "n1") as one, site(world, "n2") as two:
        await one.queues.offer([contact(n) for n in range(6)])
        one.show("ana", "bea", "eva")
        two.show("kim", "leo", "max")
        await eventually(lambda: len(one.shown()) == len(two.shown()) == 3)
        assert len({*one.shown().values(), *two.shown().values()}) == 6
        contested = one.shown()["ana"]
        # A list that is pushed again brings it forward, so that others could be shown it as well.
        await two.queues.offer([contact(int(contested[1:]))])
        call, now = CallId("n2-x-1"), two.clock.now()
        async with two.queues.reserve_contact(WINTER, ContactId(contested), call, now) as theirs:
            assert len(theirs.granted.permits) == 1
        asked = await one.decide("ana", consent=True)
        assert (asked.call, asked.reason) == (None, "live")
        assert not one.dialed()


async def test_nobody_is_called_after_the_acknowledgement_of_a_removal_though_the_agent_consents(world: World) -> None:
    agents = [f"agent{n:02d}" for n in range(40)]
    async with site(world) as node:
        await node.queues.offer([contact(n) for n in range(len(agents))])
        node.show(*agents)
        await eventually(lambda: len(node.shown()) == len(agents))
        shown = node.shown()
        sequence = iter(range(10_000))
        acknowledged: dict[str, int] = {}
        handed: dict[str, int] = {}

        def note(command: object) -> None:
            if isinstance(command, cmd.Originate):
                handed[command.permit.contact] = next(sequence)

        node.switch.on_command = note
        rng = random.Random(11)

        async def remove(name: str, turns: int) -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            await world.push("removals", {"id": f"m-{name}", "campaign": WINTER, "contact": name})
            acknowledged[name] = next(sequence)

        async def consent(agent: str, turns: int) -> AskedCall:
            for _ in range(turns):
                await asyncio.sleep(0)
            return await node.decide(agent, consent=True, about=shown[agent])

        async with asyncio.TaskGroup() as group:
            for agent, name in shown.items():
                group.create_task(remove(name, rng.randrange(200)))
                group.create_task(consent(agent, rng.randrange(60)))
        late = [name for name, at in handed.items() if at > acknowledged[name]]
        assert late == []
        assert 0 < len(handed) < len(agents), "it was a race"
