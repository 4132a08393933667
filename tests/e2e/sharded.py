"""Two shards, a node for each, on one database, and whoever talks to either of them by HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from dialer.api.key_ports import Role
from dialer.campaigns import parse_campaign
from dialer.core.campaign import CampaignState
from dialer.core.events import AgentSignedIn, CampaignConfigured, CampaignOrdered
from dialer.core.ids import AgentId, CampaignId
from dialer.queues.connection import connect
from dialer.queues.embedded import EmbeddedServer
from dialer.settings import Redis, RedisShard
from dialer.simulation.exchange import Exchange
from dialer.simulation.world import World
from dialer.storage import schema
from dialer.storage.campaigns import Campaigns
from dialer.storage.database import Database
from dialer.storage.keys import Keys
from dialer.storage.shards import ShardTable
from tests.e2e.floor import QUICK, SECRET, Floor, database_url, person, phone, until

NORTH = CampaignId("north-winter")
REST = CampaignId("spring")


def table(north: str, rest: str) -> tuple[RedisShard, ...]:
    """The shards of these tests, at these URLs."""
    return (
        RedisShard(name="north", url=north, campaigns=("north-*",)),
        RedisShard(name="rest", url=rest, campaigns=("*",)),
    )


def redis_of(shard: str, north: str, rest: str) -> Redis:
    """The settings of a node of one of them, as they are once they have been read."""
    own = {"north": north, "rest": rest}[shard]
    return Redis(url=own, shard=shard, shards=table(north, rest))


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: Any


class Sharded:
    """A node of each shard with the floor around it."""

    def __init__(self, sites: Mapping[str, Floor], client: aiohttp.ClientSession, keys: Mapping[str, str]) -> None:
        self.sites = sites
        self.client = client
        self.keys = keys

    @property
    def north(self) -> Floor:
        return self.sites["north"]

    @property
    def rest(self) -> Floor:
        return self.sites["rest"]

    async def ask(self, site: Floor, method: str, path: str, data: object = None, key: str = "manager") -> Answer:
        """Ask one of the nodes."""
        headers = {"authorization": f"Bearer {self.keys[key]}"}
        url = f"{site.node.api_url}/api/v1{path}"
        async with self.client.request(method, url, json=data, headers=headers) as answer:
            body = await answer.json() if answer.content_type == "application/json" else await answer.text()
            return Answer(answer.status, body)


async def adopt(folder: Path, redis: Redis) -> None:
    """The installation goes by these shards from now on."""
    database = Database(database_url(folder))
    try:
        await schema.migrate(database)
        await ShardTable(database).adopt(redis.table, [f"cadencia:@{shard.name}" for shard in redis.shards], 1.0)
    finally:
        await database.close()


@asynccontextmanager
async def sharded(folder: Path, north: EmbeddedServer, rest: EmbeddedServer) -> AsyncIterator[Sharded]:
    """Nodes n-north and n-rest, whose gates are open."""
    async with AsyncExitStack() as stack:
        scripted = {phone(number)[1:]: person(ring_s=0.05, talk_s=0.2) for number in range(4_000)}
        exchange = await stack.enter_async_context(Exchange(World(QUICK, seed=1, scripted=scripted), secret=SECRET))
        for server in (north, rest):
            client = connect(server.url)
            await client.flushall()
            await client.aclose()
        await adopt(folder, redis_of("north", north.url, rest.url))
        sites = {}
        for name, server in (("north", north), ("rest", rest)):
            own = {"node": f"n-{name}", "data_dir": str(folder / name), "redis": redis_of(name, north.url, rest.url)}
            site = Floor(folder, server, exchange, more=own)
            stack.push_async_callback(site.client.aclose)
            await stack.enter_async_context(site.node)
            sites[name] = site
        speaker = await stack.enter_async_context(aiohttp.ClientSession())
        store, now = Keys(sites["north"].node.database), sites["north"].now
        roles = (Role.MANAGER, Role.CRM)
        keys = {role.value: (await store.create(role.value, f"some-{role.value}", now=now))[1] for role in roles}
        for site in sites.values():
            await until(partial(ready, site), "an open gate and a connected server")
        yield Sharded(sites, speaker, keys)


def ready(site: Floor) -> bool:
    """Whether a node can dial."""
    servers = site.node.switch.status().values()
    return site.node.gatekeeper.is_open and all(server.connected for server in servers)


async def begin(site: Floor, campaign: CampaignId, *, agents: Sequence[str] = (), **settings: object) -> None:
    """Make a campaign at the node of its shard, sign agents in, and start it."""
    wanted = {"id": campaign, "method": "progressive", "wrapup_limit_s": 0.05, "max_attempts": 1, **settings}
    made, now = parse_campaign(wanted), site.now
    await Campaigns(site.node.database).create(made, now)
    await site.node.control.submit(CampaignConfigured(at=now, campaign=made))
    for name in agents:
        await site.node.control.submit(
            AgentSignedIn(at=site.now, agent=AgentId(name), phone=name, campaigns=(campaign,))
        )
    await site.node.control.submit(CampaignOrdered(at=site.now, campaign=campaign, state=CampaignState.RUNNING))


async def push(site: Floor, campaign: CampaignId, numbers: Sequence[int]) -> None:
    """Contacts crm-<n> with the number `phone(n)`, as a CRM writes them."""
    contacts = [{"id": f"crm-{number}", "phones": [phone(number)]} for number in numbers]
    await site.write("contacts", {"campaign": campaign, "contacts": contacts})
