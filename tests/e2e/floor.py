"""A node in this process, with a real Redis-compatible server and the exchange around it, and what must always hold."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from msgspec.structs import replace as changed

from dialer.campaigns import parse_campaign
from dialer.core.campaign import CampaignState
from dialer.core.events import AgentSignedIn, CampaignConfigured, CampaignOrdered
from dialer.core.ids import AgentId, CallId, CampaignId, Phone
from dialer.core.notices import AnyNotice, CallEnded, CallStarted
from dialer.queues.connection import AsyncRedis, connect
from dialer.queues.embedded import EmbeddedServer
from dialer.runtime.node import Node
from dialer.settings import Ami, Api, Asterisk, Compliance, Database, Recordings, Redis, Settings, Trunk
from dialer.simulation import OPEN_RULES
from dialer.simulation.exchange import Exchange
from dialer.simulation.profiles import FAST
from dialer.simulation.world import Fate, Profile, Reaction, World
from dialer.storage.attempts import AttemptFilter, Attempts
from dialer.storage.campaigns import Campaigns
from tests.patience import PATIENCE_S

CAMPAIGN = CampaignId("winter")
SECRET = "sesame"
#: Everything that comes to an end by itself in a second; what rings on until our time-out would take fifteen.
QUICK = replace(
    FAST,
    name="quick",
    mix={
        Reaction.PERSON: 0.5,
        Reaction.HASTY: 0.05,
        Reaction.MACHINE: 0.1,
        Reaction.BUSY: 0.2,
        Reaction.INVALID: 0.1,
        Reaction.CONGESTION: 0.05,
    },
)


def phone(number: int) -> Phone:
    """A number of the test's own."""
    return Phone(f"+346{number:08d}")


def database_url(folder: Path) -> str:
    """Where the node's record lies."""
    return f"sqlite:///{folder / 'cadencia.db'}"


def person(*, ring_s: float = 0.1, talk_s: float = 0.5, patience_s: float = 30.0) -> Fate:
    """Somebody who picks up and talks."""
    return Fate(reaction=Reaction.PERSON, post_dial_s=0.005, ring_s=ring_s, talk_s=talk_s, patience_s=patience_s)


