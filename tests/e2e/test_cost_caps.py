"""What a day's calls may cost, through the whole node: it stops in time, says why, and remembers without Redis."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dialer.queues.embedded import EmbeddedServer
from dialer.settings import CarrierTariff, Costs, Rate, SpendCap
from tests.e2e.floor import CAMPAIGN, Floor, floor, until

pytestmark = pytest.mark.slow

CALLS = 4
#: Every call costs 0.10, answered or not, and a day may cost 0.45.
COSTS = Costs(
    tariffs=(CarrierTariff(name="flat", rates=(Rate(prefix="+34", per_minute="0", per_attempt="0.10"),)),),
    campaigns={CAMPAIGN: SpendCap(money="0.45")},
)


def limit(site: Floor) -> str:
    row = site.node.live.campaign(CAMPAIGN, site.now)
    return "" if row is None or row.pace is None else row.pace.limit


async def test_a_campaign_stops_at_its_cap_and_stays_stopped_without_the_memory_of_redis(
    tmp_path: Path, own_valkey: EmbeddedServer
) -> None:
    trunk, more = {"tariff": "flat"}, {"costs": COSTS}
    async with floor(tmp_path, own_valkey, trunk=trunk, more=more) as site:
        await site.begin(agents=6, campaign={"wrapup_limit_s": 0.0})
        # A satellite, before all others: nobody calls it, whatever it costs.
        moon = {"id": "moon", "phones": ["+881612345678"], "priority": 9}
        await site.write("contacts", {"campaign": CAMPAIGN, "contacts": [moon]})
        await site.push(range(12))
        await until(lambda: len(site.notices.ended) == CALLS, "as many calls as the day pays for")
        await until(lambda: limit(site) == "cost_cap", "the reason")

        def reached() -> bool:
            return f'cadencia_cost_cap_reached{{cap="campaign:{CAMPAIGN}"}} 1.0' in site.node.metrics.render().decode()

        await until(reached, "the metric for the alert")

        async def recorded() -> bool:
            return len(await site.attempts()) == CALLS

        await until(recorded, "the calls on record")
        assert {attempt.cost_micros for attempt in await site.attempts()} == {100_000}
        assert not any(attempt.contact == "moon" for attempt in await site.attempts())
        assert (await site.wait("contact.rejected", contact="moon"))["reason"] == "destination_barred"
        await site.client.flushall()
    async with floor(tmp_path, own_valkey, trunk=trunk, more=more) as site:
        await site.sign_in(6)
        await until(lambda: limit(site) == "cost_cap", "the reason after the loss and the restart")
        await asyncio.sleep(0.5)  # what must not happen has no event
        assert site.notices.started == []
