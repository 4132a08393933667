"""A hot lead pushed into a campaign that has ten thousand waiting is the next to be called.

In how many seconds `benchmarks.hot_lead` measures, on a machine that has nothing else to do.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from dialer.queues.embedded import EmbeddedServer
from tests.e2e.floor import CAMPAIGN, floor, phone, until

pytestmark = pytest.mark.slow

AGENTS = 8
WAITING = 10_000
LEADS = 5
AT_ONCE = 1_000


async def test_a_hot_lead_is_dialed_before_all_who_wait(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    async with floor(tmp_path, own_valkey) as site:
        await site.begin(agents=AGENTS)
        for start in range(0, WAITING, AT_ONCE):
            await site.push(range(start, start + AT_ONCE))
        node = site.node

        async def all_wait() -> bool:
            depth = await node.queues.depth(CAMPAIGN)
            return depth.ready + depth.live + len(site.notices.ended) >= WAITING

        await until(all_wait, "ten thousand contacts in the hopper")
        for number in range(WAITING, WAITING + LEADS):
            await site.push([number], priority=1_000)
            accepted = await site.wait("contact.accepted", contact=f"crm-{number}")
            await site.wait("call.started", contact=f"crm-{number}")
            since = datetime.fromisoformat(accepted["at"]).timestamp()
            [lead] = [call for call in site.notices.started if call.phone == phone(number)]
            before = [call for call in site.notices.started if since < call.at < lead.at]
            assert len(before) <= AGENTS, "only those for whom there were permits already"
        depth = await node.queues.depth(CAMPAIGN)
        assert depth.ready > WAITING / 2, "the leads were called before those who waited longer"