async def until(ask: Callable[[], object], what: str, timeout_s: float = PATIENCE_S) -> None:
    """Wait until `ask` answers, or its coroutine comes to, something true."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while True:
        answer = ask()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return
        assert loop.time() < deadline, f"never came: {what}"
        await asyncio.sleep(0.01)


class Notices:
    """A projection that remembers starts and ends: what the node itself believes has happened."""

    def __init__(self) -> None:
        self.started: list[CallStarted] = []
        self.ended: list[CallEnded] = []

    def apply(self, notice: AnyNotice) -> None:
        if isinstance(notice, CallStarted):
            self.started.append(notice)
        elif isinstance(notice, CallEnded):
            self.ended.append(notice)


class Floor:
    """One node and what stands around it."""

    def __init__(
        self,
        folder: Path,
        server: EmbeddedServer,
        exchange: Exchange,
        *,
        trunk: Mapping[str, Any] | None = None,
        rules: Path = OPEN_RULES,
        recordings: Recordings | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.server = server
        self.exchange = exchange
        self.notices = Notices()
        self.settings = Settings(
            node="n1",
            data_dir=str(folder / "data"),
            database=Database(url=database_url(folder)),
            redis=Redis(url=server.url),
            api=Api(port=0, open_metrics=True),
            compliance=Compliance(rules=str(rules)),
            ami=Ami(reconnect_min_s=0.05, reconnect_max_s=0.2),
            recordings=recordings or Recordings(),
            asterisk=(
                Asterisk(
                    name="pbx",
                    port=exchange.port,
                    secret=SECRET,
                    trunks=(Trunk(name="carrier", **{"max_calls_per_second": 100.0, **(trunk or {})}),),
                    recordings=str(folder / "monitor"),
                ),
            ),
        )
        self.settings = changed(self.settings, **(more or {}))
        self.node = Node(self.settings, projections=(self.notices,))
        self.client: AsyncRedis = connect(server.url, name="crm")
        self.seen: list[dict[str, Any]] = []
        self._last: bytes | str = "0-0"

    # ---- the campaign

    async def begin(self, *, agents: int = 12, campaign: Mapping[str, object] | None = None) -> None:
        """Make the campaign, sign agents in, and start."""
        settings: dict[str, object] = {
            "id": CAMPAIGN,
            "method": "progressive",
            "ring_timeout_s": 15.0,
            "wrapup_limit_s": 0.05,
            "max_attempts": 1,
            **(campaign or {}),
        }
        made, now = parse_campaign(settings), self.node.clock.now()
        await Campaigns(self.node.database).create(made, now)
        await self.node.control.submit(CampaignConfigured(at=now, campaign=made))
        await self.sign_in(agents)
        await self.order(CampaignState.RUNNING)

    async def sign_in(self, agents: int) -> None:
        for number in range(1, agents + 1):
            name = f"agent{number:02d}"
            event = AgentSignedIn(at=self.now, agent=AgentId(name), phone=name, campaigns=(CAMPAIGN,))
            await self.node.control.submit(event)

    async def order(self, state: CampaignState) -> None:
        await self.node.control.submit(CampaignOrdered(at=self.now, campaign=CAMPAIGN, state=state))

    @property
    def now(self) -> float:
        return self.node.clock.now()

    # ---- the CRM

    async def write(self, stream: str, message: object) -> None:
        """One message of the CRM; text and bytes go as they are."""
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        await self.client.xadd(f"cadencia:{stream}", {"data": data})

    async def push(self, numbers: Sequence[int], **fields: object) -> None:
        """Contacts crm-<n> with the number `phone(n)`."""
        contacts = [{"id": f"crm-{number}", "phones": [phone(number)], **fields} for number in numbers]
        await self.write("contacts", {"campaign": CAMPAIGN, "contacts": contacts})

    async def read(self) -> list[dict[str, Any]]:
        """All results so far."""
        while True:
            answer: Any = await self.client.xread({"cadencia:results": self._last}, count=1_000)
            if not answer:
                return self.seen
            for entry, fields in answer[0][1]:
                self._last = entry
                self.seen.append(json.loads(fields[b"data"]))

    async def results(self, kind: str, **values: object) -> list[dict[str, Any]]:
        """Results of a type with these values."""
        return [
            result
            for result in await self.read()
            if result["type"] == kind and all(result.get(key) == value for key, value in values.items())
        ]

    async def wait(self, kind: str, count: int = 1, **values: object) -> dict[str, Any]:
        """The `count`-th such result, waited for."""

        async def enough() -> bool:
            return len(await self.results(kind, **values)) >= count

        await until(enough, f"{count} {kind} {values}; of {Counter(result['type'] for result in self.seen)}")
        return (await self.results(kind, **values))[count - 1]

    # ---- what must always hold

    async def attempts(self) -> list[Any]:
        """All attempts in SQL."""
        found: list[Any] = []
        cursor: str | None = None
        while True:
            page = await Attempts(self.node.database).page(AttemptFilter(), cursor=cursor, limit=500)
            found += page.items
            if page.next is None:
                return found
            cursor = page.next

    async def settle(self, *, results_lost: bool = False) -> None:
        """Let everything under way end, and check what must hold whatever has happened.

        Args:
            results_lost: Redis lost its memory meanwhile, and with it results that the CRM had not read.
        """
        floor = self.node.dispatcher.engine.floor
        await self.order(CampaignState.DRAINING)
        await until(lambda: not floor.calls, f"the end of {list(floor.calls.values())}")
        await until(lambda: len(self.node.outbox) == 0, "everything written to Redis")
        started = Counter(notice.call for notice in self.notices.started)
        ended = Counter(notice.attempt.call for notice in self.notices.ended)
        assert set(started.values()) <= {1}
        assert set(ended.values()) <= {1}, "a call ended twice"
        assert set(started) <= set(ended), "a call has no end"

        async def recorded() -> bool:
            return {attempt.call for attempt in await self.attempts()} >= set(ended)

        await until(recorded, "an attempt in SQL for every ended call")
        attempts = await self.attempts()
        assert len({(a.contact, a.attempt_number) for a in attempts}) == len(attempts), "one attempt, two calls"
        assert len({a.call for a in attempts}) == len(attempts)
        if not results_lost:
            told = Counter(result["call"] for result in await self.results("call.ended"))
            assert dict.fromkeys(ended, 1) == told, "each ended call is told once"
            assert set(started) <= {CallId(result["call"]) for result in await self.results("call.started")}
        depth = await self.node.queues.depth(CAMPAIGN)
        assert depth.live == 0
        for key in ("live", "live:contacts"):
            assert await self.client.hlen(f"cadencia:{key}") == 0, key

        def customers() -> list[Any]:
            return [c for c in self.exchange.switchboard.channels.values() if not c.is_agent]

        await until(lambda: not customers(), "no customer's channel left")
        # nobody was rung more often than there are attempts
        rung = Counter(record.number for record in self.exchange.dialed)
        made = Counter(attempt.phone.removeprefix("+") for attempt in attempts)
        assert {number: times for number, times in rung.items() if times > made[number]} == {}


@asynccontextmanager
async def floor(
    folder: Path,
    server: EmbeddedServer,
    *,
    profile: Profile = QUICK,
    fates: Mapping[int, Fate] | None = None,
    trunk: Mapping[str, Any] | None = None,
    rules: Path = OPEN_RULES,
    recordings: Recordings | None = None,
    more: Mapping[str, Any] | None = None,
) -> AsyncIterator[Floor]:
    """A node that runs; `fates` are those of `phone(n)`. What is recorded lies in `monitor` below `folder`.

    `more`: further settings of the node.
    """
    scripted = {phone(number).removeprefix("+"): fate for number, fate in (fates or {}).items()}
    world = World(profile, seed=1, scripted=scripted)
    async with Exchange(world, secret=SECRET, recordings=folder / "monitor") as exchange:
        made = Floor(folder, server, exchange, trunk=trunk, rules=rules, recordings=recordings, more=more)
        try:
            async with made.node:
                yield made
        finally:
            await made.client.aclose()
