"""Do-not-call lists of accounts, and numbers that are listed by how they begin: in the same step as everything else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dialer.core.contact import Contact
from dialer.core.ids import CampaignId, ContactId, Phone
from dialer.queues.connection import AsyncRedis
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.port import LiveState, MarkLive, Offered, Queues, Record, Release, Reservation
from dialer.queues.removals import parse_do_not_call
from dialer.storage.recorder import do_not_call_of
from tests.queue_worlds import NOW, WINTER, Caller, MemoryWorld, Pages, RedisWorld, World, contact, phone

SUMMER = CampaignId("summer")


@pytest.fixture(params=["memory", "redis"])
async def world(
    request: pytest.FixtureRequest, valkey_server: EmbeddedServer, valkey: AsyncRedis
) -> AsyncIterator[World]:
    made: World = MemoryWorld() if request.param == "memory" else RedisWorld(valkey, valkey_server.url)
    yield made
    await made.close()


async def reserve(queues: Queues, n: int, *, campaign: CampaignId = WINTER, now: float = NOW) -> Reservation:
    """Ask for so many."""
    return await Caller(queues)(n, now=now, campaign=campaign)


def entry(listed: str, scope: str = "*", op: str = "add", **more: object) -> dict[str, object]:
    return {"id": "d1", "op": op, "phone": listed, "scope": scope, **more}


@pytest.mark.parametrize("listed", ["+34*", "+34 600*", "0034 600 000*", "+34600000001*"])
async def test_numbers_that_begin_so_are_not_called(world: World, listed: str) -> None:
    queues = await world.node("n1")
    await queues.offer([contact(1)])
    await world.push("dnc", entry(listed))
    assert not (await reserve(queues, 2)).granted.permits
    refusal = (await world.refusals())[-1]
    prefix = "+" + listed.replace(" ", "").replace("+", "").removeprefix("00")
    assert (refusal.reason, refusal.evidence) == ("do_not_call", {"listed": 1, "scope": "*", "prefix": prefix})
    assert [result["phone"] for result in await world.results() if result["type"] == "dnc.applied"] == [prefix]


@pytest.mark.parametrize("listed", ["+35*", "+346000000010*", "+34600000002*"])
async def test_numbers_that_begin_otherwise_are_called(world: World, listed: str) -> None:
    queues = await world.node("n1")
    await queues.offer([contact(1)])
    await world.push("dnc", entry(listed))
    assert [permit.phone for permit in (await reserve(queues, 1)).granted.permits] == [phone(1)]


async def test_a_beginning_in_one_campaign_leaves_others_alone(world: World) -> None:
    queues = await world.node("n1")
    await queues.offer([contact(1), contact(2, campaign=SUMMER)])
    await world.push("dnc", entry("+34*", "summer"))
    assert (await reserve(queues, 2)).granted.permits
    assert not (await reserve(queues, 2, campaign=SUMMER)).granted.permits


async def test_a_beginning_is_taken_off_and_expires(world: World) -> None:
    queues = await world.node("n1")
    await world.push("dnc", entry("+34*"))
    await world.push("dnc", entry("+34600*", expires="2027-01-15T08:00:30Z"))  # half a minute after NOW
    await queues.drain()
    assert await queues.offer([contact(1)]) == [Offered.DO_NOT_CALL]
    await world.push("dnc", entry("+34*", op="remove"))
    await queues.drain()
    assert await queues.offer([contact(1)]) == [Offered.DO_NOT_CALL]
    assert not (await reserve(queues, 1, now=NOW + 31)).granted.permits, "it is not in the hopper"
    assert await queues.offer([contact(1)]) == [Offered.ADDED]
    assert (await reserve(queues, 1, now=NOW + 32)).granted.permits


async def test_the_other_number_of_a_contact_is_called(world: World) -> None:
    queues = await world.node("n1")
    await queues.offer([contact(1, 100001, 200001)])
    await world.push("dnc", entry("+346001*"))
    assert [permit.phone for permit in (await reserve(queues, 1)).granted.permits] == [phone(200001)]


async def test_an_account_is_not_called_about_and_others_are(world: World) -> None:
    queues = await world.node("n1")
    await queues.offer(
        [
            contact(1, 1, fields={"account": "D-77"}),
            contact(2, 1, campaign=SUMMER, fields={"account": "D-78"}),
            contact(3, 3, fields={"account": "D-77"}),
            contact(4, 4, fields={"account": 77}),
        ]
    )
    await world.push("dnc", entry(phone(1), "account:D-77"))
    await world.push("dnc", entry("+34600000004", "account:77"))
    assert [permit.phone for permit in (await reserve(queues, 5)).granted.permits] == [phone(3)]
    assert [permit.phone for permit in (await reserve(queues, 5, campaign=SUMMER)).granted.permits] == [phone(1)]
    told = [result for result in await world.results() if result["type"] == "dnc.applied"]
    assert [result.get("account") for result in told] == ["D-77", "77"]
    assert all("campaign" not in result for result in told)
    assert await queues.offer([contact(5, 1, fields={"account": "D-77"})]) == [Offered.DO_NOT_CALL]
    assert await queues.offer([contact(6, 1, fields={"account": "D-79"})]) == [Offered.ADDED]


async def test_a_beginning_for_an_account(world: World) -> None:
    queues = await world.node("n1")
    await queues.offer([contact(1, fields={"account": "D-77"}), contact(2, fields={"account": "D-78"}), contact(3)])
    await world.push("dnc", entry("+34*", "account:D-77"))
    assert [permit.phone for permit in (await reserve(queues, 5)).granted.permits] == [phone(2), phone(3)]


async def test_a_campaign_called_account_has_a_list_of_its_own(world: World) -> None:
    queues = await world.node("n1")
    campaign = CampaignId("account")
    await queues.offer([contact(1, campaign=campaign), contact(2, campaign=campaign, fields={"account": "x"})])
    await world.push("dnc", entry(phone(1), "account"))
    await world.push("dnc", entry(phone(2), "account:y"))
    assert [permit.phone for permit in (await reserve(queues, 5, campaign=campaign)).granted.permits] == [phone(2)]


@pytest.mark.parametrize(
    ("listed", "scope", "hit"),
    [
        ("+34*", "*", ["k0", "k1", "k2"]),
        ("+346001*", "*", ["k0", "k1"]),
        ("+34*", "winter", ["k0", "k1", "k2"]),
        ("+34*", "summer", []),
        ("+34*", "account:D-77", ["k1"]),
        (phone(100002), "account:D-77", ["k1"]),
        (phone(100001), "account:D-77", []),
        ("+35*", "*", []),
    ],
)
async def test_calls_under_way_are_told(world: World, listed: str, scope: str, hit: list[str]) -> None:
    queues = await world.node("n1")
    await queues.offer([contact(1, 100001), contact(2, 100002, fields={"account": "D-77"}), contact(3, 200001)])
    permits = (await reserve(queues, 3)).granted.permits
    await queues.write([MarkLive(call=permits[0].call, state=LiveState.DIALING, at=NOW)])
    names = {permit.call: f"k{place}" for place, permit in enumerate(permits)}
    await world.push("dnc", entry(listed, scope, reason="moved"))
    purged = await queues.drain()
    assert sorted(names[one.call] for one in purged) == hit
    assert {(one.kind, one.reason) for one in purged} <= {("dnc", "moved")}
    await queues.write([Release(permit=permit) for permit in permits[1:]])


async def test_lists_of_all_kinds_are_rebuilt(world: World) -> None:
    queues = await world.node("n1")
    lists = [("*", "+346001*", None), ("account:D-77", phone(2), None), ("winter", "+34600000003*", NOW + 60)]
    contacts = [
        (contact(1, 100001), 0, None),
        (contact(2, fields={"account": "D-77"}), 0, None),
        (contact(3), 0, None),
        (contact(4), 0, None),
    ]
    await queues.rebuild(Pages(Record(do_not_call=lists), Record(contacts=contacts)))
    assert [permit.contact for permit in (await reserve(queues, 5)).granted.permits] == ["c4"]


async def test_whole_lists_are_rebuilt_and_nobody_beside_them(world: World) -> None:
    """As they come by the million: more numbers than fit one run, of many shards, and twice."""
    queues = await world.node("n1")
    step = 37
    listed = [f"+34{600_000_000 + step * n}" for n in range(6_000)]
    on, beside = [], []
    for n in range(0, 6_000, 200):
        on.append(Contact(campaign=WINTER, id=ContactId(f"on{n}"), phones=(Phone(listed[n]),)))
        near = Phone(f"+34{600_000_001 + step * n}")
        beside.append(Contact(campaign=WINTER, id=ContactId(f"beside{n}"), phones=(near,)))
    pages = [
        Record(
            listed=[("*", ",".join(listed[5_000:])), ("winter", ",".join(listed[:5_000])), ("account:D", listed[0])]
        ),
        Record(contacts=[(one, 0, None) for one in beside]),
    ]
    await queues.rebuild(Pages(*pages))
    await queues.rebuild(Pages(*pages))
    assert set(await queues.offer(on)) == {Offered.DO_NOT_CALL}
    granted = (await reserve(queues, 100)).granted.permits
    assert {permit.contact for permit in granted} == {one.id for one in beside}
    if isinstance(world, RedisWorld):
        counts = await world.client.hgetall("cadencia:dnc-counts")
        assert {scope: int(n) for scope, n in counts.items()} == {b"*": 1_000, b"winter": 5_000, b"account:": 1}


async def test_a_number_that_is_listed_for_good_takes_out_who_waits_and_expires_no_more(world: World) -> None:
    queues = await world.node("n1")
    await queues.offer([contact(1), contact(2), contact(3)])
    await world.push("dnc", entry(phone(2), expires="2027-01-15T08:00:30Z"))  # half a minute after NOW
    await queues.drain()
    await queues.rebuild(Pages(Record(listed=[("*", f"{phone(1)},{phone(2)}")])))
    assert [permit.contact for permit in (await reserve(queues, 5)).granted.permits] == ["c3"]
    assert await queues.offer([contact(2)]) == [Offered.DO_NOT_CALL]
    assert not (await reserve(queues, 5, now=NOW + 31)).granted.permits
    assert await queues.offer([contact(2)]) == [Offered.DO_NOT_CALL]


async def test_what_is_no_number_in_a_list_stops_no_rebuild(world: World) -> None:
    """Somebody wrote it into the table by hand."""
    queues = await world.node("n1")
    pages = [Record(listed=[("*", f"{phone(1)},600 000 002,+,{phone(3)}")])]
    await queues.rebuild(Pages(*pages, Record(contacts=[(contact(n), 0, None) for n in (1, 2, 3)])))
    assert [permit.contact for permit in (await reserve(queues, 5)).granted.permits] == ["c2"]


def test_the_record_tells_where_an_entry_comes_from_and_who_said_it() -> None:
    kept = do_not_call_of("5-1", b'{"op":"add","phone":"+34 91*","scope":"account:D-77","source":"key","by":"call k1"}')
    assert (kept.scope, kept.phone, kept.source, kept.who) == ("account:D-77", "+3491*", "key", "call k1")
    assert do_not_call_of("5-1", b'{"op":"add","phone":"+34600000001"}').source == "stream"
    assert parse_do_not_call(b'{"op":"add","phone":"+34600000001"}').by is None
