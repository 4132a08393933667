"""The do-not-call list of all campaigns of a tenant, those to come included: in the gate, and not for others."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dialer.core.ids import CampaignId
from dialer.queues.connection import AsyncRedis
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.port import Offered, Queues, Record, Release
from dialer.queues.removals import listing_scope
from tests.queue_worlds import NOW, WINTER, Caller, MemoryWorld, Pages, RedisWorld, World, contact, phone

HERS, NEXT, OTHERS = CampaignId("acme--winter"), CampaignId("acme--spring"), CampaignId("acme-2--winter")
CAMPAIGNS = (HERS, NEXT, OTHERS, WINTER)


@pytest.fixture(params=["memory", "redis"])
async def world(
    request: pytest.FixtureRequest, valkey_server: EmbeddedServer, valkey: AsyncRedis
) -> AsyncIterator[World]:
    made: World = MemoryWorld() if request.param == "memory" else RedisWorld(valkey, valkey_server.url)
    yield made
    await made.close()


def entry(listed: str, op: str = "add") -> dict[str, object]:
    return {"id": "d1", "op": op, "phone": listed, "scope": "acme--*"}


async def called(queues: Queues) -> set[str]:
    """The campaigns that may call a number which is in all of them."""
    found: set[str] = set()
    for campaign in CAMPAIGNS:
        for permit in (await Caller(queues, f"{campaign[:8]}x")(1, now=NOW, campaign=campaign)).granted.permits:
            found.add(permit.campaign)
            # One number is in one call at a time.
            await queues.write([Release(permit=permit)])
    return found


@pytest.mark.parametrize("listed", [phone(1), "+34*"])
async def test_the_list_holds_for_all_campaigns_of_the_tenant_alone(world: World, listed: str) -> None:
    queues = await world.node("n1")
    for campaign in CAMPAIGNS:
        await queues.offer([contact(1, campaign=campaign)])
    await world.push("dnc", entry(listed))
    assert await called(queues) == {OTHERS, WINTER}
    told = [result for result in await world.results() if result["type"] == "dnc.applied"]
    assert [(result["campaign"], result["phone"]) for result in told] == [("acme--*", listed)]


async def test_it_holds_for_a_campaign_that_is_made_later_and_until_it_is_taken_off(world: World) -> None:
    queues = await world.node("n1")
    await world.push("dnc", entry(phone(1)))
    await queues.drain()
    assert await queues.offer([contact(1, campaign=HERS)]) == [Offered.DO_NOT_CALL]
    assert await queues.offer([contact(1, campaign=OTHERS)]) == [Offered.ADDED]
    await world.push("dnc", entry(phone(1), "remove"))
    await queues.drain()
    assert await queues.offer([contact(1, campaign=HERS)]) == [Offered.ADDED]
    assert await called(queues) == {HERS, OTHERS}


async def test_its_calls_under_way_are_told_and_no_others(world: World) -> None:
    queues = await world.node("n1")
    hit: dict[str, bool] = {}
    for place, campaign in enumerate((HERS, OTHERS, WINTER), start=1):
        await queues.offer([contact(place, campaign=campaign)])
        (permit,) = (await Caller(queues, f"k{place}x")(1, now=NOW, campaign=campaign)).granted.permits
        hit[permit.call] = campaign == HERS
    await world.push("dnc", entry("+34*"))
    assert [purged.call for purged in await queues.drain()] == [call for call, its in hit.items() if its]


async def test_it_is_rebuilt(world: World) -> None:
    queues = await world.node("n1")
    listed = Record(
        listed=[("acme--*", phone(1))], do_not_call=[("acme--*", phone(2), NOW + 60), ("acme--*", "+351*", None)]
    )
    contacts = [(contact(n, campaign=campaign), 0, None) for n in (1, 2, 3) for campaign in (HERS, OTHERS)]
    await queues.rebuild(Pages(listed, Record(contacts=contacts)))
    for campaign, left in ((HERS, ["c3"]), (OTHERS, ["c1", "c2", "c3"])):
        permits = (await Caller(queues, f"{campaign[:6]}x")(5, now=NOW, campaign=campaign)).granted.permits
        assert [permit.contact for permit in permits] == left
        for permit in permits:
            await queues.write([Release(permit=permit)])


@pytest.mark.parametrize("scope", ["acme--", "ACME--*", "-acme--*", "acme-*", "a" * 25 + "--*", "acme--**", "--*"])
async def test_what_is_no_such_list_is_refused_or_a_campaign(world: World, scope: str) -> None:
    """The gate and the parser of everybody else say the same."""
    queues = await world.node("n1")
    await world.push("dnc", entry(phone(1)) | {"scope": scope})
    await queues.drain()
    assert (await world.rejected() == []) is (listing_scope(scope) is None) is (scope == "acme--")
