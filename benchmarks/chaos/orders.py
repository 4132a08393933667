"""Orders of events that no test bench can reach: nodes, a switch and a gate on virtual time, shuffled by a seed.

    python -m benchmarks.chaos.orders --seeds 5000 [--first 1]

Engines, dispatchers and the gate's rules are the real ones (the gate in memory); everything between them is late,
doubled, out of order or lost, as the seed has it: events and commands, the gate's answers, writes, links to the
switch; nodes die at any moment, stand still for longer than anybody waits for them, and come back; the CRM withdraws
whom it likes. What must hold is checked with every originate, and when all is over.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import math
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core.campaign import Campaign, CampaignState, RetryRule
from dialer.core.contact import Contact
from dialer.core.engine import Engine
from dialer.core.floor import Server
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, NodeName, Phone, ServerName, TrunkName
from dialer.core.outcome import Outcome
from dialer.core.trunks import TrunkLimits
from dialer.queues.memory import MemoryQueues
from dialer.queues.memory_server import MemoryServer
from dialer.queues.port import AsyncRecords, Record, Write
from dialer.runtime.dispatcher import Dispatcher, no_answer
from dialer.switch.port import HandOver

CAMPAIGN: Final = CampaignId("winter")
SERVERS: Final = (ServerName("one"), ServerName("two"))
START: Final = 1_800_000_000.0
CONTACTS: Final = 40
#: Trouble comes in the first part; then everything works, and must come to its end.
TROUBLE_S: Final = 45.0
LIMIT_S: Final = 900.0
#: So long after the last trouble the engines know which calls there are.
HEALED_S: Final = 10.0
_HEARTBEAT_S: Final = 1.0
_TTL_S: Final = 5.0
RETRIES: Final = {
    Outcome.BUSY: RetryRule(delay_s=2, max_attempts=3),
    Outcome.NO_ANSWER: RetryRule(delay_s=3, max_attempts=2),
    Outcome.LOST: RetryRule(delay_s=30, max_attempts=2),
    Outcome.CANCELLED: RetryRule(delay_s=1, max_attempts=2),
}


@dataclass(frozen=True, slots=True)
class Troubles:
    """How bad a run is; chances are per event, times are means."""

    duplicate: float
    reorder_s: float
    command_s: float
    gate_s: float
    gate_fails: float
    #: The holder of a permit stands still between the gate's answer and the hand-over.
    lease_outlived: float
    write_s: float
    link_lost_every_s: float
    dies_every_s: float
    freezes_every_s: float
    phone_falls_every_s: float

    @classmethod
    def of(cls, chance: random.Random) -> Troubles:
        """Some runs know one trouble alone, some all of them."""

        def some(*levels: float) -> float:
            return chance.choice((levels[0], *levels))

        return cls(
            duplicate=some(0.0, 0.05, 0.4),
            reorder_s=some(0.0, 0.01, 0.5),
            command_s=some(0.001, 0.05, 0.5),
            gate_s=some(0.001, 0.05, 1.0),
            gate_fails=some(0.0, 0.02, 0.2),
            lease_outlived=some(0.0, 0.05, 0.3),
            write_s=some(0.01, 0.2, 3.0),
            link_lost_every_s=some(math.inf, 15.0, 4.0),
            dies_every_s=some(math.inf, 20.0, 6.0),
            freezes_every_s=some(math.inf, 20.0, 8.0),
            phone_falls_every_s=some(math.inf, 15.0, 5.0),
        )


@dataclass(slots=True)
class Line:
    """A call as the carrier has it."""

    call: CallId
    server: ServerName
    contact: ContactId
    phone: Phone
    #: Nodes that hear of it: who began it, and whoever has taken it over.
    nodes: set[str]
    there: bool = False
    answered: bool = False
    room: AgentId | None = None


class _Outbox:
    """Writes in their order, kept until they are carried out."""

    full = False

    def __init__(self) -> None:
        self.waiting: list[Write] = []

    def put(self, writes: Sequence[Write], *, urgent: bool = False) -> None:
        self.waiting.extend(writes)


class _Hands(Dispatcher):
    """The real one, woken by the world's clock."""

    def _arm(self) -> None:
        pass


