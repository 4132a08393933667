"""A campaign, its queues and record, and turns with one simulated CRM, at moments that the test says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace as changed
from sqlalchemy import update

from dialer.core.campaign import Campaign
from dialer.core.ids import CampaignId, ContactId, NodeName
from dialer.crm.mapping import load_mapping, mapping_path
from dialer.crm.update_feed import UpdateFeed
from dialer.intake.phones import PhoneReader
from dialer.queues.connection import AsyncRedis
from dialer.queues.redis_queues import RedisQueues
from dialer.queues.streams import Message
from dialer.settings import Crm, CrmAccess, CrmPull, Outbound, Redis, Settings
from dialer.settings import Database as DatabaseSettings
from dialer.storage.campaigns import Campaigns
from dialer.storage.contacts import Contacts, StoredContact
from dialer.storage.crm_sources import CrmSources, Source
from dialer.storage.crm_updates import CrmUpdates, StoredUpdate, UpdateState
from dialer.storage.database import Database
from dialer.storage.tables import contacts
from tests.crm_servers import Server
from tests.queue_worlds import Pages
from workers.jobs.crm import exchange_of

MAPPINGS = Path(__file__).resolve().parents[1] / "config" / "crm"
CAMPAIGN = CampaignId("winter")
START = 1_800_000_000.0
PHONES = PhoneReader("ES")
KEY = CrmAccess(kind="header", token="key")


def oauth(server: Server) -> CrmAccess:
    """Client credentials at the server itself."""
    return CrmAccess(
        kind="oauth2", token_url=f"{server.url}/oauth/token", client_id="app", client_secret=server.client_secret
    )


@dataclass
class CrmRig:
    """One dialer and one CRM."""

    settings: Settings
    pull: CrmPull
    database: Database
    redis: AsyncRedis
    queues: RedisQueues
    now: float = START
    turns: int = 0

    async def turn(self, *, after_s: float = 0.0) -> dict[str, int]:
        """A worker's turn, so much later."""
        self.now += after_s
        self.turns += 1
        turn = exchange_of(
            self.settings,
            self.pull,
            f"worker-{self.turns}",
            self.database,
            self.redis,
            self.queues,
            PHONES,
            lambda: self.now,
        )
        return await turn.turn()

    async def source(self) -> Source:
        """How far it is."""
        (found,) = await CrmSources(self.database).all()
        return found

    async def contact(self, id: str) -> StoredContact | None:
        """A contact on record."""
        return await Contacts(self.database).get(CAMPAIGN, ContactId(id))

    async def waiting(self) -> int:
        """Contacts in the hopper."""
        depth = await self.queues.depth(CAMPAIGN)
        return depth.ready + depth.later

    async def removals(self) -> list[dict[str, Any]]:
        """Every removal that was written."""
        return await self._stream("removals")

    async def results(self, kind: str) -> list[dict[str, Any]]:
        """Results of a type."""
        return [each for each in await self._stream("results") if each["type"] == kind]

    async def _stream(self, name: str) -> list[dict[str, Any]]:
        rows: Any = await self.redis.xrange(f"cadencia:{name}")
        return [json.loads(fields[b"data"]) for _, fields in rows]

    async def finish(self, id: str, state: str = "finished") -> None:
        """The contact has been called to the end, as the writer of attempts notes it; or it was removed."""
        statement = update(contacts).where(contacts.c.id == id).values(state=state)
        async with self.database.write() as connection:
            await connection.execute(statement)

    async def tell(self, *results: dict[str, Any]) -> None:
        """Results as the stream hands them out."""
        feed = UpdateFeed(
            [(self.pull, load_mapping(mapping_path(self.settings.crm, self.pull.mapping)))],
            CrmSources(self.database),
            CrmUpdates(self.database),
            lambda _: None,
            lambda: self.now,
        )
        messages = [
            Message(id=f"{int(self.now * 1_000)}-{n}", data=json.dumps(result).encode())
            for n, result in enumerate(results)
        ]
        await feed.handle_results(messages)

    async def updates(self, state: UpdateState) -> Sequence[StoredUpdate]:
        """Updates in a state."""
        return (await CrmUpdates(self.database).page(state)).items


def ended(contact: str, call: str = "n-1-1", *, final: bool = True, **more: Any) -> dict[str, Any]:
    """The end of a call."""
    result = {
        "type": "call.ended",
        "at": "2027-01-15T08:00:00.000000Z",
        "campaign": CAMPAIGN,
        "contact": contact,
        "phone": "+34600111222",
        "call": call,
        "agent": "agent01",
        "outcome": "connected",
        "attempt": 1,
        "started_at": "2027-01-15T07:58:00.000000Z",
        "duration_s": 100.0,
        "talk_s": 61.2,
    }
    return result | ({} if final else {"retry_at": "2027-01-15T10:00:00.000000Z"}) | more


def disposed(contact: str, call: str = "n-1-1", **more: Any) -> dict[str, Any]:
    """A call closed with a code."""
    result = {"type": "call.disposed", "at": "2027-01-15T08:01:00.000000Z", "campaign": CAMPAIGN, "contact": contact}
    return result | {"call": call, "agent": "agent01", "code": "SALE", "notes": "pays by card"} | more


@asynccontextmanager
async def crm_rig(
    server: Server, mapping: str, access: CrmAccess, database_url: str, redis_url: str, redis: AsyncRedis, **pull: Any
) -> AsyncIterator[CrmRig]:
    """A campaign whose contacts come from `server`."""
    asked = CrmPull(name="crm", campaign=CAMPAIGN, mapping=mapping, url=server.url, access=access)
    asked = changed(asked, timeout_s=20.0, withdrawn_after=1)
    asked = changed(asked, **pull)
    settings = Settings(
        database=DatabaseSettings(url=database_url),
        redis=Redis(url=redis_url),
        outbound=Outbound(internal=("127.0.0.0/8",)),
        crm=Crm(mappings=str(MAPPINGS), pull=(asked,)),
    )
    database = Database(database_url)
    queues = RedisQueues.from_url(redis_url, node=NodeName("n"), prefix="cadencia:", strict_gate=False)
    try:
        if not await queues.prepare():
            await queues.rebuild(Pages())
        await Campaigns(database).create(Campaign(id=CAMPAIGN), START)
        yield CrmRig(settings=settings, pull=asked, database=database, redis=redis, queues=queues)
    finally:
        await queues.close()
        await database.close()
