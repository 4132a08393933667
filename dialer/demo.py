"""The demo: a node as it is in production, an exchange with a world behind it, simulated agents, and a stub CRM.

Only what surrounds the node is simulated; the node itself is that of `cadencia serve`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from redis import Redis as BlockingRedis

from dialer.campaigns import parse_campaign
from dialer.core.campaign import CampaignState
from dialer.core.events import (
    AgentPauseAsked,
    AgentReadied,
    AgentSignedIn,
    AgentSignedOut,
    CallDisposed,
    CampaignConfigured,
    CampaignOrdered,
)
from dialer.core.ids import AgentId, CallId, CampaignId
from dialer.core.notices import AgentChanged, AnyNotice
from dialer.projections.live_rows import LiveSnapshot
from dialer.queues.connection import connect
from dialer.queues.embedded import EmbeddedServer
from dialer.runtime.clock import Clock
from dialer.runtime.local_access import write_private
from dialer.runtime.node import Node
from dialer.runtime.signals import stop_on_signals, until_stopped
from dialer.runtime.tasks import cancel_all
from dialer.settings import Api, Asterisk, Compliance, Database, Redis, Settings, Tracing, Trunk, load
from dialer.simulation import OPEN_RULES
from dialer.simulation.crm import StubCrm
from dialer.simulation.exchange import Exchange
from dialer.simulation.people import SimulatedAgents, seats
from dialer.simulation.profiles import profile_named
from dialer.simulation.world import World
from dialer.storage.campaigns import Campaigns
from dialer.storage.keys import Keys

CAMPAIGN = CampaignId("demo")
#: Whoever wants to take calls among the simulated agents signs in to the console as this one.
GUEST = AgentId("guest")
_SCRIPT = """\
# Good morning, {name}
My name is Guest, from **Demo Energy**. Have I caught you at a good time?
- You are customer {id}.
- It is about **{product}**; {debt} € are open.
## If they hesitate
Offer to call back at an hour of their choice.
"""
_CHANGES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPlan:
    """What is to be shown."""

    directory: Path
    minutes: float = 2.0
    agents: int = 20
    contacts: int = 5_000
    method: str = "predictive"
    profile: str = "demo"
    seed: int = 1


class Screen(Protocol):
    """Somebody who watches."""

    async def show(self, running: RunningDemo, stop: asyncio.Event) -> None:
        """Watch until `stop`."""


class RunningDemo:
    """What a watcher can ask."""

    def __init__(self, node: Node, details: Path, ends_at: float) -> None:
        self._node = node
        self.details = details
        self._ends_at = ends_at
        self.api_url = node.api_url
        self.metrics_url = f"{node.api_url}/metrics"
        self.console_url = f"{node.api_url}/console/"

    def snapshot(self) -> LiveSnapshot:
        """Everything now."""
        return self._node.live.snapshot(self._node.clock.now())

    def left_s(self) -> float:
        """Seconds until it ends by itself."""
        return max(0.0, self._ends_at - self._node.clock.now())


class SimulatedDesk:
    """The agents' page, without the page: `dialer.simulation.people.AgentDesk` on the node's control."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changes: asyncio.Queue[AgentChanged] = asyncio.Queue(maxsize=_CHANGES)
        self.node: Node

    def apply(self, notice: AnyNotice) -> None:
        """Hear of the agents' states; nobody falls ten thousand changes behind."""
        if isinstance(notice, AgentChanged):
            with contextlib.suppress(asyncio.QueueFull):
                self._changes.put_nowait(notice)

    async def sign_in(self, agent: AgentId, phone: str, campaigns: tuple[CampaignId, ...]) -> None:
        """Begin to work."""
        now = self._clock.now()
        await self.node.control.submit(AgentSignedIn(at=now, agent=agent, phone=phone, campaigns=campaigns))

    async def ready(self, agent: AgentId) -> None:
        """Want calls."""
        await self.node.control.submit(AgentReadied(at=self._clock.now(), agent=agent))

    async def pause(self, agent: AgentId, code: str) -> None:
        """Want none."""
        await self.node.control.submit(AgentPauseAsked(at=self._clock.now(), agent=agent, code=code))

    async def dispose(self, call: CallId, code: str, agent: AgentId) -> None:
        """Close a call with a code."""
        await self.node.control.submit(CallDisposed(at=self._clock.now(), call=call, code=code, agent=agent))

    async def sign_out(self, agent: AgentId) -> None:
        """Go home."""
        await self.node.control.submit(AgentSignedOut(at=self._clock.now(), agent=agent))

    async def changes(self) -> AsyncIterator[AgentChanged]:
        """Every change of every agent's state."""
        while True:
            yield await self._changes.get()