class Node:
    """One process of a node, from its start to its death."""

    def __init__(self, world: World, name: str, boot: int) -> None:
        self.world = world
        self.name = name
        self.engine = Engine(
            node=NodeName(name),
            servers=[Server(name=server) for server in SERVERS],
            trunks=[
                TrunkLimits(server=server, name=TrunkName("out"), max_channels=50, max_calls_per_second=20.0)
                for server in SERVERS
            ],
        )
        self.queues = MemoryQueues(world.server, node=NodeName(name))
        self.outbox = _Outbox()
        self.requests: asyncio.Queue[cmd.PermitRequest] = asyncio.Queue()
        self.hands = _Hands(
            engine=self.engine,
            switch=Switch(world, self),  # type: ignore[arg-type]  # only what the engine's campaigns make it ask for
            outbox=self.outbox,  # type: ignore[arg-type]
            now=lambda: world.now,
            permit_requests=self.requests,
        )
        self.alive = True
        self.frozen = False
        self.beat_at = -math.inf
        #: Came while it stood still; taken in when it goes on.
        self.missed: list[Callable[[], None]] = []
        #: Of each link, which one it is by now; None while it is down.
        self.links: dict[ServerName, int | None] = dict.fromkeys(SERVERS)
        #: Handed over, and not in a list of channels since: like the tracker, it ends them, and hears no more of them.
        self.gone: set[CallId] = set()
        self._boot = f"{name}-{boot:04d}-"
        self._calls = 0

    def do(self, what: Callable[[], None]) -> None:
        """Now, or when it goes on; never once it is dead."""
        if self.alive and self.frozen:
            self.missed.append(what)
        elif self.alive:
            what()

    def feed(self, event: ev.AnyEvent) -> None:
        """Hand an event in, learned now."""
        self.hands.feed(replace(event, at=self.world.now))

    def next_call(self) -> CallId:
        self._calls += 1
        return CallId(f"{self._boot}{self._calls:010d}")

    def wake(self) -> None:
        deadline = self.engine.next_deadline()
        if self.alive and not self.frozen and deadline is not None and deadline <= self.world.now:
            self.hands._wake(deadline)

    def agents(self) -> list[AgentId]:
        return [AgentId(f"{self.name}a{k}") for k in range(3)]


class Switch:
    """A node's hands at the servers: what it asks for arrives late, or not at all where the link is down."""

    def __init__(self, world: World, node: Node) -> None:
        self._world = world
        self._node = node

    def originate(self, command: cmd.Originate, now: float) -> HandOver:
        if self._node.links[command.server] is None:
            return HandOver.NOT_CONNECTED
        if not command.permit.valid(now):
            return HandOver.PERMIT_EXPIRED
        self._world.originate(self._node, command)
        return HandOver.HANDED_OVER

    def hang_up(self, command: cmd.HangUp) -> None:
        self._send(command.server, lambda: self._world.end(command.call, ev.HungUpBy.DIALER))

    def follow(self, command: cmd.FollowCall) -> None:
        self._send(command.server, lambda: self._world.follow(self._node, command))

    def connect_call(self, command: cmd.ConnectCall) -> None:
        self._send(command.server, lambda: self._world.join(command))

    def play_message(self, command: cmd.PlayMessage) -> None:
        def played() -> None:
            self._world.after(3.0, lambda: self._world.end(command.call, ev.HungUpBy.DIALER))

        self._send(command.server, played)

    def call_agent(self, command: cmd.CallAgent) -> None:
        self._send(command.server, lambda: self._world.phone_up(command.agent, command.server))

    def hang_up_agent(self, command: cmd.HangUpAgent) -> None:
        self._send(command.server, lambda: self._world.phone_falls(command.agent))

    def _send(self, server: ServerName, what: Callable[[], None]) -> None:
        world = self._world
        if self._node.links[server] is not None:
            world.after(world.late(world.troubles.command_s), what)


