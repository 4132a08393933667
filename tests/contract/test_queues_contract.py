"""What every adapter of the queues' port does: one suite, run against memory and against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from dialer.core.ids import CampaignId
from dialer.core.outcome import Outcome
from dialer.errors import GateNotReady, InputError
from dialer.queues.connection import AsyncRedis
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.port import Finish, HopperDepth, LiveState, MarkLive, Offered, Publish, Record, Release
from dialer.queues.wire import pack
from tests.queue_worlds import (
    NOW,
    WINTER,
    Caller,
    MemoryWorld,
    Pages,
    RedisWorld,
    World,
    contact,
    finish,
    granted,
    kinds,
    phone,
)

SUMMER = CampaignId("summer")


@pytest.fixture(params=["memory", "strict", "plain"])
async def world(
    request: pytest.FixtureRequest,
    valkey_server: EmbeddedServer,
    valkey: AsyncRedis,
) -> AsyncIterator[World]:
    made: World
    if request.param == "memory":
        made = MemoryWorld()
    else:
        made = RedisWorld(valkey, valkey_server.url, strict_gate=request.param == "strict")
    yield made
    await made.close()


async def test_gate_is_shut_until_the_record_is_loaded(world: World) -> None:
    node = await world.node("n1", opened=False)
    assert not await node.prepare()
    with pytest.raises(GateNotReady):
        await Caller(node)()
    await node.rebuild(Pages())
    assert await node.prepare()
    assert granted(await Caller(node)()) == []


async def test_order_is_priority_then_push(world: World) -> None:
    node = await world.node("n1")
    await node.offer(
        [contact(1), contact(2, priority=5), contact(3, priority=-1000), contact(4, priority=5), contact(5)]
    )
    assert granted(await Caller(node)(4)) == ["c2", "c4", "c1", "c5"]
    assert await node.depth(WINTER) == HopperDepth(ready=1, later=0, live=4)


async def test_packed_offers_are_taken_as_others_are(world: World) -> None:
    node = await world.node("n1")
    offers = [pack([contact(1), contact(2, 7, 8, priority=5, name="Ana")]), pack([contact(3, not_before_at=NOW + 60)])]
    assert await node.offer_packed(offers) == {Offered.ADDED: 3}
    assert await node.offer_packed(offers) == {Offered.UPDATED: 3}
    assert await node.depth(WINTER) == HopperDepth(ready=2, later=1, live=0)
    assert granted(await Caller(node)(2)) == ["c2", "c1"]


async def test_permit_carries_what_the_call_needs(world: World) -> None:
    node = await world.node("n1")
    fields, consent = {"debt": "12.50", "tags": ["a", 1]}, {"source": "web"}
    await node.offer([contact(1, 7, 8, name="Ana Núñez", timezone="Europe/Madrid", fields=fields, consent=consent)])
    reservation = await Caller(node)()
    (permit,) = reservation.granted.permits
    assert (permit.phone, permit.name, permit.attempt_number) == (phone(7), "Ana Núñez", 1)
    assert permit.fields == fields
    assert (permit.consent, permit.timezone, permit.phones) == (consent, "Europe/Madrid", 2)
    assert permit.valid(NOW + 0.03)
    assert not permit.valid(NOW + 0.05 + 0.05)


async def test_offering_again_updates_and_keeps_the_place(world: World) -> None:
    node = await world.node("n1")
    assert await node.offer([contact(1), contact(2)]) == [Offered.ADDED] * 2
    assert await node.offer([contact(1, 1, 9, name="new"), contact(1, 9)]) == [Offered.UPDATED] * 2
    reservation = await Caller(node)()
    assert granted(reservation) == ["c1", "c2"]
    assert reservation.granted.permits[0].phone == phone(9)


async def test_malformed_contact_is_refused_before_anything_is_added(world: World) -> None:
    node = await world.node("n1")
    for wrong in (contact(2, priority=1001), contact(2, campaign=CampaignId("win ter"))):
        with pytest.raises(InputError):
            await node.offer([contact(1), wrong])
    assert (await node.depth(WINTER)).ready == 0


async def test_not_before_and_expiry(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1, not_before_at=NOW + 60), contact(2, expires_at=NOW + 60)])
    call = Caller(node)
    assert granted(await call(now=NOW)) == ["c2"]
    await node.offer([contact(3, expires_at=NOW + 60)])
    reservation = await call(now=NOW + 60)
    assert granted(reservation) == ["c1"]
    assert reservation.granted.refusals.counts == (("expired", 1),)
    assert (await world.results())[-1]["reason"] == "expired"
    assert await node.offer([contact(3)]) == [Offered.FINISHED]


async def test_retry_rotates_the_numbers_and_counts_attempts(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1, 11, 12)])
    call, seen = Caller(node), []
    for k in range(3):
        (permit,) = (await call(now=NOW + k * 100)).granted.permits
        seen.append((permit.phone, permit.attempt_number))
        await node.write([finish(permit, retry_at=NOW + k * 100 + 50)])
        assert granted(await call(now=NOW + k * 100 + 49)) == []
    assert seen == [(phone(11), 1), (phone(12), 2), (phone(11), 3)]


async def test_what_does_not_count_as_an_attempt_leaves_the_next_one_its_number(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1)])
    call, numbers = Caller(node), []
    for k, counts in enumerate((True, False, False, True)):
        (permit,) = (await call(now=NOW + k * 100)).granted.permits
        numbers.append(permit.attempt_number)
        done = finish(permit, retry_at=NOW + k * 100 + 50, outcome=Outcome.FAILED)
        made = done.attempt if counts else replace(done.attempt, attempt_number=0)
        await node.write([replace(done, attempt=made)])
    assert numbers == [1, 2, 2, 2]
    assert [entry.attempt.counts for entry in await world.journal()] == [True, False, False, True]


async def test_finish_is_done_once(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1)])
    (permit,) = (await Caller(node)()).granted.permits
    done = finish(permit, outcome=Outcome.CONNECTED)
    await node.write([done, done])
    await node.write([done])
    assert kinds(await world.results()) == ["call.ended"]
    (entry,) = await world.journal()
    assert entry.attempt == done.attempt
    assert entry.fencing_token == permit.fencing_token
    assert await node.depth(WINTER) == HopperDepth(ready=0, later=0, live=0)
    assert await node.offer([contact(1)]) == [Offered.FINISHED]


async def test_release_gives_back_as_it_was(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1), contact(2), contact(3)])
    call = Caller(node)
    first, second, _ = (await call()).granted.permits
    await node.write([Release(permit=second), Release(permit=first, not_before_at=NOW + 10), Release(permit=second)])
    assert await node.depth(WINTER) == HopperDepth(ready=1, later=1, live=1)
    assert granted(await call(now=NOW)) == ["c2"]
    again = await call(now=NOW + 10)
    assert granted(again) == ["c1"]
    assert again.granted.permits[0].attempt_number == 1


async def test_call_that_was_dialed_is_not_released(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1)])
    (permit,) = (await Caller(node)()).granted.permits
    await node.write([MarkLive(call=permit.call, state=LiveState.DIALING, at=NOW), Release(permit=permit)])
    assert await node.depth(WINTER) == HopperDepth(ready=0, later=0, live=1)


async def test_results_are_published_in_order(world: World) -> None:
    node = await world.node("n1")
    await node.write([Publish(result={"type": "call.started", "at": str(n)}) for n in range(5)])
    assert [result["at"] for result in await world.results()] == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("message", "gone"),
    [
        ({"campaign": "winter", "contact": "c1"}, ["c1"]),
        ({"campaign": "*", "contact": "c1"}, ["c1"]),
        ({"campaign": "winter", "phone": "+34 600-000.(001)"}, ["c1"]),
        ({"campaign": "*", "phone": "0034600000002"}, ["c2"]),
        ({"campaign": "winter", "contact": "c1", "phone": "+34600000002"}, ["c1", "c2"]),
    ],
)
async def test_removal_takes_effect_before_the_next_call(
    world: World, message: dict[str, str], gone: list[str]
) -> None:
    node = await world.node("n1")
    await node.offer([contact(1), contact(2), contact(3)])
    await world.push("removals", {"id": "m1", "reason": "paid", **message})
    assert granted(await Caller(node)()) == [c for c in ("c1", "c2", "c3") if c not in gone]
    answers = await world.results()
    assert kinds(answers) == ["removal.applied"] * len(gone)
    assert {(a["contact"], a["ref"], a["reason"], a["campaign"]) for a in answers} == {
        (c, "m1", "paid", "winter") for c in gone
    }
    assert await node.offer([contact(1), contact(2)]) == [
        Offered.REMOVED if c in gone else Offered.UPDATED for c in ("c1", "c2")
    ]


async def test_removal_of_another_campaign_changes_nothing(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1)])
    await world.push("removals", {"id": "m1", "campaign": "summer", "contact": "c1"})
    await world.push("removals", {"id": "m2", "campaign": "summer", "phone": phone(1)})
    assert granted(await Caller(node)()) == ["c1"]
    assert kinds(await world.results()) == ["removal.not_found"] * 2


async def test_removal_before_load_counts_when_the_contact_comes(world: World) -> None:
    node = await world.node("n1")
    await world.push("removals", {"id": "m1", "campaign": "winter", "contact": "c1"})
    await world.push("removals", {"id": "m2", "campaign": "*", "phone": phone(2)})
    assert await node.drain() == ()
    assert kinds(await world.results()) == ["removal.not_found"] * 2
    assert await node.offer([contact(1), contact(2), contact(3, 4, 2), contact(5)]) == [
        *[Offered.REMOVED] * 3,
        Offered.ADDED,
    ]
    assert granted(await Caller(node)()) == ["c5"]


async def test_repeated_removal_is_applied_again_not_unknown(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1)])
    for _ in range(2):
        await world.push("removals", {"id": "m1", "campaign": "winter", "contact": "c1"})
        await node.drain()
    assert kinds(await world.results()) == ["removal.applied"] * 2


@pytest.mark.parametrize(
    ("stream", "message", "word"),
    [
        ("removals", b"{", "JSON"),
        ("removals", b"[1]", "JSON"),
        ("removals", b'"text"', "JSON"),
        ("removals", b'{"id": "\xff"}', "UTF-8"),
        ("removals", b'{"id": "bad-1", "campaign": "*", "contact": "\\ud800"}', "JSON"),
        ("dnc", b'{"op": "add", "phone": "+34600000001", "reason": "\\udc00"}', "JSON"),
        ("removals", b'{"x": "' + b"y" * 70_000 + b'"}', "64 KiB"),
        ("removals", {"contact": "c1"}, "campaign"),
        ("removals", {"campaign": "a b", "contact": "c1"}, "campaign"),
        ("removals", {"campaign": "winter"}, "neither"),
        ("removals", {"campaign": "winter", "contact": ["c1"]}, "contact"),
        ("removals", {"campaign": "winter", "contact": "a\nb"}, "contact"),
        ("removals", {"campaign": "winter", "phone": "600111222"}, "phone"),
        ("removals", {"campaign": "winter", "phone": "+123"}, "phone"),
        ("dnc", {"op": "add"}, "phone"),
        ("dnc", {"op": "ad", "phone": "+34600000001"}, "op"),
        ("dnc", {"op": "add", "phone": "+34600000001", "scope": "a:b"}, "scope"),
        ("dnc", {"op": "add", "phone": "+34600000001", "expires": "tomorrow"}, "expires"),
        ("dnc", {"op": "add", "phone": "+34600000001", "expires": "2030-02-30T00:00:00Z"}, "expires"),
    ],
)
async def test_malformed_message_is_reported_and_stops_nothing(
    world: World, stream: str, message: object, word: str
) -> None:
    node = await world.node("n1")
    await node.offer([contact(1), contact(2)])
    if isinstance(message, dict):
        message = {"id": "bad-1", **message}
    await world.push(stream, message)
    await world.push("removals", {"id": "good", "campaign": "winter", "contact": "c1"})
    assert granted(await Caller(node)()) == ["c2"]
    answers = {answer["type"]: answer for answer in await world.results()}
    assert set(answers) == {"message.rejected", "removal.applied"}
    assert word in answers["message.rejected"]["reason"]
    if isinstance(message, dict):
        assert answers["message.rejected"]["ref"] == "bad-1"
    assert len(await world.rejected()) == 1


async def test_do_not_call_by_scope(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1), contact(2), contact(3, 3, 33)])
    await node.offer([contact(1, campaign=SUMMER), contact(2, campaign=SUMMER)])
    await world.push("dnc", {"id": "d1", "op": "add", "phone": phone(1), "scope": "*"})
    await world.push("dnc", {"id": "d2", "op": "add", "phone": phone(2), "scope": "winter", "reason": "asked"})
    await world.push("dnc", {"id": "d3", "op": "add", "phone": phone(3), "scope": "winter"})
    reservation = await Caller(node, "w")()
    assert [(p.contact, p.phone) for p in reservation.granted.permits] == [("c3", phone(33))]
    assert reservation.granted.refusals.counts == (("do_not_call", 2),)
    assert granted(await Caller(node, "s")(campaign=SUMMER)) == ["c2"]
    assert kinds(await world.results()).count("dnc.applied") == 3
    assert await node.offer([contact(9, 1, 2)]) == [Offered.DO_NOT_CALL]


async def test_do_not_call_is_removed_and_expires(world: World) -> None:
    node = await world.node("n1")
    await world.push("dnc", {"id": "d1", "op": "add", "phone": phone(1)})
    await world.push("dnc", {"id": "d2", "op": "add", "phone": phone(2), "expires": "2027-01-15T09:00:00+01:00"})
    await node.drain()
    assert await node.offer([contact(1), contact(2)]) == [Offered.DO_NOT_CALL] * 2
    await world.push("dnc", {"id": "d3", "op": "remove", "phone": phone(1)})
    call = Caller(node)
    await call(now=NOW - 1)  # 2027-01-15T08:00:00Z is NOW
    assert await node.offer([contact(1), contact(2)]) == [Offered.ADDED, Offered.DO_NOT_CALL]
    await call(now=NOW)
    assert await node.offer([contact(2)]) == [Offered.ADDED]
    assert kinds(await world.results()) == ["dnc.applied", "dnc.applied", "dnc.removed"]


async def test_number_shared_by_two_campaigns_is_called_once_at_a_time(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1, 7)])
    await node.offer([contact(2, 7, campaign=SUMMER), contact(3, 7, 8, campaign=SUMMER)])
    (permit,) = (await Caller(node, "w")()).granted.permits
    call = Caller(node, "s")
    reservation = await call(campaign=SUMMER)
    assert [(p.contact, p.phone) for p in reservation.granted.permits] == [("c3", phone(8))]
    assert reservation.granted.refusals.counts == (("number_live", 1),)
    assert reservation.granted.later == 1
    await node.write([finish(permit)])
    assert granted(await call(campaign=SUMMER, now=NOW + 60)) == ["c2"]


async def test_same_number_twice_in_one_batch(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1, 7), contact(2, 7), contact(3, 8)])
    reservation = await Caller(node)()
    assert granted(reservation) == ["c1", "c3"]
    assert reservation.granted.refusals.counts == (("number_live", 1),)


async def test_removal_of_a_live_call_reaches_its_node(world: World) -> None:
    one, two = await world.node("n1"), await world.node("n2")
    await one.offer([contact(1), contact(2)])
    permits = (await Caller(one)()).granted.permits
    await world.push("removals", {"id": "m1", "campaign": "winter", "contact": "c1", "reason": "paid"})
    await world.push("dnc", {"id": "d1", "op": "add", "phone": phone(2), "reason": "asked"})
    assert await two.drain() == ()
    told = await one.drain()
    assert [(p.call, p.kind, p.ref, p.reason) for p in told] == [
        (permits[0].call, "removal", "m1", "paid"),
        (permits[1].call, "dnc", "d1", "asked"),
    ]
    assert await one.drain() == ()
    assert kinds(await world.results()) == ["dnc.applied"]
    await one.write([finish(permit, retry_at=NOW + 1) for permit in permits])
    assert granted(await Caller(two, "x")(now=NOW + 100)) == []
    assert await one.offer([contact(1)]) == [Offered.REMOVED]


async def test_removal_of_a_reserved_contact_is_answered_when_it_is_given_back(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1)])
    (permit,) = (await Caller(node)()).granted.permits
    await world.push("removals", {"id": "m1", "campaign": "winter", "phone": phone(1)})
    await node.drain()
    assert await world.results() == []
    await node.write([Release(permit=permit)])
    assert [(r["type"], r["contact"], r["ref"]) for r in await world.results()] == [("removal.applied", "c1", "m1")]
    assert granted(await Caller(node, "x")()) == []


async def test_waiting_for_purges(world: World) -> None:
    node = await world.node("n1")
    assert not await node.wait_for_purges(0.02)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(node.wait_for_purges(5.0))
        await asyncio.sleep(0)
        await world.push("removals", {"id": "m1", "campaign": "winter", "contact": "c1"})
    assert waiting.result()
    assert await node.wait_for_purges(1.0)
    await node.drain()
    assert not await node.wait_for_purges(0.02)


async def test_dead_node_leaves_calls_behind(world: World) -> None:
    one, two = await world.node("n1"), await world.node("n2")
    await one.offer([contact(1), contact(2)])
    await one.heartbeat(NOW, 5.0)
    first, second = (await Caller(one)()).granted.permits
    await one.write(
        [
            MarkLive(call=second.call, state=LiveState.DIALING, at=NOW + 1, server=None),
            MarkLive(call=second.call, state=LiveState.ANSWERED, at=NOW + 2),
        ]
    )
    assert await two.recover(NOW + 4) == []
    found = {call.call: call for call in await two.recover(NOW + 6)}
    assert set(found) == {first.call, second.call}
    assert (found[second.call].started_at, found[second.call].answered_at) == (NOW + 1, NOW + 2)
    assert found[first.call].fencing_token > second.fencing_token
    assert await two.recover(NOW + 6) == []
    # The former owner was only slow: what it says now counts no more.
    await one.write([finish(first)])
    assert await world.journal() == []
    taken = found[first.call]
    late = finish(first, outcome=Outcome.LOST)
    await two.write([type(late)(attempt=late.attempt, fencing_token=taken.fencing_token, retry_at=NOW + 9)])
    assert [entry.attempt.outcome for entry in await world.journal()] == [Outcome.LOST]
    await one.write([finish(first)])
    assert len(await world.journal()) == 1
    assert granted(await Caller(two, "x")(now=NOW + 10)) == ["c1"]


async def test_next_process_of_a_node_finds_its_calls(world: World) -> None:
    one = await world.node("n1")
    await one.offer([contact(1)])
    await one.heartbeat(NOW, 60.0)
    (permit,) = (await Caller(one)()).granted.permits
    await world.push("removals", {"id": "m1", "campaign": "winter", "contact": "c1"})
    await one.drain()
    assert await one.recover(NOW) == []
    again = await world.node("n1")
    (found,) = await again.recover(NOW)
    assert found.call == permit.call
    assert [purge.ref for purge in await again.drain()] == ["m1"]


async def test_two_nodes_never_reserve_the_same(world: World) -> None:
    nodes = [await world.node(f"n{n}") for n in range(2)]
    await nodes[0].offer([contact(n) for n in range(200)])
    seen: list[str] = []

    async def dial(index: int) -> None:
        call = Caller(nodes[index], f"n{index}")
        while found := granted(await call(7)):
            seen.extend(found)

    async with asyncio.TaskGroup() as group:
        for index in range(2):
            group.create_task(dial(index))
    assert len(seen) == len(set(seen)) == 200


async def test_rebuild_brings_everything_back_in_any_order(world: World) -> None:
    node = await world.node("n1", opened=False)
    listed = Record(
        removed=[("winter", "c2"), ("*", phone(3))],
        do_not_call=[("*", phone(4), None), ("winter", phone(6), NOW + 5)],
        finished=[(WINTER, contact(5).id)],
        counts={"fencing_token": 777},
    )
    people = Record(contacts=[(contact(n), 2, NOW + 1 if n == 1 else None) for n in range(1, 8)])
    for pages in ((listed, people), (people, listed)):
        await node.rebuild(Pages(*pages))
        assert await node.depth(WINTER) in (
            HopperDepth(ready=1, later=1, live=0),
            HopperDepth(ready=3, later=1, live=0),
        )
    reservation = await Caller(node)(now=NOW + 2)
    assert granted(reservation) == ["c1", "c7"]
    assert all(p.attempt_number == 3 and p.fencing_token > 777 for p in reservation.granted.permits)
    assert await node.offer([contact(2), contact(3), contact(5), contact(8, 4)]) == [
        Offered.REMOVED,
        Offered.REMOVED,
        Offered.FINISHED,
        Offered.DO_NOT_CALL,
    ]


async def test_attempt_from_before_a_rebuild_is_recorded_once(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1)])
    (permit,) = (await Caller(node)()).granted.permits
    await node.rebuild(Pages(Record(contacts=[(contact(1), 0, None)])))
    assert granted(await Caller(node, "x")()) == [], "it is still being called"
    await node.write([finish(permit, retry_at=NOW + 5), finish(permit, retry_at=NOW + 5)])
    assert len(await world.journal()) == 1
    assert granted(await Caller(node, "y")(now=NOW + 5)) == ["c1"]


@pytest.mark.parametrize("callback_at", [NOW + 20, NOW + 5_000])
async def test_callback_comes_instead_of_the_retry(world: World, callback_at: float) -> None:
    node = await world.node("n1")
    await node.offer([contact(1, not_before_at=NOW - 60), contact(2)])
    call = Caller(node)
    for permit in (await call()).granted.permits:
        await node.write([finish(permit, retry_at=NOW + 1_000)])
    # Pushed again as they were, or without a time: they wait for their next attempt.
    await node.offer([contact(1, not_before_at=NOW - 60), contact(2)])
    await node.offer([contact(1, name="new")])
    assert granted(await call(now=NOW + 999)) == []
    assert await node.offer([contact(1, not_before_at=callback_at)]) == [Offered.UPDATED]
    assert granted(await call(now=callback_at - 1)) == (["c2"] if callback_at > NOW + 1_000 else [])
    (permit,) = (await call(now=callback_at)).granted.permits
    assert (permit.contact, permit.attempt_number) == ("c1", 2)
    # The same callback once more says nothing new.
    await node.write([finish(permit, retry_at=callback_at + 500)])
    await node.offer([contact(1, not_before_at=callback_at)])
    assert "c1" not in granted(await call(now=callback_at + 499))
    assert "c1" in granted(await call(now=callback_at + 500))


async def test_half_a_surrogate_pair_stops_nothing(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1, name="A\ud83d", fields={"no\udc00te": ["\ud800"]})])
    (permit,) = (await Caller(node)()).granted.permits
    done = finish(permit)
    await node.write([Publish(result={"type": "call.started", "reason": "x\ud800"})])
    await node.write(
        [Finish(attempt=replace(done.attempt, reason="\udfffbusy"), fencing_token=done.fencing_token, retry_at=None)]
    )
    assert kinds(await world.results()) == ["call.started", "call.ended"]
    (entry,) = await world.journal()
    assert entry.attempt.reason.endswith("busy")


async def test_second_number_is_checked_when_its_turn_comes(world: World) -> None:
    node = await world.node("n1")
    await world.push("dnc", {"id": "d1", "op": "add", "phone": phone(12)})
    await node.drain()
    await node.offer([contact(1, 11, 12, 13)])
    call = Caller(node)
    (permit,) = (await call()).granted.permits
    assert permit.phone == phone(11)
    # Listed while the contact is being called, and while it waits.
    await node.write([finish(permit, retry_at=NOW + 10)])
    (permit,) = (await call(now=NOW + 10)).granted.permits
    assert permit.phone == phone(13)
    await world.push("dnc", {"id": "d2", "op": "add", "phone": phone(11)})
    await node.write([finish(permit, retry_at=NOW + 20)])
    (permit,) = (await call(now=NOW + 20)).granted.permits
    assert permit.phone == phone(13)
    await world.push("dnc", {"id": "d3", "op": "add", "phone": phone(13), "scope": "winter"})
    await node.drain()
    await node.write([finish(permit, retry_at=NOW + 30)])
    assert (await call(now=NOW + 30)).granted.refusals.counts == (("do_not_call", 1),)


async def test_live_contact_is_found_after_its_numbers_changed(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1, 11), contact(2, 12)])
    permits = (await Caller(node)()).granted.permits
    assert await node.offer([contact(1, 21), contact(2, 22)]) == [Offered.UPDATED] * 2
    assert await node.offer([contact(1, 31)]) == [Offered.UPDATED]
    assert granted(await Caller(node, "x")()) == [], "both are being called"
    await world.push("removals", {"id": "m1", "campaign": "winter", "contact": "c1"})
    await world.push("removals", {"id": "m2", "campaign": "winter", "contact": "c1"})
    await world.push("removals", {"id": "m3", "campaign": "winter", "phone": phone(12)})
    told = [(purge.call, purge.ref) for purge in await node.drain()]
    assert told == [(permits[0].call, "m1"), (permits[0].call, "m2"), (permits[1].call, "m3")]
    await node.write([finish(permit, retry_at=NOW + 1) for permit in permits])
    assert await node.depth(WINTER) == HopperDepth(ready=0, later=0, live=0)
    assert await node.offer([contact(1, 31), contact(2, 22)]) == [Offered.REMOVED] * 2
