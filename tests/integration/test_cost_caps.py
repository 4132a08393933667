"""Caps on what a day's calls may cost, shared by nodes through a real Redis: never exceeded, and never forgotten."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from dialer.core.attempt import Attempt
from dialer.core.campaign import Campaign
from dialer.core.ids import CallId, CampaignId, ContactId, Phone, ServerName, TrunkName
from dialer.core.outcome import Outcome
from dialer.core.spending import INSTALLATION, Amount, Cap, Caps, Spending, of_campaign, of_trunk
from dialer.core.tariff import Rate
from dialer.errors import GateNotReady
from dialer.projections.metrics import Metrics
from dialer.queues.connection import AsyncRedis
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.keys import Keys
from dialer.queues.spending import SpendLedger
from dialer.runtime.examination import examine
from dialer.runtime.spending import SpendKeeper, day_of
from dialer.settings import Asterisk, CarrierTariff, Costs, Settings, SpendCap, Trunk
from dialer.settings import Database as DatabaseSettings
from dialer.settings import Rate as TariffRate
from dialer.storage.attempts import Attempts
from dialer.storage.campaigns import Campaigns
from dialer.storage.database import Database
from dialer.storage.spending import spent_since
from tests.queue_worlds import NOW, RedisWorld

MADRID = ZoneInfo("Europe/Madrid")
PBX, OUT, WINTER = ServerName("pbx"), TrunkName("out"), CampaignId("winter")
#: A minute costs 0.06, and that is what a call holds.
RATE = Rate(per_minute_micros=60_000)
HOLD = 60_000


class Node:
    """The purses of one node, and their keeper."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self.spending = Spending(nodes.caps, expected_call_s=60.0)
        self.keeper = SpendKeeper(self.spending, nodes.ledger, nodes.database, MADRID, lambda: nodes.now, nodes.metrics)
        self.under_way: list[CallId] = []

    async def fill(self) -> None:
        """As its task does again and again."""
        await self.keeper.open()

    def start(self) -> bool:
        """Start a call, if the purses pay for it."""
        call = self._nodes.next_call()
        started = self.spending.hold(call, WINTER, PBX, OUT, RATE, self._nodes.now)
        if started:
            self.under_way.append(call)
        return started

    async def end(self, answered_s: float) -> int:
        """The end of the oldest call; what it cost."""
        call = self.under_way.pop(0)
        cost = RATE.cost_micros(answered_s)
        self.spending.settle(call, Amount(cost, RATE.billed_s(answered_s)))
        await self._nodes.record(call, answered_s)
        return cost


class Nodes:
    """Nodes on one Redis and one record, on a clock that is moved."""

    def __init__(self, world: RedisWorld, database: Database, caps: Caps) -> None:
        self.now = NOW
        self.world, self.database, self.caps = world, database, caps
        self.ledger = SpendLedger(world.client, Keys(world.prefix))
        self.metrics = Metrics("n1")
        self._made = 0

    async def load(self) -> None:
        """Redis is new, or has lost its memory, and the record is loaded."""
        await self.world.client.flushall()
        await self.world.node(f"loader{self._made}")
        if await Campaigns(self.database).get(WINTER) is None:
            await Campaigns(self.database).create(Campaign(id=WINTER), self.now)

    def next_call(self) -> CallId:
        self._made += 1
        return CallId(f"n-{self._made:08d}")

    async def record(self, call: CallId, answered_s: float) -> None:
        """A call that has ended stands in SQL."""
        attempt = Attempt(
            call=call,
            campaign=WINTER,
            contact=ContactId("c1"),
            phone=Phone("+34600111222"),
            attempt_number=1,
            outcome=Outcome.CONNECTED,
            reason="",
            started_at=self.now,
            ended_at=self.now + answered_s,
            server=PBX,
            trunk=OUT,
            cost_micros=RATE.cost_micros(answered_s),
            billed_s=RATE.billed_s(answered_s),
        )
        await Attempts(self.database).record([(attempt, None)])

    async def out(self) -> int:
        """What the ledger has out of the installation's cap, in millionths."""
        day, _ = day_of(MADRID, self.now)
        told = await self.world.client.hget(f"{self.world.prefix}spend:{day}", "installation\tmicros")
        return int(told or 0)


@pytest.fixture
async def world(valkey: AsyncRedis, valkey_server: EmbeddedServer) -> AsyncIterator[RedisWorld]:
    made = RedisWorld(valkey, valkey_server.url)
    yield made
    await made.close()


