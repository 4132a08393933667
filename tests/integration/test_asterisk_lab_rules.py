"""Engine, dispatcher and real Asterisk together: how long a phone rings, and what the key in the message does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random

import pytest

from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.attempt import Attempt
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.commands import PermitRequest, RequestPermits
from dialer.core.engine import Engine
from dialer.core.floor import Server
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, NodeName, Phone, ServerName, TrunkName
from dialer.core.outcome import Outcome
from dialer.core.permit import Permit
from dialer.core.ringing import SETUP_S
from dialer.core.trunks import TrunkLimits
from dialer.queues.memory import MemoryQueues
from dialer.queues.memory_server import MemoryServer
from dialer.runtime.clock import Clock
from dialer.runtime.dispatcher import Dispatcher
from dialer.runtime.opt_outs import OptOutWriter
from dialer.runtime.outbox import Outbox
from dialer.switch.asterisk import AsteriskSwitch
from scripts.lab import plan
from scripts.lab.plan import Kind, Persona
from scripts.lab.record import Session
from tests.patience import PATIENCE_S
from tests.runtime_floor import Notices
from tests.switch_rig import settings_for

from .conftest import AsteriskLab

pytestmark = pytest.mark.asterisk
Name = Callable[[str], str]
PBX, CAMPAIGN = ServerName("pbx"), CampaignId("winter")


class Floor:
    """One node without Redis: permits come from the test."""

    def __init__(self, lab: AsteriskLab, trunk: str) -> None:
        settings = settings_for("native", lab.layout.ami_port, secret=lab.secret, dial=f"PJSIP/{{number}}@{trunk}")
        self.clock = Clock()
        self.switch = AsteriskSwitch(settings, now=self.clock.now, random=Random(1))
        self.notices = Notices()
        self.requests: asyncio.Queue[PermitRequest] = asyncio.Queue(maxsize=100)
        limits = TrunkLimits(server=PBX, name=TrunkName("trunk"), max_channels=10, max_calls_per_second=100.0)
        memory = MemoryQueues(MemoryServer(self.clock.now), node=NodeName("n1"))
        self.dispatcher = Dispatcher(
            engine=Engine(node=NodeName("n1"), servers=[Server(name=PBX)], trunks=[limits]),
            switch=self.switch,
            outbox=Outbox(memory),
            now=self.clock.now,
            projections=(self.notices,),
            permit_requests=self.requests,
        )
        self.written: list[tuple[float, Mapping[str, object]]] = []

    async def do_not_call(self, messages: Sequence[Mapping[str, object]]) -> None:
        """The stream of do-not-call entries, at some distance."""
        await asyncio.sleep(0.3)
        self.written += [(self.clock.now(), message) for message in messages]

    async def pump(self) -> None:
        async for event in self.switch.events():
            self.dispatcher.feed(event)

    async def until(self, true: Callable[[], object], what: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not true():  # noqa: ASYNC110 - conditions of plain objects have no event
                await asyncio.sleep(0.01)
        assert true(), what

    def feed(self, event: ev.AnyEvent) -> None:
        self.dispatcher.feed(event)

    async def begin(self, campaign: Campaign, agents: Sequence[tuple[str, str]], calls: Mapping[str, str]) -> None:
        """Sign agents in, and let the campaign call these numbers, each named by its call id."""
        floor, now = self.dispatcher.engine.floor, self.clock.now
        await self.until(lambda: floor.connected(PBX), "the server")
        for agent, phone in agents:
            self.feed(ev.AgentSignedIn(at=now(), agent=AgentId(agent), phone=phone, campaigns=(CAMPAIGN,)))
        await self.until(lambda: len(floor.servers[PBX].rooms) >= len(agents), "the phones")
        self.feed(ev.CampaignConfigured(at=now(), campaign=campaign))
        self.feed(ev.CampaignOrdered(at=now(), campaign=CAMPAIGN, state=CampaignState.RUNNING))
        left = [
            Permit(
                call=CallId(call),
                campaign=CAMPAIGN,
                contact=ContactId(call),
                phone=Phone(f"+{number}"),
                fencing_token=1,
                attempt_number=1,
                expires_at=now() + PATIENCE_S,
            )
            for call, number in calls.items()
        ]
        while left:
            request = await asyncio.wait_for(self.requests.get(), PATIENCE_S)
            assert isinstance(request, RequestPermits)
            permits, left = tuple(left[: request.count]), left[request.count :]
            self.feed(
                ev.PermitsGranted(
                    at=now(), campaign=CAMPAIGN, requested=request.count, permits=permits, refusals=ev.Refusals(),
                    ready=0, later=0,
                )
            )  # fmt: skip
        self.feed(ev.CampaignOrdered(at=now(), campaign=CAMPAIGN, state=CampaignState.PAUSED))

    def ended(self) -> dict[str, Attempt]:
        return {n.attempt.call: n.attempt for n in self.notices.seen if isinstance(n, ntc.CallEnded)}


@asynccontextmanager
async def floor_on(lab: AsteriskLab, trunk: str) -> AsyncIterator[Floor]:
    floor = Floor(lab, trunk)
    writer = OptOutWriter(floor, floor.dispatcher.do_not_call, floor.feed, floor.clock.now)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in (floor.switch.run(), floor.pump(), writer.run())]
        try:
            yield floor
            for agent in [agent.id for agent in floor.dispatcher.engine.floor.roster]:
                floor.feed(ev.AgentSignedOut(at=floor.clock.now(), agent=agent))
            await asyncio.sleep(0.2)
        finally:
            await floor.switch.close()
            for task in tasks:
                task.cancel()
            floor.dispatcher.close()


@pytest.mark.slow
async def test_a_phone_rings_for_its_time_and_a_silent_carrier_is_given_up(
    asterisk_lab: AsteriskLab, name: Name, serials: Iterator[int]
) -> None:
    rings, silent = name("call"), name("call")
    numbers = {rings: plan.number(Kind.RINGS_ON, next(serials)), silent: plan.number(Kind.SILENT, next(serials))}
    campaign = Campaign(id=CAMPAIGN, method="progressive", ring_timeout_s=15.0)
    async with floor_on(asterisk_lab, "carrier") as floor:
        await floor.begin(campaign, [(name("agent"), "agent08"), (name("agent"), "agent09")], numbers)
        await floor.until(lambda: len(floor.ended()) == 2, "the ends")
        rang, never = floor.ended()[rings], floor.ended()[silent]
    assert (rang.outcome, rang.reason) == (Outcome.NO_ANSWER, "ring time-out")
    assert rang.ringing_at is not None
    assert 15.0 <= rang.ended_at - rang.ringing_at < 15.0 + SETUP_S
    assert (never.outcome, never.reason, never.ringing_at) == (Outcome.CONGESTION, "no ringing", None)
    assert 15.0 + SETUP_S <= never.ended_at - never.started_at < 15.0 + 2 * SETUP_S


async def test_the_key_writes_the_entry_before_the_goodbye(
    asterisk_lab: AsteriskLab, session: Session, name: Name, serials: Iterator[int]
) -> None:
    call, agent = name("call"), name("agent")
    number = plan.number(Kind.AUDIO, next(serials), persona=Persona.QUIET)
    campaign = Campaign(id=CAMPAIGN, method="progressive", message="demo-congrats", connect_within_s=1.0)
    async with floor_on(asterisk_lab, "voice") as floor:
        await floor.begin(campaign, [(agent, "agent10")], {call: number})
        floor.feed(ev.AgentPauseAsked(at=floor.clock.now(), agent=AgentId(agent), code="lunch"))
        seen = floor.notices.seen
        await floor.until(lambda: any(isinstance(n, ntc.CallWasAbandoned) for n in seen), "the message")
        await asyncio.sleep(0.5)
        await asyncio.to_thread(session.press, "9")
        await floor.until(floor.ended, "the end")
        attempt = floor.ended()[call]
        (entry,) = floor.written
    assert (attempt.outcome, attempt.opted_out, attempt.message_played) == (Outcome.ABANDONED, True, False)
    assert (entry[1]["op"], entry[1]["phone"], entry[1]["scope"]) == ("add", f"+{number}", "*")
    pressed = session.events.event("UserEvent", UserEvent="CadenciaOptOut", Call=call)
    said = session.events.event("UserEvent", UserEvent="CadenciaGoodbye", Call=call)
    # The same machine's clock: the goodbye was over after the entry was written, and began after it.
    assert float(pressed["Timestamp"]) < entry[0] < float(said["Timestamp"])
    assert said["Played"] == "yes"