class World:
    """All of one run."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.troubles = Troubles.of(self.chance)
        self.now = START
        self.server = MemoryServer(lambda: self.now)
        self.heap: list[tuple[float, int, Callable[[], Any]]] = []
        self.count = 0
        self.lines: dict[CallId, Line] = {}
        #: When calls ended: for a moment only the carrier knows.
        self.ended: dict[CallId, float] = {}
        self.rooms: dict[AgentId, ServerName] = {}
        self.dialed: list[tuple[CallId, ContactId, int]] = []
        self.withdrawn: set[ContactId] = set()
        self.problems: list[str] = []
        self.nodes: dict[str, Node] = {}
        self.boots = 0
        self.quiet = False
        self.happened: Counter[str] = Counter()
        self.campaign = Campaign(
            id=CAMPAIGN, method="ratio", ratio=2.0, wrapup_limit_s=1.0, max_attempts=3, retries=RETRIES
        )

    # ---- time

    def after(self, delay_s: float, what: Callable[[], Any]) -> None:
        """Later; `what` may answer with a coroutine."""
        self.count += 1
        heapq.heappush(self.heap, (self.now + delay_s, self.count, what))

    def late(self, mean_s: float) -> float:
        """A delay; in the quiet part a short one."""
        return 0.001 if self.quiet else self.chance.expovariate(1.0 / mean_s)

    def sometimes(self, probability: float) -> bool:
        return not self.quiet and self.chance.random() < probability

    async def until(self, end: float, over: Callable[[], bool] = lambda: False) -> None:
        while not over():
            deadlines = [
                deadline
                for node in self.nodes.values()
                if node.alive and not node.frozen and (deadline := node.engine.next_deadline()) is not None
            ]
            due = self.heap[0][0] if self.heap else math.inf
            at = min((due, *deadlines))
            if at > end:
                self.now = end
                return
            self.now = max(self.now, at)
            if due <= at:
                answer = heapq.heappop(self.heap)[2]()
                if answer is not None:
                    await answer
            else:
                for node in [*self.nodes.values()]:
                    node.wake()
            for node in [*self.nodes.values()]:
                self._serve(node)

    # ---- the run

    async def run(self) -> None:
        await MemoryQueues(self.server, node=NodeName("loader")).rebuild(_nothing())
        contacts = [
            # Every eighth number is shared by two contacts.
            Contact(campaign=CAMPAIGN, id=ContactId(f"c{n}"), phones=(Phone(f"+346{n - (n % 8 == 1):08d}"),))
            for n in range(CONTACTS)
        ]
        await MemoryQueues(self.server, node=NodeName("crm")).offer(contacts)
        for name in ("n1", "n2"):
            await self.boot(name)
        for kind, every_s in (
            (self.link_lost, self.troubles.link_lost_every_s),
            (self.dies, self.troubles.dies_every_s),
            (self.freezes, self.troubles.freezes_every_s),
            (self.falls, self.troubles.phone_falls_every_s),
        ):
            self._again(kind, every_s)
        for _ in range(self.chance.randrange(12)):
            self.after(self.chance.uniform(0, TROUBLE_S), self.withdraw)
        await self.until(START + TROUBLE_S)
        self.quiet = True
        for node in [*self.nodes.values()]:
            self._thaw(node)
            if not node.alive:
                await self.boot(node.name)
            for server in SERVERS:
                self._link_up(node, server)
        await self.until(self.now + HEALED_S)
        self._compare()
        await self.until(self.now + LIMIT_S, self._over)
        # What an earlier process wrote down lately is still on its way.
        await self.until(self.now + HEALED_S)
        self._judge()

    def _again(self, kind: Callable[[], Any], every_s: float) -> None:
        if math.isinf(every_s):
            return

        def happens() -> Any:
            if self.quiet:
                return None
            self._again(kind, every_s)
            self.happened[kind.__name__] += 1
            return kind()

        self.after(self.chance.expovariate(1.0 / every_s), happens)

    async def boot(self, name: str) -> None:
        """A node starts: what it left behind first, then the servers, then its agents."""
        self.boots += 1
        node = self.nodes[name] = Node(self, name, self.boots)
        node.feed(ev.CampaignConfigured(at=0, campaign=self.campaign, state=CampaignState.RUNNING))
        await self._heartbeat(node)
        for server in SERVERS:
            self.after(self.chance.uniform(0.05, 0.3), partial(self._link_up, node, server))
        for agent in node.agents():
            self.after(self.chance.uniform(0.3, 1.0), partial(self._stay_ready, node, agent))

    def _stay_ready(self, node: Node, agent: AgentId) -> None:
        """An agent who looks at their page now and then, and signs in again where they are out."""

        def look() -> None:
            found = node.engine.floor.roster.get(agent)
            if found is None or found.state.value in {"lost", "signed_out"}:
                node.feed(ev.AgentSignedIn(at=0, agent=agent, phone=agent, campaigns=(CAMPAIGN,)))
            elif found.state.value == "wrapup":
                node.feed(ev.AgentReadied(at=0, agent=agent))

        if node.alive:
            node.do(look)
            self.after(2.0, lambda: self._stay_ready(node, agent))

    # ---- the gate

    def _serve(self, node: Node) -> None:
        while node.alive and not node.requests.empty():
            request = node.requests.get_nowait()
            self.after(self.late(self.troubles.gate_s), partial(self._gate, node, request))

    async def _gate(self, node: Node, request: cmd.PermitRequest) -> None:
        if not node.alive:
            return
        if node.frozen:
            node.missed.append(lambda: self.after(0.0, lambda: self._gate(node, request)))
            return
        assert isinstance(request, cmd.RequestPermits)
        if self.now - node.beat_at > _TTL_S / 2:  # as the gatekeeper does
            await self._beat(node)
        if self.sometimes(self.troubles.gate_fails):
            refused = no_answer(request, self.now, "gate is out of reach")
            assert refused is not None
            node.feed(refused)
            return
        calls = [node.next_call() for _ in range(request.count)]
        async with node.queues.reserve(request.campaign, calls, self.now) as reservation:
            for purged in reservation.purged:
                node.feed(purged)
            if self.sometimes(self.troubles.lease_outlived):
                granted = reservation.granted
                self.after(self.chance.uniform(0.05, 7.0), lambda: node.do(lambda: node.feed(granted)))
                self._flush_later(node)
                return
            node.feed(reservation.granted)
        self._flush_later(node)

    def _flush_later(self, node: Node) -> None:
        self.after(self.late(self.troubles.write_s), lambda: self._flush(node))

    async def _flush(self, node: Node) -> None:
        if not node.alive:
            return
        if node.frozen:
            node.missed.append(lambda: self._flush_later(node))
            return
        batch = node.outbox.waiting[: self.chance.randint(1, 50)]
        del node.outbox.waiting[: len(batch)]
        await node.queues.write(batch)
        if node.outbox.waiting:
            self._flush_later(node)

    async def _heartbeat(self, node: Node) -> None:
        if not node.alive:
            return
        self.after(_HEARTBEAT_S, lambda: self._heartbeat(node))
        if node.frozen:
            return
        await self._beat(node)
        for recovered in await node.queues.recover(self.now):
            self.happened["recovered"] += 1
            node.feed(recovered)
        for purged in await node.queues.drain():
            node.feed(purged)
        self._flush_later(node)

    async def _beat(self, node: Node) -> None:
        node.beat_at = self.now
        await node.queues.heartbeat(self.now, _TTL_S)

    async def withdraw(self) -> None:
        """The CRM withdraws somebody; the write returns."""
        n = self.chance.randrange(CONTACTS)
        message = {"id": f"m{n}", "campaign": CAMPAIGN, "contact": f"c{n}"}
        await self.server.add("removals", json.dumps(message).encode())
        self.withdrawn.add(ContactId(f"c{n}"))

    # ---- the switch

    def originate(self, node: Node, command: cmd.Originate) -> None:
        permit = command.permit
        for line in self.lines.values():
            if line.contact == permit.contact:
                self.problems.append(f"{permit.contact} is in two calls: {line.call}, {permit.call}")
            if line.phone == permit.phone:
                self.problems.append(f"{permit.phone} is in two calls: {line.call}, {permit.call}")
        if permit.contact in self.withdrawn:
            self.problems.append(f"{permit.contact} is dialed after its removal")
        self.dialed.append((permit.call, permit.contact, permit.attempt_number))
        line = Line(permit.call, command.server, permit.contact, permit.phone, {node.name})
        self.lines[line.call] = line
        self.after(self.late(self.troubles.command_s), lambda: self._begin(line, command))

    def _begin(self, line: Line, command: cmd.Originate) -> None:
        line.there = True
        if any(line.call in self.nodes[name].gone and self.nodes[name].links[line.server] for name in line.nodes):
            self.after(self.late(self.troubles.command_s), lambda: self.end(line.call, ev.HungUpBy.DIALER))
        fate, call = self.chance.random(), line.call
        if fate < 0.05:
            del self.lines[call]
            self._tell(line, ev.OriginateFailed(at=0, call=call, reason="no such endpoint"))
            return
        ends_s = command.outer_limit_s
        if fate < 0.25:
            ends_s = self.chance.uniform(0.1, 2.0)
            self.after(ends_s, lambda: self._gone(line, ev.HungUpBy.NETWORK, cause=17, sip_code=486))
            return
        if fate < 0.85:
            ring_s = self.chance.uniform(0.05, 4.0)
            if self.chance.random() < 0.8:
                self.after(ring_s / 2, lambda: self._tell(line, ev.CallRinging(at=0, call=call)))
            self.after(ring_s, lambda: self._answers(line))
        self.after(ends_s, lambda: None if line.answered else self._gone(line, ev.HungUpBy.NETWORK, timed_out=True))

    def _answers(self, line: Line) -> None:
        if self.lines.get(line.call) is line:
            line.answered = True
            self._tell(line, ev.CallAnswered(at=0, call=line.call))
            self.after(
                self.chance.uniform(0.2, 12.0),
                lambda: None if line.room is not None else self._gone(line, ev.HungUpBy.CUSTOMER),
            )

    def join(self, command: cmd.ConnectCall) -> None:
        """The customer is moved into the agent's room, where both are on that server."""
        line = self.lines.get(command.call)
        if line is None or not line.answered or self.rooms.get(command.agent) != command.server:
            return
        line.room = command.agent
        self._tell(line, ev.CallJoined(at=0, call=line.call, agent=command.agent))
        self.after(self.chance.uniform(0.1, 8.0), lambda: self._gone(line, ev.HungUpBy.CUSTOMER))

    def follow(self, node: Node, command: cmd.FollowCall) -> None:
        """A node asks for a channel that another process began."""
        line = self.lines.get(command.call)
        if line is not None:
            line.nodes.add(node.name)
            return
        by = ev.HungUpBy.NETWORK
        event = ev.CallHungUp(at=0, call=command.call, cause=0, sip_code=None, timed_out=False, by=by)
        self._tell_node(node, command.server, event)

    def end(self, call: CallId, by: ev.HungUpBy) -> None:
        """Somebody hangs up a channel; one that is not there (yet) is not hung up."""
        line = self.lines.get(call)
        if line is not None and line.there:
            self._gone(line, by)

    def _gone(
        self, line: Line, by: ev.HungUpBy, *, cause: int = 16, sip_code: int | None = None, timed_out: bool = False
    ) -> None:
        if self.lines.get(line.call) is line:
            del self.lines[line.call]
            self.ended[line.call] = self.now
            event = ev.CallHungUp(at=0, call=line.call, cause=cause, sip_code=sip_code, timed_out=timed_out, by=by)
            self._tell(line, event)

    def _tell(self, line: Line, event: ev.AnyEvent) -> None:
        if event.__class__ is ev.CallRinging and self.lines.get(line.call) is not line:
            return
        for name in sorted(line.nodes):
            if line.call not in self.nodes[name].gone:
                self._tell_node(self.nodes[name], line.server, event)

    def _tell_node(self, node: Node, server: ServerName, event: ev.AnyEvent) -> None:
        link = node.links[server]
        for _ in range(2 if self.sometimes(self.troubles.duplicate) else 1):
            delay_s = self.late(self.troubles.reorder_s) if self.troubles.reorder_s else 0.001

            def arrives() -> None:
                # Whatever was on its way is gone with its link.
                if link is not None and node.links[server] == link:
                    node.feed(event)

            self.after(delay_s, lambda: node.do(arrives))

    def phone_up(self, agent: AgentId, server: ServerName) -> None:
        """An agent's phone answers."""
        self.rooms[agent] = server
        self._tell_node(self.nodes[agent[:2]], server, ev.AgentPhoneUp(at=0, agent=agent))

    def phone_falls(self, agent: AgentId) -> None:
        """An agent's phone is gone, and whoever was in its room."""
        server = self.rooms.pop(agent, None)
        if server is None:
            return
        for line in [line for line in self.lines.values() if line.room == agent]:
            self._gone(line, ev.HungUpBy.AGENT)
        self._tell_node(self.nodes[agent[:2]], server, ev.AgentPhoneGone(at=0, agent=agent, reason="hangup"))

    # ---- troubles

    def _link_up(self, node: Node, server: ServerName) -> None:
        if not node.alive or node.links[server] is not None:
            return
        if node.frozen:  # it is the node itself that connects and asks
            node.missed.append(lambda: self._link_up(node, server))
            return
        self.count += 1
        node.links[server] = link = self.count
        found = [line for line in self.lines.values() if line.server == server and line.there]
        for line in found:
            line.nodes.add(node.name)
            node.gone.discard(line.call)
        calls = frozenset(line.call for line in found)
        node.gone |= {
            x.call for x in self.lines.values() if x.server == server and not x.there and node.name in x.nodes
        }
        agents = frozenset(agent for agent, where in self.rooms.items() if where == server)

        def arrives() -> None:
            if node.links[server] == link:
                node.feed(ev.ServerConnected(at=0, server=server, calls=calls, agents=agents))

        node.do(arrives)

    def link_lost(self) -> None:
        """Whatever was said on it and not heard is lost."""
        node, server = self.chance.choice([*self.nodes.values()]), self.chance.choice(SERVERS)
        if node.links[server] is not None:
            node.links[server] = None
            node.do(lambda: node.feed(ev.ServerLost(at=0, server=server, reason="cut")))
        self.after(self.chance.uniform(0.05, 5.0), lambda: self._link_up(node, server))

    def dies(self) -> None:
        """A node is gone with all that it had not written; it comes back under its name."""
        node = self.chance.choice([*self.nodes.values()])
        node.alive = False
        node.links = dict.fromkeys(SERVERS)
        self.after(
            self.chance.uniform(0.1, 9.0),
            lambda: self.boot(node.name) if self.nodes[node.name] is node else None,
        )

    def freezes(self) -> None:
        """A node stands still; to it, no time has passed."""
        node = self.chance.choice([*self.nodes.values()])
        if node.alive:
            node.frozen = True
            self.after(self.chance.uniform(0.1, 12.0), lambda: self._thaw(node))

    def _thaw(self, node: Node) -> None:
        missed, node.frozen, node.missed = node.missed, False, []
        for what in missed:
            node.do(what)

    def falls(self) -> None:
        """An agent's phone falls off the table."""
        if self.rooms:
            self.phone_falls(self.chance.choice(sorted(self.rooms)))

    # ---- what must hold

    def _over(self) -> bool:
        waits = self.server.ready.get(CAMPAIGN) or self.server.later.get(CAMPAIGN)
        return not (waits or self.lines or self.server.live or any(n.engine.floor.calls for n in self.nodes.values()))

    def _compare(self) -> None:
        """A while after the last trouble: the engines have the calls that there are, and no others."""
        had = {call for node in self.nodes.values() for call in node.engine.floor.calls}
        before = set(self.lines)
        if ghosts := {call for call in before if self.lines[call].there} - had:
            self.problems.append(f"calls that no engine knows: {sorted(ghosts)}")
        if unreal := {
            call
            for node in self.nodes.values()
            for call, known in node.engine.floor.calls.items()
            if call not in before
            and known.started_at < self.now - HEALED_S
            and self.ended.get(call, 0.0) < self.now - 1.0
        }:
            self.problems.append(f"calls that only an engine knows: {sorted(unreal)}")

    def _judge(self) -> None:
        problems, server = self.problems, self.server
        if not self._over():
            problems.append(
                f"not over: {len(self.lines)} lines, {len(server.live)} live, "
                f"{[(n.name, c.id, c.state) for n in self.nodes.values() for c in n.engine.floor.calls.values()]}"
            )
        calls = [call for call, _, _ in self.dialed]
        journal = [entry.attempt for entry in server.journal]
        if missing := set(calls) - {attempt.call for attempt in journal}:
            problems.append(f"no outcome: {sorted(missing)}")
        if twice := [call for call, times in Counter(a.call for a in journal).items() if times > 1]:
            problems.append(f"two outcomes: {twice}")
        ends = Counter(result["call"] for result in server.results if result["type"] == "call.ended")
        if ends != Counter(attempt.call for attempt in journal):
            problems.append("the ends that were told are not those of the journal")
        attempts = Counter((contact, number) for _, contact, number in self.dialed)
        if again := [key for key, times in attempts.items() if times > 1]:
            problems.append(f"one attempt, two calls: {again}")
        for n in range(CONTACTS):
            key = (CAMPAIGN, f"c{n}")
            if key not in server.finished and key not in server.data:
                problems.append(f"c{n} is lost")
        for node in self.nodes.values():
            run = node.engine.floor.campaigns[CAMPAIGN]
            left = (len(run.calls), len(run.waiting), run.reserved, +run.unanswered)
            if any(left):
                problems.append(f"left at {node.name}: {left}")
            if any(node.engine.floor.trunks.channels().values()):
                problems.append(f"channels left at {node.name}")


async def _nothing() -> AsyncRecords:
    yield Record()


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One seed."""

    seed: int
    problems: tuple[str, ...]
    calls: int
    happened: Counter[str] = field(default_factory=Counter)


def play(seed: int) -> Played:
    """Run one seed to its end."""
    world = World(seed)
    asyncio.run(world.run())
    return Played(
        seed=seed, problems=tuple(dict.fromkeys(world.problems)), calls=len(world.dialed), happened=world.happened
    )


def main() -> int:
    """Run seeds; 0 where everything held in all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2_000)
    parser.add_argument("--first", type=int, default=1)
    options = parser.parse_args()
    begun = time.monotonic()
    bad, calls, happened = 0, 0, Counter[str]()
    for seed in range(options.first, options.first + options.seeds):
        played = play(seed)
        calls += played.calls
        happened += played.happened
        if played.problems:
            bad += 1
            print(f"seed {seed}:", *played.problems[:5], sep="\n    ", flush=True)
    seconds = time.monotonic() - begun
    print(f"{options.seeds} seeds, {calls} calls, {dict(happened)}, {seconds:.0f} s: {bad} with problems")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
