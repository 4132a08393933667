"""Hours of dialing in seconds: the real engine on memory queues, callees and agents on a heap with virtual time.

What must hold over the whole run: every started call ends once; nobody, and no number, is in two calls at once; people
are abandoned within the campaign's limit, as far as statistics can tell; nothing grows; the same seed gives the same.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.agent import AgentState
from dialer.core.campaign import Campaign, CampaignState, RetryRule
from dialer.core.contact import Contact
from dialer.core.engine import Engine
from dialer.core.floor import Output, Server
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, NodeName, Phone, ServerName, TrunkName
from dialer.core.outcome import LIVE, Outcome
from dialer.core.trunks import TrunkLimits
from dialer.queues.memory import MemoryQueues
from dialer.queues.memory_server import MemoryServer
from dialer.queues.port import AsyncRecords, Finish, Record, Release, Write

CAMPAIGN = CampaignId("winter")
NODE = NodeName("n1")
SERVERS = (ServerName("one"), ServerName("two"))
START = 1_800_000_000.0
RETRIES = {
    Outcome.BUSY: RetryRule(delay_s=300, max_attempts=4),
    Outcome.NO_ANSWER: RetryRule(delay_s=900, max_attempts=4),
    Outcome.ABANDONED: RetryRule(delay_s=3_600, max_attempts=2),
    Outcome.LOST: RetryRule(delay_s=60, max_attempts=4),
}


@dataclass(slots=True)
class Line:
    """What goes on at the callee's end."""

    server: ServerName
    contact: ContactId
    phone: Phone
    joined: bool = False


