"""Campaigns that several nodes are asked about: the record's last word holds at all of them, whatever came before."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC

import pytest

from dialer.campaigns import parse_campaign
from dialer.core.campaign import ORDERS, Campaign, CampaignState
from dialer.core.commands import PermitRequest
from dialer.core.engine import Engine
from dialer.core.events import AgentSignedIn, CampaignConfigured, CampaignOrdered, HopperSeen
from dialer.core.floor import Server
from dialer.core.ids import AgentId, CampaignId, NodeName, ServerName
from dialer.core.outcome import Outcome
from dialer.errors import StorageError
from dialer.projections.live import LiveView
from dialer.queues.memory import MemoryQueues
from dialer.queues.memory_server import MemoryServer
from dialer.runtime.api_ports import StoredCampaigns
from dialer.runtime.campaign_watch import CampaignWatch, FollowedCampaigns
from dialer.runtime.control import NodeControl
from dialer.runtime.dispatcher import Dispatcher
from dialer.runtime.disposing import DispositionDesk
from dialer.runtime.outbox import Outbox
from dialer.runtime.record_keeper import RecordKeeper
from dialer.runtime.tasks import Tasks
from dialer.storage.attempts import Attempts
from dialer.storage.campaigns import Campaigns
from dialer.storage.database import Database
from dialer.testing import FakePurges, ManualClock
from dialer.testing_switch import FakeSwitch
from tests.e2e.floor import until
from tests.patience import PATIENCE_S
from tests.record_values import attempt

WINTER = CampaignId("winter")


class One:
    """A node as far as campaigns go: its own engine, clock and keeper, and the record that all have."""

    def __init__(
        self,
        database: Database,
        name: str,
        *,
        ahead_s: float = 0.0,
        servers: tuple[str, ...] = ("pbx",),
        alone: Callable[[], bool] = bool,
    ) -> None:
        self.clock = ManualClock(1_800_000_000.0 + ahead_s)
        now = self.clock.now
        queues = MemoryQueues(MemoryServer(now), node=NodeName(name))
        self.keeper, self.live, outbox = RecordKeeper(database), LiveView(), Outbox(queues)
        requests: asyncio.Queue[PermitRequest] = asyncio.Queue()
        self.dispatcher = Dispatcher(
            engine=Engine(node=NodeName(name), servers=[Server(name=ServerName(its)) for its in servers], trunks=[]),
            switch=FakeSwitch(servers, now),
            outbox=outbox,
            now=now,
            projections=(self.keeper, self.live),
            permit_requests=requests,
        )
        record, attempts = Campaigns(database), Attempts(database)
        self.watch = CampaignWatch(
            campaigns=record,
            attempts=attempts,
            dispatcher=self.dispatcher,
            live=self.live,
            keeper=self.keeper,
            now=now,
            zone=UTC,
            alone=alone,
        )
        self.campaigns = FollowedCampaigns(StoredCampaigns(record), self.watch)
        desk = DispositionDesk(
            dispatcher=self.dispatcher,
            keeper=self.keeper,
            attempts=attempts,
            campaigns=record,
            streams=FakePurges(),
            outbox=outbox,
            now=now,
        )
        #: Agents of other nodes, by Asterisk server.
        self.elsewhere: dict[ServerName, int] = {}
        self.control = NodeControl(
            dispatcher=self.dispatcher,
            live=self.live,
            dispositions=desk,
            now=now,
            campaigns=self.watch,
            agents_elsewhere=lambda: self.elsewhere,
        )

    @property
    def state(self) -> CampaignState | None:
        """Where the campaign stands in the engine."""
        run = self.dispatcher.engine.floor.campaigns.get(WINTER)
        return None if run is None else run.state

    @property
    def settings(self) -> Campaign:
        """With which the engine goes on."""
        return self.dispatcher.engine.floor.campaigns[WINTER].campaign

    async def order(self, state: CampaignState) -> None:
        """As a route does: look first, then order what is possible."""
        stored = await self.campaigns.get(WINTER)
        assert stored is not None
        if state in ORDERS[self.live.campaign_state(WINTER) or stored.state]:
            await self.control.submit(CampaignOrdered(at=self.clock.now(), campaign=WINTER, state=state))

    async def change(self, ring_timeout_s: float) -> None:
        """As a route does, that repeats what somebody else was faster with."""
        while True:
            before = await self.campaigns.get(WINTER)
            assert before is not None
            changed = replace(before.campaign, ring_timeout_s=ring_timeout_s)
            if await self.campaigns.replace(before, changed, self.clock.now()):
                await self.control.submit(CampaignConfigured(at=self.clock.now(), campaign=changed))
                return


@asynccontextmanager
async def nodes(database: Database, *ahead_s: float) -> AsyncIterator[list[One]]:
    """Nodes whose keepers write; nobody follows unless the test says so."""
    made = [One(database, f"n{number}", ahead_s=each) for number, each in enumerate(ahead_s)]
    async with Tasks() as tasks:
        for node in made:
            tasks.start("keeper", node.keeper.run())
        yield made
        for node in made:
            node.dispatcher.close()


async def create(node: One) -> None:
    campaign = parse_campaign({"id": WINTER, "method": "progressive"})
    assert await node.campaigns.create(campaign, node.clock.now())
    await node.control.submit(CampaignConfigured(at=node.clock.now(), campaign=campaign))


@pytest.mark.parametrize("skew_s", [0.0, 40.0])
async def test_made_at_one_and_ordered_at_the_other(database: Database, skew_s: float) -> None:
    async with nodes(database, 0.0, skew_s) as (first, second):
        await create(first)
        assert second.state is None
        await second.order(CampaignState.RUNNING)
        assert second.state is CampaignState.RUNNING
        assert first.state is CampaignState.DRAFT
        assert (await first.campaigns.get(WINTER)) is not None
        assert first.state is CampaignState.RUNNING, "whoever looks finds it so"
        await second.order(CampaignState.PAUSED)
        await first.watch.look()
        assert first.state is CampaignState.PAUSED, "and whoever does not look is told"


async def test_agents_go_where_other_nodes_have_few(database: Database) -> None:
    one = One(database, "n1", servers=("pbx1", "pbx2"))
    one.elsewhere = {ServerName("pbx1"): 7, ServerName("pbx2"): 5}
    for agent, campaign in (("ann", "winter"), ("bea", "spring"), ("cleo", "winter"), ("dora", "summer")):
        event = AgentSignedIn(at=one.clock.now(), agent=AgentId(agent), phone=agent, campaigns=(CampaignId(campaign),))
        await one.control.submit(event)
    one.dispatcher.close()
    assert [(agent.id, agent.server) for agent in one.dispatcher.engine.floor.roster] == [
        ("ann", "pbx2"),
        ("bea", "pbx2"),
        ("cleo", "pbx2"),
        ("dora", "pbx1"),
    ]


async def test_a_draft_that_is_drained_elsewhere_is_draining(database: Database) -> None:
    """From a draft nobody could order that; the record may."""
    async with nodes(database, 0.0, 0.0) as (first, second):
        await create(first)
        await second.watch.look()
        await first.order(CampaignState.RUNNING)
        await first.order(CampaignState.PAUSED)
        await second.watch.look()
        assert (second.state, second.live.campaign_state(WINTER)) == (CampaignState.PAUSED, CampaignState.PAUSED)


async def test_what_is_followed_is_not_written_again(database: Database) -> None:
    async with nodes(database, 0.0, 5.0) as (first, second):
        await create(first)
        await first.order(CampaignState.RUNNING)
        before = await Campaigns(database).versions()
        for _ in range(3):
            await second.watch.look()
            await first.watch.look()
        assert second.state is CampaignState.RUNNING
        assert second.keeper.states_written == 0
        assert await Campaigns(database).versions() == before


async def test_a_drain_is_seen_by_all_before_it_is_over(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first has no calls and is done at once; at the second something may ring, which a stop would hang up."""
    monkeypatch.setattr("dialer.runtime.record_keeper._DRAINED_S", 0.3)
    async with nodes(database, 0.0, 0.0) as (first, second):
        await create(first)
        await first.order(CampaignState.RUNNING)
        await second.watch.look()
        await first.order(CampaignState.DRAINING)
        stored = await Campaigns(database).get(WINTER)
        assert stored is not None
        assert stored.state is CampaignState.DRAINING
        first.dispatcher.feed(HopperSeen(at=first.clock.now(), campaign=WINTER, ready=0))
        assert first.state is CampaignState.STOPPED
        await first.watch.look()
        assert first.state is CampaignState.STOPPED, "whoever is done does not begin to drain again"

        async def stopped() -> bool:
            found = await Campaigns(database).get(WINTER)
            return found is not None and found.state is CampaignState.STOPPED

        await until(stopped, "the end of the drain on record")


