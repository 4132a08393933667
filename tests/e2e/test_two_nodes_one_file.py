"""Two nodes that start at once on one new SQLite file, and dial one list from it."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

from dialer.campaigns import parse_campaign
from dialer.core.campaign import CampaignState
from dialer.core.events import AgentSignedIn, CampaignConfigured, CampaignOrdered
from dialer.core.ids import AgentId
from dialer.queues.embedded import EmbeddedServer
from dialer.simulation.exchange import Exchange
from dialer.simulation.world import World
from dialer.storage.campaigns import Campaigns
from tests.e2e.floor import CAMPAIGN, QUICK, SECRET, Floor, person, phone, until

CONTACTS = 12
AGENTS = 3


async def test_both_come_up_and_nobody_is_called_twice(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    async with AsyncExitStack() as stack:
        people = {phone(number)[1:]: person(ring_s=0.05, talk_s=0.1) for number in range(CONTACTS)}
        exchange = await stack.enter_async_context(Exchange(World(QUICK, seed=1, scripted=people), secret=SECRET))
        sites = [
            Floor(tmp_path, own_valkey, exchange, more={"node": name, "data_dir": str(tmp_path / name)})
            for name in ("n1", "n2")
        ]
        for site in sites:
            stack.push_async_callback(site.client.aclose)
        await asyncio.gather(*(stack.enter_async_context(site.node) for site in sites))
        campaign = parse_campaign({"id": CAMPAIGN, "method": "progressive", "wrapup_limit_s": 0.05, "max_attempts": 1})
        await Campaigns(sites[0].node.database).create(campaign, sites[0].now)
        for site in sites:
            submit, now, name = site.node.control.submit, site.now, site.settings.node
            await submit(CampaignConfigured(at=now, campaign=campaign))
            for number in range(AGENTS):
                agent = f"{name}-{number}"
                await submit(AgentSignedIn(at=now, agent=AgentId(agent), phone=agent, campaigns=(CAMPAIGN,)))
            await submit(CampaignOrdered(at=now, campaign=CAMPAIGN, state=CampaignState.RUNNING))
        await sites[0].push(range(CONTACTS))

        async def recorded() -> bool:
            return len(await sites[0].attempts()) >= CONTACTS

        await until(recorded, "an attempt in SQL for every contact")
        attempts = await sites[1].attempts()
        assert Counter(attempt.contact for attempt in attempts) == {f"crm-{n}": 1 for n in range(CONTACTS)}
        assert {site.settings.node for site in sites if site.notices.ended} == {"n1", "n2"}, "both have dialed"
        assert Counter(record.number for record in exchange.dialed) == Counter(one.phone[1:] for one in attempts)