class World:
    """Callees and agents, and a switch that takes 5 ms for everything."""

    def __init__(self, seed: int, agents: int, *, faults: bool, servers: int) -> None:
        self.servers = SERVERS[:servers]
        self.now = START
        self.random = np.random.default_rng(seed)
        self.server = MemoryServer(lambda: self.now)
        self.queues = MemoryQueues(self.server, node=NODE)
        self.engine = Engine(
            node=NODE,
            servers=[Server(name=name) for name in self.servers],
            trunks=[
                TrunkLimits(server=name, name=TrunkName("out"), max_channels=60, max_calls_per_second=10.0)
                for name in self.servers
            ],
        )
        self.faults = faults
        self.lines: dict[CallId, Line] = {}
        self.heap: list[tuple[float, int, Callable[[], ev.AnyEvent | None]]] = []
        self.steps = 0
        self.calls = 0
        self.contacts = 0
        self.talk_s = 0.0
        self.started: Counter[CallId] = Counter()
        self.ended: Counter[CallId] = Counter()
        self.outcomes: Counter[Outcome] = Counter()
        self.print = hashlib.sha256()
        self.agents = [AgentId(f"agent{n:02d}") for n in range(agents)]

    # ---- the run

    async def run(self, hours: float) -> None:
        await self.queues.rebuild(pages())
        for name in self.servers:
            self.later(0.0, ev.ServerConnected(at=0, server=name, calls=frozenset(), agents=frozenset()))
        campaign = Campaign(id=CAMPAIGN, method="predictive", wrapup_limit_s=60.0, retries=RETRIES)
        self.later(0.0, ev.CampaignConfigured(at=0, campaign=campaign, state=CampaignState.RUNNING))
        for agent in self.agents:
            self.later(1.0, ev.AgentSignedIn(at=0, agent=agent, phone=agent, campaigns=(CAMPAIGN,)))
        if self.faults:
            for number in range(int(hours * 6)):
                self.fault(600.0 * (number + 1))
            for server in self.servers:  # whatever end was not heard of is found out at the latest now
                self.fault(hours * 3_600.0 + 1_800.0, server)
        end = START + hours * 3_600.0
        await self.go_until(end)
        await self.take(
            self.engine.handle(ev.CampaignOrdered(at=self.now, campaign=CAMPAIGN, state=CampaignState.DRAINING))
        )
        await self.go_until(end + 3_600.0)
        for agent in self.agents:
            await self.take(self.engine.handle(ev.AgentSignedOut(at=self.now, agent=agent)))
        await self.go_until(end + 3_700.0)

    async def go_until(self, end: float) -> None:
        while True:
            if len(self.server.ready.get(CAMPAIGN, ())) < 100:
                await self.push()
            due, deadline = self.heap[0][0] if self.heap else math.inf, self.engine.next_deadline()
            at = min(due, math.inf if deadline is None else deadline)
            if at > end:
                self.now = end
                return
            self.now = max(self.now, at)
            if due <= at:
                event = heapq.heappop(self.heap)[2]()
                if event is None:
                    continue
                outputs = self.engine.handle(event)
            else:
                outputs = self.engine.wake(self.now)
            await self.take(outputs)

    async def push(self) -> None:
        numbers = range(self.contacts, self.contacts + 200)
        self.contacts += 200
        # Every tenth number is shared by two contacts.
        await self.queues.offer(
            [
                Contact(
                    campaign=CAMPAIGN, id=ContactId(f"crm-{n}"), phones=(Phone(f"+346{1 + n - (n % 10 == 1):08d}"),)
                )
                for n in numbers
            ]
        )  # fmt: skip

    def later(self, delay_s: float, event: ev.AnyEvent, *, unless: Callable[[], bool] | None = None) -> None:
        """Let an event happen, stamped with its moment, unless it has become impossible."""
        self.steps += 1
        made = lambda: None if unless is not None and unless() else replace(event, at=self.now)  # noqa: E731
        heapq.heappush(self.heap, (self.now + delay_s, self.steps, made))

    # ---- what the engine wants

    async def take(self, outputs: list[Output]) -> None:
        writes: list[Write] = []
        follow: list[ev.AnyEvent] = []
        for output in outputs:
            self.print.update(repr(output).encode())
            match output:
                case cmd.Originate():
                    follow.append(self.originate(output))
                case cmd.RequestPermits():
                    await self.request(output)
                case cmd.ReturnPermit():
                    writes.append(Release(permit=output.permit))
                case cmd.FinishCall():
                    writes.append(Finish(attempt=output.attempt, fencing_token=output.fencing_token,
                                         retry_at=output.retry_at))  # fmt: skip
                case cmd.CallAgent():
                    self.later(2.0, ev.AgentPhoneUp(at=0, agent=output.agent))
                case cmd.HangUp():
                    if not self.lost(16):
                        self.gone(output.call, 0.005, by=ev.HungUpBy.DIALER)
                case cmd.PlayMessage():
                    self.gone(output.call, 6.0, by=ev.HungUpBy.DIALER)
                case cmd.ConnectCall():
                    self.connect(output)
                case ntc.CallStarted():
                    self.started[output.call] += 1
                case ntc.CallEnded():
                    self.ended[output.attempt.call] += 1
                    self.outcomes[output.attempt.outcome] += 1
                    self.talk_s += output.attempt.talk_s or 0.0
                case ntc.AgentChanged(state=AgentState.WRAPUP):
                    agent = output.agent
                    self.later(float(self.random.exponential(20.0)), ev.AgentReadied(at=0, agent=agent))
                case _:
                    pass
        if writes:
            await self.queues.write(writes)
        for event in follow:
            await self.take(self.engine.handle(event))

    async def request(self, request: cmd.RequestPermits) -> None:
        calls = []
        for _ in range(request.count):
            self.calls += 1
            calls.append(CallId(f"n1-boot-{self.calls:010d}"))
        async with self.queues.reserve(request.campaign, calls, self.now) as reservation:
            granted = reservation.granted
        # The answer takes as long as a Redis at some distance, now and then a slow one.
        self.later(0.2 if self.random.random() < 0.01 else 0.002, granted)

    def originate(self, command: cmd.Originate) -> ev.AnyEvent:
        call, permit = command.permit.call, command.permit
        for line in self.lines.values():
            assert line.contact != permit.contact, "one contact in two calls"
            assert line.phone != permit.phone, "one number in two calls"
        if self.lost(50):
            return ev.OriginateNotSent(at=self.now, call=call, reason="backpressure")
        self.lines[call] = Line(command.server, permit.contact, permit.phone)
        fate = self.random.random()
        if fate < 0.35:
            ring_s = 2.0 + float(self.random.exponential(8.0))
            if ring_s < command.outer_limit_s:
                self.later(1.5, ev.CallRinging(at=0, call=call), unless=lambda: call not in self.lines)
                self.later(ring_s, ev.CallAnswered(at=0, call=call), unless=lambda: call not in self.lines)
                patience_s = ring_s + float(self.random.exponential(15.0))
                self.gone(call, patience_s, by=ev.HungUpBy.CUSTOMER, unless_joined=True)
            else:
                self.gone(call, command.outer_limit_s, timed_out=True)
        elif fate < 0.5:
            self.gone(call, 1.0, cause=17, sip_code=486)
        elif fate < 0.51:
            self.lines.pop(call)
            self.later(0.1, ev.OriginateFailed(at=0, call=call, reason="no such endpoint"))
        else:
            self.later(1.5, ev.CallRinging(at=0, call=call), unless=lambda: call not in self.lines)
            self.gone(call, command.outer_limit_s, timed_out=True)
        return ev.OriginateHandedOver(at=self.now, call=call)

    def connect(self, command: cmd.ConnectCall) -> None:
        line = self.lines.get(command.call)
        if line is None or self.lost(200):
            return
        line.joined = True
        self.later(
            0.005, ev.CallJoined(at=0, call=command.call, agent=command.agent),
            unless=lambda: command.call not in self.lines,
        )  # fmt: skip
        talk_s = float(self.random.lognormal(math.log(120.0), 0.6))
        self.gone(command.call, 0.005 + talk_s, by=ev.HungUpBy.CUSTOMER)

    def gone(
        self, call: CallId, delay_s: float, *, cause: int = 16, sip_code: int | None = None, timed_out: bool = False,
        by: ev.HungUpBy = ev.HungUpBy.NETWORK, unless_joined: bool = False,
    ) -> None:  # fmt: skip
        """The channel goes after a while, if it is still there."""

        def happened() -> bool:
            line = self.lines.get(call)
            if line is None or (unless_joined and line.joined):
                return True
            del self.lines[call]
            return self.lost(100)  # and nobody hears of it

        event = ev.CallHungUp(at=0, call=call, cause=cause, sip_code=sip_code, timed_out=timed_out, by=by)
        self.later(delay_s, event, unless=happened)

    def lost(self, one_in: int) -> bool:
        return self.faults and bool(self.random.integers(one_in) == 0)

    def fault(self, delay_s: float, which: ServerName | None = None) -> None:
        """A server's connection goes for a quarter of a minute; now and then its agents' phones go with it."""
        server = which or self.servers[int(self.random.integers(len(self.servers)))]
        keeps_phones = bool(self.random.random() < 0.7)
        self.later(delay_s, ev.ServerLost(at=0, server=server, reason="fault"))

        def back() -> ev.AnyEvent:
            calls = frozenset(call for call, line in self.lines.items() if line.server == server)
            agents = frozenset(agent.id for agent in self.engine.floor.roster if agent.server == server)
            found = agents if keeps_phones else frozenset[AgentId]()
            return ev.ServerConnected(at=self.now, server=server, calls=calls, agents=found)

        self.steps += 1
        heapq.heappush(self.heap, (self.now + delay_s + 15.0, self.steps, back))


