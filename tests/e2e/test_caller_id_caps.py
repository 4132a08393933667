"""The cap of a number holds over a restart of the node, and the manager sees why nobody is called."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dialer.queues.embedded import EmbeddedServer
from tests.e2e.floor import CAMPAIGN, Floor, floor, until

pytestmark = pytest.mark.slow

NUMBER = "+34910000001"
CAP = 4


def limit(site: Floor) -> str:
    row = site.node.live.campaign(CAMPAIGN, site.now)
    return "" if row is None or row.pace is None else row.pace.limit


async def test_the_cap_of_a_number_holds_over_a_restart(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    pool = [{"number": NUMBER, "max_calls_per_day": CAP}]
    async with floor(tmp_path, own_valkey) as site:
        await site.begin(agents=6, campaign={"caller_ids": pool, "wrapup_limit_s": 0.0})
        await site.push(range(20))
        await until(lambda: len(site.notices.ended) == CAP, "as many calls as the number may make")
        await until(lambda: limit(site) == "caller_ids", "the reason")

        def standing() -> list[tuple[str, int]]:
            return [(row.state, row.calls_today) for row in site.node.live.caller_ids_of(CAMPAIGN)]

        await until(lambda: standing() == [("capped", CAP)], "the number's standing")

        async def recorded() -> bool:
            return len(await site.attempts()) == CAP

        await until(recorded, "the calls on record")
        assert {attempt.caller_id for attempt in await site.attempts()} == {NUMBER}

        async def others_wait() -> bool:
            depth = await site.node.queues.depth(CAMPAIGN)
            return (depth.ready + depth.later, depth.live) == (20 - CAP, 0)

        await until(others_wait, "all others go on waiting")
    async with floor(tmp_path, own_valkey) as site:
        await site.sign_in(6)
        await until(lambda: limit(site) == "caller_ids", "the reason after the restart")
        await asyncio.sleep(0.5)  # what must not happen has no event
        assert site.notices.started == []
