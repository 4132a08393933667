"""A hot lead pushed into a campaign that has ten thousand waiting is called within two seconds of the push."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dialer.queues.embedded import EmbeddedServer
from tests.e2e.floor import CAMPAIGN, floor, phone, until

pytestmark = pytest.mark.slow

WAITING = 10_000
LEADS = 5
AT_ONCE = 1_000


async def test_a_hot_lead_is_dialed_within_two_seconds_of_its_push(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    async with floor(tmp_path, own_valkey) as site:
        await site.begin(agents=8)
        for start in range(0, WAITING, AT_ONCE):
            await site.push(range(start, start + AT_ONCE))
        node = site.node

        async def all_wait() -> bool:
            depth = await node.queues.depth(CAMPAIGN)
            return depth.ready + depth.live + len(site.notices.ended) >= WAITING

        await until(all_wait, "ten thousand contacts in the hopper")
        pushed: dict[str, float] = {}
        for lead in range(LEADS):
            number = WAITING + lead
            pushed[f"crm-{number}"] = site.now
            await site.push([number], priority=1_000)
            await asyncio.sleep(0.3)

        def started() -> dict[str, float]:
            return {call.contact: call.at for call in site.notices.started if call.contact in pushed}

        await until(lambda: len(started()) == LEADS, "the leads' calls")
        waits_s = {contact: at - pushed[contact] for contact, at in started().items()}
        assert max(waits_s.values()) <= 2.0, waits_s
        depth = await node.queues.depth(CAMPAIGN)
        assert depth.ready > WAITING / 2, "the leads were called before those who waited longer"
        assert {str(call.phone) for call in site.notices.started} >= {phone(WAITING + lead) for lead in range(LEADS)}
