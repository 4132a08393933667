"""Two nodes on one server and one database, and whoever talks to either of them by HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from dialer.api.key_ports import Role
from dialer.core.ids import AgentId
from dialer.queues.embedded import EmbeddedServer
from dialer.settings import Snippet
from dialer.simulation.exchange import Exchange
from dialer.simulation.world import World
from dialer.storage.keys import Keys
from tests.e2e.floor import QUICK, SECRET, Floor, person, phone, until

#: Of a CRM's pages.
ORIGIN = "https://crm.example"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: Any
    headers: Mapping[str, str]


class Pair:
    """Both nodes, each with the floor around it, and a key of every role that is needed."""

    def __init__(self, first: Floor, second: Floor, client: aiohttp.ClientSession, keys: dict[str, str]) -> None:
        self.first = first
        self.second = second
        self.client = client
        self.keys = keys

    async def ask(
        self, site: Floor, method: str, path: str, data: object = None, *, key: str = "manager", **headers: str
    ) -> Answer:
        """Ask one of the nodes."""
        given = {"authorization": f"Bearer {self.keys[key]}", **{n.replace("_", "-"): v for n, v in headers.items()}}
        url = f"{site.node.api_url}/api/v1{path}"
        async with self.client.request(method, url, json=data, headers=given) as answer:
            body = await answer.json() if answer.content_type == "application/json" else await answer.text()
            return Answer(answer.status, body, {n.lower(): v for n, v in answer.headers.items()})

    async def sign_in(self, site: Floor, agent: str, **more: object) -> Answer:
        """An agent comes to work, and their phone is answered."""
        wanted = {"phone": agent, "campaigns": ["winter"], **more}
        answer = await self.ask(site, "POST", f"/agents/{agent}/sign-in", wanted)
        if answer.status == 202:
            await until(lambda: self.home(agent) is not None, f"{agent} at their desk")
        return answer

    def home(self, agent: str) -> Floor | None:
        """Where an agent is at home and idle, by the engines themselves."""
        for site in (self.first, self.second):
            row = site.node.live.agent(AgentId(agent))
            if row is not None and row.state == "idle":
                return site
        return None

    async def meet(self) -> None:
        """Wait until each knows of the other what it says now."""

        async def met() -> bool:
            for _ in range(2):
                for site in (self.first, self.second):
                    await site.node.neighbours.beat()
            return all(
                set(site.node.neighbours.pictures()) == {other.settings.node}
                for site, other in ((self.first, self.second), (self.second, self.first))
            )

        await until(met, "each knows of the other")


@asynccontextmanager
async def two_nodes(
    folder: Path, server: EmbeddedServer, *, first: Mapping[str, Any] | None = None, people: int = 20
) -> AsyncIterator[Pair]:
    """Nodes n1 (with the further settings of `first`) and n2, with a campaign that n1 has made and n2 must learn of."""
    async with AsyncExitStack() as stack:
        scripted = {phone(number)[1:]: person(ring_s=0.05, talk_s=20.0) for number in range(people)}
        exchange = await stack.enter_async_context(Exchange(World(QUICK, seed=1, scripted=scripted), secret=SECRET))
        sites = []
        for name, more in (("n1", first or {}), ("n2", {})):
            own = {"node": name, "data_dir": str(folder / name), "snippet": Snippet(origins=(ORIGIN,))}
            site = Floor(folder, server, exchange, more={**own, **more})
            stack.push_async_callback(site.client.aclose)
            await stack.enter_async_context(site.node)
            sites.append(site)
        client = await stack.enter_async_context(aiohttp.ClientSession())
        store, now = Keys(sites[0].node.database), sites[0].now
        keys = {
            role: (await store.create(role, name, now=now))[1]
            for role, name in ((Role.MANAGER.value, "boss"), (Role.CRM.value, "crm"), (Role.AGENT.value, "ann"))
        }
        pair = Pair(sites[0], sites[1], client, keys)
        for site in sites:
            await until(partial(_ready, site), "an open gate and a connected server")
        await pair.meet()
        yield pair


def _ready(site: Floor) -> bool:
    servers = site.node.switch.status().values()
    return site.node.gatekeeper.is_open and all(server.connected for server in servers)