async def run_demo(plan: DemoPlan, screen: Screen) -> dict[str, Any]:
    """Run it to its end, or until Ctrl-C; answers with what happened.

    Raises:
        ConfigError: the method or profile is not known, or another demo runs in the same folder.
    """
    stop = stop_on_signals()
    world = World(profile_named(plan.profile), plan.seed)
    campaign = parse_campaign(
        {
            "id": CAMPAIGN,
            "name": "Demo",
            "method": plan.method,
            "ring_timeout_s": 15.0,
            "screen_pop": "https://crm.example/contacts/{id}",
            "script": _SCRIPT,
            "recording": "on_demand",
        }
    )
    _fresh(plan.directory)
    clock, secret = Clock(), secrets.token_urlsafe(16)
    desk = SimulatedDesk(clock)
    async with (
        Exchange(world, secret=secret, clock=clock.now) as exchange,
        Node(_settings(plan.directory, exchange.port, secret), clock=clock, projections=(desk,)) as node,
    ):
        desk.node = node
        await Campaigns(node.database).create(campaign, clock.now())
        await node.control.submit(CampaignConfigured(at=clock.now(), campaign=campaign))
        details = await _write_details(plan.directory, node)
        running = RunningDemo(node, details, clock.now() + 60 * plan.minutes)
        people = SimulatedAgents(desk, world, seats(plan.agents), (CAMPAIGN,))
        crm = StubCrm(connect(node.redis_url, name="stub-crm"), world, CAMPAIGN)
        started_at = clock.now()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(crm.push(plan.contacts), name="crm pushes"),
                    group.create_task(crm.live(), name="crm withdraws"),
                    group.create_task(crm.read_for_ever(), name="crm reads"),
                    group.create_task(people.run(), name="agents"),
                    group.create_task(screen.show(running, stop), name="screen"),
                ]
                await node.control.submit(
                    CampaignOrdered(at=clock.now(), campaign=CAMPAIGN, state=CampaignState.RUNNING)
                )
                await until_stopped(node, stop, 60 * plan.minutes)
                stop.set()
                summary = _summary(node, plan, clock.now() - started_at)
                await cancel_all(tasks)
        finally:
            await crm.close()
            details.unlink(missing_ok=True)
    return summary


def _settings(directory: Path, ami_port: int, secret: str) -> Settings:
    return Settings(
        node="demo",
        data_dir=str(directory),
        database=Database(url=f"sqlite:///{directory / 'demo.db'}"),
        redis=Redis(url="embedded"),
        api=Api(port=0, open_metrics=True),
        compliance=Compliance(rules=str(OPEN_RULES)),
        tracing=_tracing(),
        asterisk=(
            Asterisk(
                name="exchange",
                port=ami_port,
                secret=secret,
                trunks=(Trunk(name="carrier", dial="PJSIP/{number}@carrier", max_calls_per_second=100.0),),
            ),
        ),
    )


def _tracing() -> Tracing:
    """Where the environment names a collector, it sees the demo's calls."""
    wanted = {name: value for name, value in os.environ.items() if name.startswith("CADENCIA_TRACING__")}
    return load(None, wanted).tracing


def _fresh(directory: Path) -> None:
    """Begin with nothing of an earlier run, however that ended; what is not ours in that folder stays.

    Raises:
        QueueError: another demo runs in this folder.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with EmbeddedServer(directory / "redis") as server:
        BlockingRedis.from_url(server.url).flushall()
    for name in ("demo.db", "demo.db-wal", "demo.db-shm", "demo.json"):
        (directory / name).unlink(missing_ok=True)
    shutil.rmtree(directory / "uploads", ignore_errors=True)


async def _write_details(directory: Path, node: Node) -> Path:
    _, key = await Keys(node.database).create("crm", "demo: crm", now=node.clock.now())
    _, manager = await Keys(node.database).create("manager", "demo: manager", now=node.clock.now())
    _, supervisor = await Keys(node.database).create("supervisor", "demo: console", now=node.clock.now())
    _, agent = await Keys(node.database).create("agent", GUEST, now=node.clock.now())
    path = directory / "demo.json"
    details = {
        "redis_url": node.redis_url,
        "api_url": node.api_url,
        "api_key": key,
        "metrics_url": f"{node.api_url}/metrics",
        "console_url": f"{node.api_url}/console/",
        "console_key": supervisor,
        "agent_key": agent,
        "campaign": CAMPAIGN,
    }
    write_private(path, details)
    write_private(directory / "node.json", {"api_url": node.api_url, "api_key": manager})
    return path


def _summary(node: Node, plan: DemoPlan, seconds: float) -> dict[str, Any]:
    # Whoever plays with it may have made others.
    row = next(one for one in node.live.snapshot(node.clock.now()).campaigns if one.id == CAMPAIGN)
    today = row.today
    live = row.abandonment.day_live_answers
    return {
        "seconds": round(seconds, 1),
        "agents": plan.agents,
        "method": plan.method,
        "dialed": today.started,
        "answered": live,
        "connected": today.connected,
        "abandoned": today.abandoned,
        "occupancy": round(row.occupancy or 0.0, 4),
        "abandonment": round(row.abandonment.day_ratio, 4),
        "contacts_per_agent_hour": round(today.connected / (plan.agents * seconds / 3600), 2) if seconds > 0 else 0.0,
        "outcomes": today.outcomes,
    }