@pytest.fixture
async def record(sqlite_url: str) -> AsyncIterator[Database]:
    opened = Database(sqlite_url)
    yield opened
    await opened.close()


async def test_nodes_together_never_begin_a_call_beyond_the_cap(world: RedisWorld, record: Database) -> None:
    """Through crashes, losses of Redis and every order of calls: the cap, and what calls last longer than expected."""
    dice = random.Random(2)
    cap = HOLD * 60
    nodes = Nodes(world, record, Caps(installation=Cap(micros=cap), campaigns={WINTER: Cap(seconds=60 * 10_000)}))
    await nodes.load()
    group = [Node(nodes) for _ in range(3)]
    spent = beyond = losses = started = 0
    for step in range(130):
        at = dice.randrange(3)
        node = group[at]
        match dice.choices(("start", "end", "fill", "crash", "lose"), (60, 25, 25, 2, 2))[0]:
            case "start":
                started += sum(node.start() for _ in range(dice.randint(1, 5)))
            case "end" if node.under_way:
                cost = await node.end(dice.choice((0.0, 5.0, 60.0, 150.0)))
                spent, beyond = spent + cost, beyond + max(0, cost - HOLD)
            case "fill":
                await node.fill()
            case "crash":
                # Its calls end as lost, at what they held; what was lent to it is never seen again.
                for call in node.under_way:
                    await nodes.record(call, 60.0)
                spent += HOLD * len(node.under_way)
                group[at] = Node(nodes)
            case "lose":
                losses += 1
                # What the calls of other nodes hold, a ledger that is new does not know before they say so.
                beyond += HOLD * sum(len(each.under_way) for each in group)
                await nodes.load()
                for each in group:
                    await each.fill()
        in_flight = HOLD * sum(len(each.under_way) for each in group)
        assert spent + in_flight <= cap + beyond, step
        assert losses or await nodes.out() >= spent + in_flight - beyond
    assert started > 20


async def test_all_of_a_cap_can_be_spent_and_then_nobody_is_called(world: RedisWorld, record: Database) -> None:
    nodes = Nodes(world, record, Caps(each_campaign=Cap(micros=HOLD * 25)))
    await nodes.load()
    first, second = Node(nodes), Node(nodes)
    for _ in range(40):
        for node in (first, second):
            node.start()
            await node.fill()
    started = len(first.under_way) + len(second.under_way)
    # What is less than a call may be left in a purse.
    assert 23 <= started <= 25
    assert first.spending.exhausted(WINTER)
    assert first.spending.may_start(WINTER, [of_trunk(PBX, OUT)], nodes.now) == 0
    exported = nodes.metrics.render().decode()
    assert 'cadencia_cost_cap_reached{cap="campaign:winter"} 1.0' in exported
    assert 'cadencia_cost_cap_used_ratio{cap="campaign:winter"} 1.0' in exported
    # Nobody answered: all comes back, also to the other node, once the first has no use for it.
    while first.under_way:
        first.spending.settle(first.under_way.pop(), Amount())
    nodes.now += 60
    await first.fill()
    second.start()
    await second.fill()
    assert second.start()


async def test_a_new_day_begins_at_local_midnight_and_calls_of_yesterday_are_yesterdays(
    world: RedisWorld, record: Database
) -> None:
    nodes = Nodes(world, record, Caps(installation=Cap(micros=HOLD * 4)))
    await nodes.load()
    _, began = day_of(MADRID, nodes.now)
    nodes.now = began + 86_400.0 - 1.0
    node = Node(nodes)
    while node.start() or not node.spending.exhausted(WINTER):
        await node.fill()
    late = len(node.under_way)
    assert late >= 3
    nodes.now += 2.0
    assert day_of(MADRID, nodes.now)[0] != day_of(MADRID, began)[0]
    await node.fill()
    assert 'cadencia_cost_cap_reached{cap="installation"} 0.0' in nodes.metrics.render().decode()
    node.start()
    await node.fill()
    assert node.start()
    for _ in range(late):
        call = node.under_way.pop(0)
        node.spending.settle(call, Amount(HOLD * 100, 6_000))
    await node.fill()
    assert not any(purse.left.micros < 0 for purse in node.spending.purses.values())


