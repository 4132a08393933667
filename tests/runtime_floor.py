"""A dispatcher with a gatekeeper on memory queues and a switch that calls nobody; all of it real but the outside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.commands import PermitRequest
from dialer.core.contact import Contact
from dialer.core.engine import Engine
from dialer.core.floor import Server
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, NodeName, Phone, ServerName, TrunkName
from dialer.core.trunks import TrunkLimits
from dialer.queues.memory import MemoryQueues
from dialer.queues.memory_server import MemoryServer
from dialer.queues.port import Record
from dialer.runtime.clock import Clock
from dialer.runtime.dispatcher import Dispatcher
from dialer.runtime.gatekeeper import Gatekeeper
from dialer.runtime.outbox import Outbox
from dialer.testing_switch import FakeSwitch, OpenScreen
from tests.patience import PATIENCE_S

CAMPAIGN = CampaignId("winter")
PBX = ServerName("pbx")
NODE = NodeName("n1")


async def eventually(condition: Callable[[], object], what: str = "it") -> None:
    """Wait until `condition` holds; fail when it does not within `PATIENCE_S`."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - conditions of plain objects have no event
            await asyncio.sleep(0.005)
    assert condition(), what


class Notices:
    """A projection that keeps everything."""

    def __init__(self) -> None:
        self.seen: list[ntc.AnyNotice] = []

    def apply(self, notice: ntc.AnyNotice) -> None:
        self.seen.append(notice)


class RuntimeFloor:
    """One node's shell without its network."""

    def __init__(self, queues: MemoryQueues | None = None, *, requests: int = 1_000, soft_limit: int = 20_000) -> None:
        self.clock = Clock()
        self.server = MemoryServer(self.clock.now)
        self.queues = queues or MemoryQueues(self.server, node=NODE)
        self.switch = FakeSwitch(["pbx"], self.clock.now)
        self.outbox = Outbox(self.queues, soft_limit)
        self.requests: asyncio.Queue[PermitRequest] = asyncio.Queue(maxsize=requests)
        self.notices = Notices()
        limits = TrunkLimits(server=PBX, name=TrunkName("out"), max_channels=100, max_calls_per_second=1000.0)
        self.engine = Engine(node=NODE, servers=[Server(name=PBX)], trunks=[limits])
        self.dispatcher = Dispatcher(
            engine=self.engine,
            switch=self.switch,
            outbox=self.outbox,
            now=self.clock.now,
            projections=(self.notices,),
            permit_requests=self.requests,
        )
        self.rebuilds = 0
        self.screen = OpenScreen()
        self.gatekeeper = Gatekeeper(
            node=NODE,
            boot="beef0001",
            queues=self.queues,
            record=self._record,
            dispatcher=self.dispatcher,
            requests=self.requests,
            screen=self.screen,
            give_back=self.outbox.put,
            now=self.clock.now,
        )

    async def _record(self) -> AsyncIterator[Record]:
        self.rebuilds += 1
        yield Record()

    def work(self, *agents: str, method: str = "progressive") -> None:
        """The server is there, the campaign runs, the agents are idle."""
        at = self.clock.now()
        self.switch.connect("pbx")
        feed = self.dispatcher.feed
        feed(ev.ServerConnected(at=at, server=PBX, calls=frozenset(), agents=frozenset()))
        feed(ev.CampaignConfigured(at=at, campaign=Campaign(id=CAMPAIGN, method=method), state=CampaignState.RUNNING))
        for agent in agents:
            feed(ev.AgentSignedIn(at=at, agent=AgentId(agent), phone=agent, campaigns=(CAMPAIGN,)))
            feed(ev.AgentPhoneUp(at=at, agent=AgentId(agent)))

    async def offer(self, count: int, first: int = 1) -> Sequence[object]:
        """Put contacts into the hopper."""
        return await self.queues.offer(
            [
                Contact(campaign=CAMPAIGN, id=ContactId(f"crm-{n}"), phones=(Phone(f"+34600{n:06d}"),))
                for n in range(first, first + count)
            ]
        )

    def hang_up(self, call: str) -> None:
        """A channel goes, unanswered."""
        self.dispatcher.feed(
            ev.CallHungUp(
                at=self.clock.now(), call=CallId(call), cause=17, sip_code=486, timed_out=False,
                by=ev.HungUpBy.NETWORK,
            )
        )  # fmt: skip