async def pages() -> AsyncRecords:
    yield Record()


async def played(seed: int, *, agents: int, hours: float, faults: bool = False, servers: int = 2) -> World:
    world = World(seed, agents, faults=faults, servers=servers)
    await world.run(hours)
    return world


def check_that_nothing_is_left(world: World) -> None:
    floor = world.engine.floor
    assert world.started.keys() == world.ended.keys()
    assert set(world.started.values()) == set(world.ended.values()) == {1}
    assert not floor.calls
    assert not len(floor.roster)
    run = floor.campaigns[CAMPAIGN]
    assert run.state is CampaignState.STOPPED
    assert (len(run.calls), len(run.waiting), run.reserved, run.requested) == (0, 0, 0, 0)
    assert not any(run.unanswered.values())
    assert not any(floor.trunks.channels().values())
    assert len(floor.timers) == 0
    assert len(floor.timers._heap) <= 100
    assert not world.server.live


@pytest.mark.parametrize(("servers", "talking"), [(1, 0.7), (2, 0.6)])
async def test_hours_of_dialing_end_every_call_once_and_keep_the_limit(servers: int, talking: float) -> None:
    """With two servers each has half of the agents, and nobody can be moved from the one to the other."""
    world = await played(1, agents=15, hours=1.5, servers=servers)
    check_that_nothing_is_left(world)
    answers = sum(world.outcomes[outcome] for outcome in LIVE)
    abandoned = world.outcomes[Outcome.ABANDONED]
    assert answers > 300
    # With a true rate of 3 %, so many or more would come about once in a thousand runs.
    most = 0.03 * answers + 3.1 * math.sqrt(answers * 0.03 * 0.97)
    assert abandoned <= most
    assert world.talk_s / (15 * 1.5 * 3_600.0) > talking, "the agents are there to talk"


async def test_losses_and_faults_leave_nothing_behind() -> None:
    world = await played(3, agents=12, hours=2.0, faults=True)
    check_that_nothing_is_left(world)
    assert world.outcomes[Outcome.LOST] > 0, "the faults were felt"
    assert world.outcomes[Outcome.CONNECTED] > 100


async def test_the_same_seed_gives_the_same_outputs_and_another_does_not() -> None:
    one, same, other = [await played(seed, agents=5, hours=0.5, faults=True) for seed in (7, 7, 8)]
    assert one.print.hexdigest() == same.print.hexdigest()
    assert one.print.hexdigest() != other.print.hexdigest()