async def test_the_end_of_a_drain_does_not_undo_a_start(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dialer.runtime.record_keeper._DRAINED_S", 0.05)
    async with nodes(database, 0.0) as (only,):
        await create(only)
        await only.order(CampaignState.RUNNING)
        await only.order(CampaignState.DRAINING)
        only.dispatcher.feed(HopperSeen(at=only.clock.now(), campaign=WINTER, ready=0))
        assert only.state is CampaignState.STOPPED
        # Somebody else starts it before that is written.
        assert await Campaigns(database).set_state(WINTER, CampaignState.RUNNING, only.clock.now() + 1.0)
        await until(lambda: not only.keeper._drained, "the end of the drain, looked at")
        stored = await Campaigns(database).get(WINTER)
        assert stored is not None
        assert stored.state is CampaignState.RUNNING
        await only.watch.look()
        assert only.dispatcher.engine.floor.campaigns[WINTER].state is CampaignState.RUNNING


async def test_a_state_written_twice_hides_nothing_that_came_in_between(database: Database) -> None:
    """Whether a write got through may be unknown; done again, it must not look like the version before the change."""
    async with nodes(database, 0.0, 0.0) as (first, second):
        await create(first)
        record, at = Campaigns(database), first.clock.now()
        assert await record.set_state(WINTER, CampaignState.RUNNING, at)
        await second.watch.look()
        await first.change(44.0)
        assert await record.set_state(WINTER, CampaignState.RUNNING, at)
        await second.watch.look()
        assert second.settings.ring_timeout_s == 44.0


async def test_without_the_database_an_order_of_ones_own_goes_before_the_record(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with nodes(database, 0.0) as (only,):
        await create(only)
        whole = only.keeper._campaigns.set_state

        async def away(*args: object, **options: object) -> bool:
            raise StorageError("away")

        monkeypatch.setattr(only.keeper._campaigns, "set_state", away)
        monkeypatch.setattr("dialer.runtime.campaign_watch._WRITTEN_S", 0.01)
        await only.order(CampaignState.RUNNING)
        await only.watch.look()
        assert only.state is CampaignState.RUNNING, "the record is behind, and knows nothing better"
        monkeypatch.setattr(only.keeper._campaigns, "set_state", whole)
        assert await only.keeper.flush(PATIENCE_S)
        await only.watch.look()
        assert only.state is CampaignState.RUNNING


@pytest.mark.parametrize("seed", range(2))
async def test_whatever_is_asked_of_whom_all_come_to_the_same(
    database: Database, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Three nodes with clocks apart are given orders and settings at once; then everybody looks."""
    monkeypatch.setattr("dialer.runtime.record_keeper._DRAINED_S", 0.05)
    rng = random.Random(seed)
    async with nodes(database, 0.0, 7.0, -20.0) as made:
        await create(made[0])
        for _ in range(12):
            acts = []
            for node in rng.sample(made, rng.randint(1, 3)):
                match rng.choice(("order", "order", "change", "look")):
                    case "order":
                        acts.append(node.order(rng.choice(list(CampaignState))))
                    case "change":
                        acts.append(node.change(float(rng.randint(10, 60))))
                    case _:
                        acts.append(node.watch.look())
            await asyncio.gather(*acts)
            for node in made:
                node.clock.advance(rng.random())
        for node in made:
            assert await node.keeper.flush(PATIENCE_S)
        for node in made:
            await node.watch.look()
        await until(lambda: not any(node.keeper._drained for node in made), "the end of every drain")
        for node in made:
            # Whoever was writing the end of its drain has left what it read meanwhile to the next look.
            await node.watch.look()
        stored = await Campaigns(database).get(WINTER)
        assert stored is not None
        assert {node.settings.ring_timeout_s for node in made} == {stored.campaign.ring_timeout_s}
        assert {node.state for node in made} == {stored.state}


async def test_servers_begin_with_the_history_of_their_own_calls(database: Database) -> None:
    """Who has no server on record, or one that is not this node's, is divided with the rest."""
    made = [attempt(number, outcome=Outcome.CONNECTED, server=ServerName("a")) for number in range(6)]
    made += [attempt(number, outcome=Outcome.ABANDONED, server=ServerName("b")) for number in range(6, 9)]
    made += [attempt(9, outcome=Outcome.CONNECTED, server=None)]
    node = One(database, "n1", servers=("a", "b"))
    await Campaigns(database).create(parse_campaign({"id": WINTER, "method": "predictive"}), node.clock.now())
    await Attempts(database).record([(replace(each, ended_at=node.clock.now() - 60.0), None) for each in made])
    await node.watch.begin()
    pacers = node.dispatcher.engine.floor.campaigns[WINTER].pacers
    held = {name: pacers[ServerName(name)].snapshot() for name in ("a", "b")}
    assert {name: (its["answers"], its["abandoned"]) for name, its in held.items()} == {"a": (7, 2), "b": (3, 1)}
    node.dispatcher.close()


async def test_a_node_that_is_alone_looks_seldom_and_at_once_when_it_is_not(sqlite_url: str) -> None:
    database, alone = Database(sqlite_url), True
    try:
        one = One(database, "n1", alone=lambda: alone)
        assert [one.watch.due() for _ in range(20)].count(True) == 2
        one.watch.due()
        alone = False
        assert [one.watch.due() for _ in range(5)] == [True] * 5
    finally:
        await database.close()
