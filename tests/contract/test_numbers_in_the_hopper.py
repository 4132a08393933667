"""What is known of a contact's numbers one by one: kept by the gate, through updates, a rebuild and an erasure."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dialer.compliance.rules import Span
from dialer.core.contact_phone import ContactNumber, PhoneTerms
from dialer.core.ids import CallId, ContactId
from dialer.core.permit import Permit
from dialer.queues.cap_law import cap_law
from dialer.queues.connection import AsyncRedis
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.port import NEVER, HopperDepth, Queues, Record, Release
from tests.compliance_rules import cap_rule
from tests.queue_worlds import NOW, WINTER, Caller, MemoryWorld, Pages, RedisWorld, World, contact, finish, phone

TWICE = {phone(1): PhoneTerms(max_attempts=2)}


@pytest.fixture(params=["memory", "redis"])
async def world(
    request: pytest.FixtureRequest, valkey_server: EmbeddedServer, valkey: AsyncRedis
) -> AsyncIterator[World]:
    made: World = MemoryWorld() if request.param == "memory" else RedisWorld(valkey, valkey_server.url)
    yield made
    await made.close()


async def only(reserve: Caller, now: float = NOW, **more: object) -> Permit:
    (permit,) = (await reserve(1, now=now, **more)).granted.permits  # type: ignore[arg-type]
    return permit


async def wait(queues: Queues, permit: Permit, waits: dict[int, float], at: float | None = None) -> None:
    await queues.write(
        [Release(permit=permit, not_before_at=at, waits={phone(n): until for n, until in waits.items()})]
    )


async def test_the_next_number_in_order_is_called_while_others_wait(world: World) -> None:
    queues = await world.node("n1")
    reserve = Caller(queues)
    await queues.offer([contact(1, 1, 2, 3)])
    first = await only(reserve)
    assert [number.phone for number in first.numbers] == [phone(1), phone(2), phone(3)]
    await wait(queues, first, {1: NOW + 100, 2: NOW + 50})
    third = await only(reserve)
    assert third.phone == phone(3)
    await wait(queues, third, {3: NOW + 70}, NOW + 50)
    assert not (await reserve(1, now=NOW + 49)).granted.permits
    assert (await only(reserve, NOW + 50)).phone == phone(2)


async def test_when_all_wait_the_contact_does_until_the_first_of_them(world: World) -> None:
    queues = await world.node("n1")
    reserve = Caller(queues)
    await queues.offer([contact(1, 1, 2)])
    await wait(queues, await only(reserve), {1: NOW + 100, 2: NOW + 60})
    seen = await reserve(1)
    assert dict(seen.granted.refusals.counts) == {"phone_hours": 1}
    assert await queues.depth(WINTER) == HopperDepth(ready=0, later=1, live=0)
    assert (await only(reserve, NOW + 60)).phone == phone(2)


async def test_a_number_that_may_be_called_by_its_hours_and_not_by_a_cap_does_not_go_round(world: World) -> None:
    queues = await world.node("n1")
    law = cap_law([cap_rule(1, Span.ROLLING, 3_600)], NOW, ["Europe/Madrid"])
    reserve = Caller(queues)
    await queues.offer([contact(1, 1, 2), contact(2, 2)])
    permits = (await reserve(2, caps=law)).granted.permits
    called = next(permit for permit in permits if permit.contact == "c2")
    await queues.write([finish(called, at=NOW)])
    [mine] = [permit for permit in permits if permit.contact == "c1"]
    await wait(queues, mine, {1: NOW + 100})
    seen = await reserve(1, caps=law)
    assert not seen.granted.permits
    assert sum(dict(seen.granted.refusals.counts).values()) == 1
    assert await queues.depth(WINTER) == HopperDepth(ready=0, later=1, live=0)
    assert (await only(reserve, NOW + 100, caps=law)).phone == phone(1)


async def test_a_number_on_a_list_is_passed_over_and_one_alone_ends_the_contact(world: World) -> None:
    queues = await world.node("n1")
    reserve = Caller(queues)
    await queues.offer([contact(1, 1, 2)])
    await wait(queues, await only(reserve), {1: NOW + 100})
    await world.push("dnc", {"id": "d1", "op": "add", "phone": phone(2), "scope": "*"})
    assert not (await reserve(1)).granted.permits
    assert (await only(reserve, NOW + 100)).phone == phone(1)


async def test_an_update_forgets_what_was_waited_for_and_keeps_what_was_counted(world: World) -> None:
    queues = await world.node("n1")
    reserve = Caller(queues)
    await queues.offer([contact(1, 1, 2, phone_terms=TWICE)])
    await queues.write([finish(await only(reserve), retry_at=NOW + 10)])
    second = await only(reserve, NOW + 10)
    assert second.phone == phone(2)
    assert second.numbers == (
        ContactNumber(phone=phone(1), attempts=1, terms=TWICE[phone(1)]),
        ContactNumber(phone=phone(2), attempts=0),
    )
    await wait(queues, second, {2: NOW + 1_000, 1: NEVER})
    await queues.offer([contact(1, 2, 1, 3, phone_terms=TWICE)])
    again = await only(reserve, NOW + 10)
    assert again.phone == phone(2)
    assert [number.attempts for number in again.numbers] == [0, 1, 0]


async def test_other_hours_count_at_once_and_bring_no_attempt_forward(world: World) -> None:
    queues = await world.node("n1")
    reserve = Caller(queues)
    await queues.offer([contact(1, 1, 2, phone_terms=TWICE), contact(2, 3, 4, phone_terms=TWICE)])
    permits = (await reserve(2)).granted.permits
    await queues.write([finish(permit, retry_at=NOW + 10) for permit in permits])
    closed, _ = (await reserve(2, now=NOW + 10)).granted.permits
    await wait(queues, closed, {1: NOW + 1_000, 2: NOW + 500}, NOW + 500)
    await queues.offer([contact(1, 1, 2, phone_terms=TWICE, name="other hours")])
    again = await only(reserve, NOW + 11)
    assert (again.contact, again.name, again.phone) == ("c1", "other hours", phone(2))
    await queues.write([finish(again, retry_at=NOW + 700)])
    await queues.offer([contact(1, 1, 2, phone_terms=TWICE, name="and again")])
    assert not (await reserve(1, now=NOW + 699)).granted.permits
    assert (await only(reserve, NOW + 700)).name == "and again"


async def test_attempts_by_number_come_back_with_the_record_once(world: World) -> None:
    queues = await world.node("n1")
    known = contact(1, 1, 2, phone_terms=TWICE)
    page = Record(contacts=[(known, 3, None)], numbers=[(WINTER, known.id, {phone(1): 2, phone(2): 1})])
    await queues.rebuild(Pages(page))
    await queues.rebuild(Pages(page))
    permit = await only(Caller(queues))
    assert [number.attempts for number in permit.numbers] == [2, 1]
    assert permit.numbers[0].spent()


async def test_what_was_promised_is_called_however_often_and_nobody_else(world: World) -> None:
    queues = await world.node("n1")
    reserve = Caller(queues)
    await queues.offer([contact(1, 1, phone_terms=TWICE), contact(2, 2, 3, phone_terms=TWICE)])
    first, other = (await reserve(2)).granted.permits
    await wait(queues, other, {2: NEVER, 3: NEVER})
    async with queues.reserve_contact(WINTER, ContactId("c2"), CallId("k1"), NOW) as reservation:
        [named] = reservation.granted.permits
        assert named.phone == phone(2)
    await queues.write([Release(permit=named), Release(permit=first)])
    seen = await reserve(2)
    assert [permit.contact for permit in seen.granted.permits] == ["c1"]
    told = [result for result in await world.results() if result["type"] == "contact.rejected"]
    assert [(result["contact"], result["reason"]) for result in told] == [("c2", "phone_attempts")]


async def test_nothing_of_an_erased_number_stays(valkey: AsyncRedis, valkey_server: EmbeddedServer) -> None:
    world = RedisWorld(valkey, valkey_server.url)
    try:
        queues = await world.node("n1")
        reserve = Caller(queues)
        await queues.offer([contact(1, 1, 2, phone_terms=TWICE)])
        await queues.write([finish(await only(reserve), retry_at=NOW + 10)])
        await wait(queues, await only(reserve, NOW + 10), {2: NOW + 1_000})
        assert await valkey.hlen(f"cadencia:numbers:{WINTER}") == 1
        assert await queues.erase([phone(2)]) == 1
        assert await valkey.exists(f"cadencia:numbers:{WINTER}") == 0
    finally:
        await world.close()
