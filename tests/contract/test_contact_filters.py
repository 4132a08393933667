"""Filters of campaigns at the gate: each reservation has the one in force, and nobody whom it leaves out is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialer.core.ids import CallId, ContactId
from dialer.errors import GateNotReady
from dialer.queues.connection import AsyncRedis
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.port import FilterInForce, HopperDepth, Offered, Queues, Release, Reservation
from tests.queue_worlds import NOW, WINTER, Caller, MemoryWorld, RedisWorld, World, contact, finish

A, B = 'state = "A"', 'state = "B"'


@pytest.fixture(params=["memory", "redis"])
async def world(
    request: pytest.FixtureRequest, valkey_server: EmbeddedServer, valkey: AsyncRedis
) -> AsyncIterator[World]:
    made: World = MemoryWorld() if request.param == "memory" else RedisWorld(valkey, valkey_server.url)
    yield made
    await made.close()


async def leave_out(queues: Queues, reservation: Reservation, contacts: Collection[str]) -> set[str]:
    """Give these back as the filter in force leaves them out, the others as they were; the others."""
    assert reservation.filter is not None
    aside_at = reservation.filter.aside_at
    permits = reservation.granted.permits
    await queues.write(
        [Release(permit=p, not_before_at=aside_at if p.contact in contacts else None, reason="filter") for p in permits]
    )
    return {str(permit.contact) for permit in permits} - set(contacts)


async def test_there_is_none_until_one_is_set_and_then_each_reservation_has_it(world: World) -> None:
    queues = await world.node("n1")
    await queues.offer([contact(1), contact(2)])
    caller = Caller(queues)
    assert (await caller(1)).filter is None
    assert await queues.set_filter(WINTER, A)
    assert not await queues.set_filter(WINTER, A), "the same again is no change"
    assert (await caller(1)).filter == FilterInForce(A, 1)
    assert await queues.set_filter(WINTER, "")
    assert (await caller(1)).filter == FilterInForce("", 2)


async def test_whoever_is_left_out_waits_until_another_filter_is_in_force(world: World) -> None:
    queues = await world.node("n1")
    await queues.offer([contact(n) for n in range(6)])
    caller = Caller(queues)
    await queues.set_filter(WINTER, A)
    assert await leave_out(queues, await caller(6), {"c1", "c3", "c5"}) == {"c0", "c2", "c4"}
    assert await queues.depth(WINTER) == HopperDepth(ready=3, later=0, live=0, aside=3)
    far = NOW + 3_000_000_000.0
    seen = await caller(6, now=far)
    assert {permit.contact for permit in seen.granted.permits} == {"c0", "c2", "c4"}
    assert seen.granted.later == 0
    await leave_out(queues, seen, {})
    await queues.set_filter(WINTER, B)
    assert {permit.contact for permit in (await caller(6)).granted.permits} == {f"c{n}" for n in range(6)}


async def test_the_look_at_who_is_due_finds_those_whom_another_filter_left_out(world: World) -> None:
    """A campaign whose every contact was left out asks the gate for nobody: this look alone tells it of a change."""
    queues = await world.node("n1")
    await queues.offer([contact(1), contact(2)])
    await queues.set_filter(WINTER, A)
    await leave_out(queues, await Caller(queues)(2), {"c1", "c2"})
    await queues.set_filter(WINTER, B)
    assert not await queues.due_for_agents(WINTER, NOW)
    assert await queues.depth(WINTER) == HopperDepth(ready=2, later=0, live=0)


async def test_a_word_of_the_filter_before_that_comes_late_keeps_nobody_out(world: World) -> None:
    """Another node has judged by it, and is slow to say so."""
    queues, slow = await world.node("n1"), await world.node("n2")
    await queues.offer([contact(1)])
    await queues.set_filter(WINTER, A)
    reservation = await Caller(slow, "s")(1)
    await queues.set_filter(WINTER, B)
    await leave_out(slow, reservation, {"c1"})
    assert [permit.contact for permit in (await Caller(queues)(1)).granted.permits] == ["c1"]


async def test_a_large_list_that_was_left_out_comes_back_step_by_step(world: World) -> None:
    queues = await world.node("n1")
    for first in range(0, 1_200, 600):
        await queues.offer([contact(n) for n in range(first, first + 600)])
    caller = Caller(queues)
    await queues.set_filter(WINTER, A)
    for _ in range(2):
        seen = await caller(600)
        await leave_out(queues, seen, {permit.contact for permit in seen.granted.permits})
    assert (await queues.depth(WINTER)).aside == 1_200
    await queues.set_filter(WINTER, "")
    back: set[str] = set()
    for _ in range(4):
        back |= {permit.contact for permit in (await caller(500)).granted.permits}
    assert len(back) == 1_200


@pytest.mark.parametrize("called_before", [False, True])
async def test_news_of_a_contact_has_it_looked_at_again(world: World, called_before: bool) -> None:
    queues = await world.node("n1")
    await queues.offer([contact(1)])
    caller = Caller(queues)
    if called_before:
        [permit] = (await caller(1)).granted.permits
        await queues.write([finish(permit, retry_at=NOW + 1)])
    await queues.set_filter(WINTER, A)
    await leave_out(queues, await caller(1, now=NOW + 2), {"c1"})
    assert not (await caller(1, now=NOW + 2)).granted.permits
    assert await queues.offer([contact(1, fields={"state": "A"})]) == [Offered.UPDATED]
    assert [permit.contact for permit in (await caller(1, now=NOW + 2)).granted.permits] == ["c1"]


async def test_a_contact_asked_for_by_name_is_called_although_it_was_left_out(world: World) -> None:
    queues = await world.node("n1")
    await queues.offer([contact(1)])
    await queues.set_filter(WINTER, A)
    await leave_out(queues, await Caller(queues)(1), {"c1"})
    async with queues.reserve_contact(WINTER, ContactId("c1"), CallId("k1"), NOW) as reservation:
        [permit] = reservation.granted.permits
        assert reservation.filter == FilterInForce(A, 1)
    await queues.write([Release(permit=permit, not_before_at=reservation.waited_until)])
    assert (await queues.depth(WINTER)).aside == 1


async def test_a_removal_takes_out_whoever_was_left_out(world: World) -> None:
    queues = await world.node("n1")
    await queues.offer([contact(1), contact(2)])
    await queues.set_filter(WINTER, A)
    await leave_out(queues, await Caller(queues)(2), {"c1", "c2"})
    await world.push("removals", {"id": "r1", "campaign": "winter", "contact": "c1"})
    await queues.drain()
    await queues.set_filter(WINTER, "")
    assert [permit.contact for permit in (await Caller(queues)(2)).granted.permits] == ["c2"]


async def test_an_empty_server_takes_no_filter(world: World) -> None:
    queues = await world.node("n1", opened=False)
    with pytest.raises(GateNotReady):
        await queues.set_filter(WINTER, A)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    steps=st.lists(
        st.one_of(
            st.sampled_from(["", A, B]),
            st.integers(1, 8),
            st.tuples(st.integers(0, 7), st.sampled_from(["A", "B", "C"])),
        ),
        max_size=14,
    )
)
async def test_nobody_is_called_past_the_filter_and_nobody_is_lost(
    valkey_server: EmbeddedServer, valkey: AsyncRedis, steps: list[str | int | tuple[int, str]]
) -> None:
    """However filters, data and reservations follow each other: everybody whom the last one lets pass comes at last."""
    await valkey.flushall()
    world = RedisWorld(valkey, valkey_server.url)
    queues = await world.node("n1")
    states = {f"c{n}": "A" for n in range(8)}
    await queues.offer([contact(n, fields={"state": "A"}) for n in range(8)])
    filter, caller = "", Caller(queues)

    async def reserve(count: int) -> set[str]:
        reservation = await caller(count)
        text = "" if reservation.filter is None else reservation.filter.text
        assert text == filter
        permits = reservation.granted.permits
        assert all(permit.fields["state"] == states[permit.contact] for permit in permits)
        out = {p.contact for p in permits if text and text != f'state = "{states[p.contact]}"'}
        if reservation.filter is None:
            await queues.write([Release(permit=permit) for permit in permits])
        else:
            await leave_out(queues, reservation, out)
        return {str(permit.contact) for permit in permits} - out

    for step in steps:
        match step:
            case str():
                await queues.set_filter(WINTER, step)
                filter = step
            case int():
                await reserve(step)
            case (number, state):
                states[f"c{number}"] = state
                await queues.offer([contact(number, fields={"state": state})])
    called: set[str] = set()
    for _ in range(2):
        called |= await reserve(8)
    assert called == {name for name, state in states.items() if not filter or filter == f'state = "{state}"'}
    await world.close()