async def test_the_days_sum_outlives_redis_and_every_process(world: RedisWorld, record: Database) -> None:
    nodes = Nodes(
        world, record, Caps(installation=Cap(micros=HOLD * 10), trunks={of_trunk(PBX, OUT): Cap(seconds=999)})
    )
    await nodes.load()
    node = Node(nodes)
    while not node.start():
        await node.fill()
    assert await node.end(9 * 60.0) == HOLD * 9
    # The debt is paid first.
    await node.fill()
    assert await nodes.out() >= HOLD * 9
    for _ in range(3):
        await nodes.load()
        node = Node(nodes)
        started = 0
        for _ in range(5):
            started += node.start()
            await node.fill()
        assert started == 1
        node.spending.settle(node.under_way.pop(), Amount())
        nodes.now += 11.0
        await node.fill()  # gives back what nobody needs


async def test_what_calls_hold_is_owed_to_a_ledger_that_forgot_it(world: RedisWorld, record: Database) -> None:
    nodes = Nodes(world, record, Caps(installation=Cap(micros=HOLD * 4)))
    await nodes.load()
    node, other = Node(nodes), Node(nodes)
    await node.fill()
    node.start()
    await node.fill()
    while node.start():
        pass
    held = len(node.under_way)
    assert held >= 1
    await nodes.load()
    await node.fill()
    assert await nodes.out() >= held * HOLD
    assert not node.start() or held + 1 <= 4
    for _ in range(6):
        other.start()
        await other.fill()
    assert len(node.under_way) + len(other.under_way) <= 4


async def test_without_a_loaded_record_nothing_is_lent(world: RedisWorld, record: Database) -> None:
    nodes = Nodes(world, record, Caps(installation=Cap(micros=HOLD)))
    node = Node(nodes)
    with pytest.raises(GateNotReady):
        await node.fill()
    assert not node.start()
    await nodes.load()
    node.start()
    await node.fill()
    assert node.start()
    # Emptied, and loaded by nobody: what was lent stays, but the gate is shut.
    await world.client.flushdb()
    with pytest.raises(GateNotReady):
        await node.fill()


async def test_without_caps_redis_is_not_asked(world: RedisWorld, record: Database) -> None:
    node = Node(Nodes(world, record, Caps()))
    await node.fill()
    assert node.start()


async def test_the_record_adds_up_by_installation_campaign_and_trunk(database: Database, world: RedisWorld) -> None:
    nodes = Nodes(world, database, Caps())
    await nodes.load()
    nodes.now = NOW - 86_400.0
    await nodes.record(CallId("n-yesterday"), 600.0)
    nodes.now = NOW
    await nodes.record(CallId("n-1"), 60.0)
    await nodes.record(CallId("n-2"), 30.5)
    expected = Amount(HOLD + 31_000, 91)
    assert await spent_since(database, NOW - 3_600.0) == {
        INSTALLATION: expected,
        of_campaign(WINTER): expected,
        of_trunk(PBX, OUT): expected,
    }
    stored = await Attempts(database).get(CallId("n-2"))
    assert stored is not None
    assert (stored.cost_micros, stored.billed_s) == (31_000, 31)


async def test_the_doctor_says_what_is_priced_and_capped_and_what_is_wrong(tmp_path: Path, sqlite_url: str) -> None:
    async def told(costs: Costs, *trunks: Trunk) -> tuple[bool, str]:
        settings = Settings(
            data_dir=str(tmp_path),
            database=DatabaseSettings(url=sqlite_url),
            costs=costs,
            asterisk=(Asterisk(name="pbx", port=1, trunks=trunks),),
        )
        [finding] = [one for one in await examine(settings) if one.part == "costs"]
        return finding.ok, finding.says

    flat = CarrierTariff(name="flat", rates=(TariffRate(prefix="+34", per_minute="0.01"),))
    priced, plain = Trunk(name="a", tariff="flat"), Trunk(name="b")
    capped = Costs(tariffs=(flat,), cap=SpendCap(money="10"))
    assert await told(capped, priced, plain) == (
        True,
        "1 of 2 trunks have a tariff; what a day's calls may cost is capped",
    )
    ok, says = await told(Costs(), plain)
    assert ok
    assert "set costs.cap" in says
    ok, says = await told(Costs(tariffs=(CarrierTariff(name="flat", file="/no/deck.csv"),)), priced)
    assert not ok
    assert "/no/deck.csv" in says
