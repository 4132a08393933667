"""Contacts that are called with an agent reserved: what every adapter of the queues' port does with them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from dialer.compliance.rules import Span
from dialer.core.contact import Contact
from dialer.core.ids import AgentId, CampaignId, ContactId
from dialer.core.outcome import Outcome
from dialer.core.promise import Due, Promise
from dialer.errors import GateNotReady
from dialer.queues.cap_law import cap_law
from dialer.queues.connection import AsyncRedis
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.port import HopperDepth, Offered, Queues, Record, Refuse, Release, Reservation
from tests.compliance_rules import cap_rule
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
ANA = AgentId("ana")
HOUR = 3_600.0


@pytest.fixture(params=["memory", "redis"])
async def world(
    request: pytest.FixtureRequest,
    valkey_server: EmbeddedServer,
    valkey: AsyncRedis,
) -> AsyncIterator[World]:
    made: World = MemoryWorld() if request.param == "memory" else RedisWorld(valkey, valkey_server.url)
    yield made
    await made.close()


def promise(n: int, *, at: float = NOW, agent: AgentId | None = ANA) -> Promise:
    """Contact n is promised a call."""
    return Promise(
        campaign=WINTER, contact=ContactId(f"c{n}"), at=at, agent=agent, fallback_at=at + HOUR, until_at=at + 2 * HOUR
    )


def due(n: int, *, at: float = NOW, agent: AgentId | None = ANA) -> Due:
    """The same as it is told when it is due."""
    return Due(contact=ContactId(f"c{n}"), agent=agent, due_at=at, until_at=at + 2 * HOUR)


class Named:
    """Asks for contacts by name, with call ids of its own."""

    def __init__(self, queues: Queues, name: str = "named") -> None:
        self._caller = Caller(queues, name)

    @asynccontextmanager
    async def holding(self, n: int, now: float = NOW, **more: object) -> AsyncIterator[Reservation]:
        (call,) = self._caller.calls(1)
        reserve = self._caller.queues.reserve_contact
        async with reserve(WINTER, ContactId(f"c{n}"), call, now, **more) as reservation:  # type: ignore[arg-type]
            yield reservation

    async def __call__(self, n: int, now: float = NOW, **more: object) -> Reservation:
        async with self.holding(n, now, **more) as reservation:
            return reservation


def refused(reservation: Reservation) -> tuple[str, object]:
    """Why nothing was granted, and when to ask again."""
    assert not reservation.granted.permits
    ((reason, count),) = reservation.granted.refusals.counts
    assert count == 1
    return reason, reservation.retry_at


async def promised(node: Queues, n: int, *, at: float = NOW, agent: AgentId | None = ANA) -> Offered:
    """Contact n is offered with a promise."""
    made = contact(n, not_before_at=at)
    return await node.promise(made, promise(n, at=at, agent=agent))


async def test_a_contact_by_name_is_taken_from_wherever_it_waits(world: World) -> None:
    node = await world.node("n1")
    ask = Named(node)
    await node.offer([contact(1), contact(2), contact(3, not_before_at=NOW + HOUR)])
    await promised(node, 4)
    assert await node.due_for_agents(WINTER, NOW) == [due(4)]
    for n in (2, 3, 4):
        reservation = await ask(n)
        assert granted(reservation) == [f"c{n}"]
        assert reservation.granted.permits[0].phone == phone(n)
        assert reservation.waited_until == (NOW + HOUR if n == 3 else None)
        assert not reservation.lent
    assert await node.depth(WINTER) == HopperDepth(ready=1, later=0, live=3)
    assert refused(await ask(4)) == ("live", None)
    assert refused(await ask(9)) == ("unknown", None)
    assert granted(await Caller(node)()) == ["c1"]


async def test_the_gate_is_as_shut_for_one_as_for_many(world: World) -> None:
    node = await world.node("n1", opened=False)
    with pytest.raises(GateNotReady):
        await Named(node)(1)
    with pytest.raises(GateNotReady):
        await node.due_for_agents(WINTER, NOW)
    with pytest.raises(GateNotReady):
        await promised(node, 1)
    with pytest.raises(GateNotReady):
        await node.lend(contact(1))


async def test_a_promised_contact_is_nobodys_who_does_not_ask_for_it(world: World) -> None:
    node = await world.node("n1")
    assert await promised(node, 1, at=NOW + 10) is Offered.ADDED
    assert await node.depth(WINTER) == HopperDepth(ready=0, later=1, live=0)
    assert await node.due_for_agents(WINTER, NOW) == []
    assert granted(await Caller(node)(now=NOW + 20)) == []
    assert await node.depth(WINTER) == HopperDepth(ready=0, later=0, live=0, reserved=1)
    assert await node.due_for_agents(WINTER, NOW + 20) == [due(1, at=NOW + 10)]
    assert await node.due_for_agents(WINTER, NOW + 20, limit=0) == []
    assert granted(await Named(node)(1, NOW + 20)) == ["c1"]


async def test_the_oldest_promise_comes_first_and_falls_back_to_anybody(world: World) -> None:
    node = await world.node("n1")
    await promised(node, 1, at=NOW - 10)
    await promised(node, 2, at=NOW - HOUR)
    await promised(node, 3, at=NOW - 20, agent=None)
    assert await node.due_for_agents(WINTER, NOW) == [
        due(2, at=NOW - HOUR, agent=None),
        due(3, at=NOW - 20, agent=None),
        due(1, at=NOW - 10),
    ]
    assert len(await node.due_for_agents(WINTER, NOW, limit=2)) == 2


async def test_a_push_of_the_list_does_not_undo_a_promise(world: World) -> None:
    node = await world.node("n1")
    await promised(node, 1, at=NOW + HOUR)
    await promised(node, 2)
    assert await node.due_for_agents(WINTER, NOW) == [due(2)]
    assert await node.offer([contact(1), contact(2)]) == [Offered.UPDATED] * 2
    assert granted(await Caller(node)()) == []
    assert await node.due_for_agents(WINTER, NOW) == [due(2)]
    assert await node.depth(WINTER) == HopperDepth(ready=0, later=1, live=0, reserved=1)


async def test_what_was_promised_stays_so_until_it_is_kept(world: World) -> None:
    node = await world.node("n1")
    ask = Named(node)
    await promised(node, 1)
    (permit,) = (await ask(1)).granted.permits
    await node.write([finish(permit, retry_at=NOW + 60)])
    assert await node.due_for_agents(WINTER, NOW + 30) == []
    assert await node.due_for_agents(WINTER, NOW + 60) == [replace(due(1), due_at=NOW + 60)]
    assert (await node.due_for_agents(WINTER, NOW + HOUR))[0].agent is None
    (permit,) = (await ask(1, NOW + 60)).granted.permits
    assert permit.attempt_number == 2
    await node.write([finish(permit, outcome=Outcome.CONNECTED)])
    assert await node.due_for_agents(WINTER, NOW + HOUR) == []
    assert refused(await ask(1)) == ("finished", None)
    assert await node.offer([contact(1)]) == [Offered.FINISHED]


async def test_a_permit_given_back_leaves_the_promise_as_it_was(world: World) -> None:
    node = await world.node("n1")
    ask = Named(node)
    await promised(node, 1)
    (permit,) = (await ask(1)).granted.permits
    await node.write([Release(permit=permit)])
    assert await node.due_for_agents(WINTER, NOW) == [due(1)]
    (permit,) = (await ask(1)).granted.permits
    await node.write([Release(permit=permit, not_before_at=NOW + 60)])
    assert await node.due_for_agents(WINTER, NOW + 59) == []
    assert await node.due_for_agents(WINTER, NOW + 60) == [due(1)]
    assert granted(await Caller(node)(now=NOW + 60)) == []


async def test_a_number_that_must_not_be_called_leaves_the_promise_for_the_others(world: World) -> None:
    node = await world.node("n1")
    ask = Named(node)
    made = contact(1, 1, 2, not_before_at=NOW)
    await node.promise(made, promise(1))
    (permit,) = (await ask(1)).granted.permits
    await node.write([Refuse(permit=permit, reason="registry", evidence={})])
    assert await node.due_for_agents(WINTER, NOW) == [due(1)]
    (permit,) = (await ask(1)).granted.permits
    assert permit.phone == phone(2)
    await node.write([Refuse(permit=permit, reason="registry", evidence={})])
    assert await node.due_for_agents(WINTER, NOW) == []
    assert refused(await ask(1)) == ("unknown", None)


async def test_a_callback_agreed_in_the_talk_is_kept_though_the_call_ends_the_contact(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1, 1, 2)])
    (permit,) = (await Caller(node)()).granted.permits
    agreed = contact(1, 2, 1, not_before_at=NOW + HOUR)
    assert await node.promise(agreed, promise(1, at=NOW + HOUR)) is Offered.UPDATED
    assert await node.depth(WINTER) == HopperDepth(ready=0, later=0, live=1)
    await node.write([finish(permit, outcome=Outcome.CONNECTED)])
    assert await node.depth(WINTER) == HopperDepth(ready=0, later=1, live=0)
    assert await node.due_for_agents(WINTER, NOW + HOUR) == [due(1, at=NOW + HOUR)]
    (permit,) = (await Named(node)(1, NOW + HOUR)).granted.permits
    assert (permit.phone, permit.attempt_number) == (phone(2), 2)


async def test_a_callback_agreed_while_it_rings_comes_instead_of_the_retry(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1)])
    (permit,) = (await Caller(node)()).granted.permits
    await promised(node, 1, at=NOW + HOUR)
    await node.write([finish(permit, retry_at=NOW + 60)])
    assert granted(await Caller(node)(now=NOW + 120)) == []
    assert await node.due_for_agents(WINTER, NOW + HOUR) == [due(1, at=NOW + HOUR)]


async def test_a_callback_to_somebody_called_to_the_end_opens_the_contact_again(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1)])
    (permit,) = (await Caller(node)()).granted.permits
    await node.write([finish(permit, outcome=Outcome.CONNECTED)])
    # However old what the record knows of its attempts.
    assert await node.promise(contact(1), promise(1), attempts=0) is Offered.ADDED
    assert await node.due_for_agents(WINTER, NOW) == [due(1)]
    (permit,) = (await Named(node)(1)).granted.permits
    assert permit.attempt_number == 2


async def test_whoever_was_abandoned_is_called_with_an_agent(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1)])
    (permit,) = (await Caller(node)()).granted.permits
    await node.write([replace(finish(permit, retry_at=NOW + 60, outcome=Outcome.ABANDONED), needs_agent=True)])
    assert granted(await Caller(node)(now=NOW + 60)) == []
    (found,) = await node.due_for_agents(WINTER, NOW + 60)
    assert (found.contact, found.agent, found.due_at) == ("c1", None, NOW + 60)
    assert granted(await Named(node)(1, NOW + 60)) == ["c1"]


async def test_a_removal_is_final_for_what_was_promised(world: World) -> None:
    node = await world.node("n1")
    await promised(node, 1)
    await promised(node, 2, at=NOW + HOUR)
    await promised(node, 3)
    assert len(await node.due_for_agents(WINTER, NOW)) == 2
    for n in (1, 2):
        await world.push("removals", {"id": f"r{n}", "campaign": "winter", "contact": f"c{n}"})
    await world.push("removals", {"id": "r3", "campaign": "*", "phone": phone(3)})
    ask = Named(node)
    assert refused(await ask(1)) == ("removed", None)
    assert refused(await ask(2)) == ("removed", None)
    assert refused(await ask(3)) == ("removed", None)
    assert await node.due_for_agents(WINTER, NOW + HOUR) == []
    assert await promised(node, 1) is Offered.REMOVED
    assert await promised(node, 3) is Offered.REMOVED
    assert await node.lend(contact(1)) is Offered.REMOVED
    assert await node.lend(contact(9, 3)) is Offered.REMOVED
    assert refused(await ask(1)) == ("removed", None)
    assert kinds(await world.results()) == ["removal.applied"] * 3


async def test_a_removal_between_due_and_permit_wins(world: World) -> None:
    node = await world.node("n1")
    await promised(node, 1)
    (found,) = await node.due_for_agents(WINTER, NOW)
    await world.push("removals", {"id": "r1", "campaign": "winter", "contact": found.contact})
    assert refused(await Named(node)(1)) == ("removed", None)


async def test_a_do_not_call_entry_is_asked_about_for_one_as_for_many(world: World) -> None:
    node = await world.node("n1")
    await promised(node, 1)
    await world.push("dnc", {"id": "d1", "op": "add", "phone": phone(1), "scope": "*"})
    assert refused(await Named(node)(1)) == ("do_not_call", None)
    assert await node.due_for_agents(WINTER, NOW) == []
    assert await node.lend(contact(2, 1)) is Offered.ADDED
    assert refused(await Named(node)(2)) == ("do_not_call", None)
    assert [entry.reason for entry in await world.refusals()] == ["do_not_call"] * 2


async def test_no_write_is_acknowledged_while_one_permit_is_handed_over(world: World) -> None:
    node = await world.node("n1")
    await promised(node, 1)
    acknowledged: list[float] = []
    began = time.monotonic()
    async with Named(node).holding(1, lease_s=1.0) as reservation:
        assert granted(reservation) == ["c1"]
        removal = asyncio.ensure_future(world.push("removals", {"id": "r1", "campaign": "winter", "contact": "c1"}))
        removal.add_done_callback(lambda _: acknowledged.append(time.monotonic()))
        await asyncio.wait([removal], timeout=0.1)
        over = time.monotonic()
    await removal
    await asyncio.sleep(0)
    # On a machine that stands still for so long it may run out before.
    assert acknowledged[0] >= min(over, began + 0.99)
    (purge,) = await node.drain()
    assert purge.call == reservation.granted.permits[0].call


async def test_a_number_that_is_being_called_puts_the_promise_off(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1, 7)])
    assert granted(await Caller(node)()) == ["c1"]
    await node.promise(contact(2, 7), promise(2))
    assert refused(await Named(node)(2)) == ("number_live", pytest.approx(NOW + 30, abs=1))
    assert await node.due_for_agents(WINTER, NOW + 29) == []
    assert await node.due_for_agents(WINTER, NOW + 31) == [due(2)]


async def test_caps_count_for_one_as_for_many_and_bring_no_time_forward(world: World) -> None:
    node = await world.node("n1")
    law = cap_law([cap_rule(1, Span.ROLLING, 86_400)], NOW, ["Europe/Madrid"])
    await node.offer([contact(1)])
    (permit,) = (await Caller(node)(caps=law)).granted.permits
    await node.write([finish(permit, retry_at=NOW + 100_000)])
    reservation = await Named(node)(1, NOW + 60, caps=law)
    assert refused(reservation) == ("attempt_cap", pytest.approx(NOW + 86_400, abs=10))
    assert granted(await Caller(node)(now=NOW + 90_000, caps=law)) == []
    assert granted(await Caller(node)(now=NOW + 100_000, caps=law)) == ["c1"]


async def test_one_number_of_several_is_asked_for_and_says_nothing_of_the_others(world: World) -> None:
    node = await world.node("n1")
    ask, law = Named(node), cap_law([cap_rule(1, Span.ROLLING, 86_400)], NOW, ["Europe/Madrid"])
    await node.offer([contact(1, 1, 2, 3), contact(2, 3)])
    assert await node.holders(phone(3)) == [(WINTER, "c1"), (WINTER, "c2")]
    assert await node.holders(phone(4)) == []
    assert refused(await ask(1, phone=phone(9))) == ("unknown_phone", None)
    (permit,) = (await ask(1, phone=phone(2), caps=law)).granted.permits
    assert permit.phone == phone(2)
    await node.write([finish(permit, retry_at=NOW)])
    assert refused(await ask(1, phone=phone(2), caps=law)) == ("attempt_cap", pytest.approx(NOW + 86_400, abs=10))
    await world.push("dnc", {"id": "d1", "op": "add", "phone": phone(3), "scope": "*"})
    assert refused(await ask(1, phone=phone(3), caps=law)) == ("do_not_call", None)
    (permit,) = (await Caller(node)(1, caps=law)).granted.permits
    assert (permit.contact, permit.phone) == ("c1", phone(1))
    assert refused(await ask(1, phone=phone(1))) == ("live", None)


async def test_a_contact_is_lent_for_one_call_and_done_with_it(world: World) -> None:
    node = await world.node("n1")
    ask = Named(node)
    made = Contact(campaign=WINTER, id=ContactId("c1"), phones=(phone(1),), name="Ana", fields={"k": 1})
    for number, retry_at in ((4, None), (5, NOW + 60)):
        assert await node.lend(made, attempts=3) is Offered.ADDED
        assert granted(await Caller(node)()) == []
        assert await node.due_for_agents(WINTER, NOW) == []
        reservation = await ask(1)
        assert reservation.lent
        (permit,) = reservation.granted.permits
        assert (permit.name, permit.attempt_number, dict(permit.fields)) == ("Ana", number, {"k": 1})
        assert await node.lend(made) is Offered.UPDATED
        await node.write([finish(permit, retry_at=retry_at)])
        assert await node.depth(WINTER) == HopperDepth(ready=0, later=0, live=0)
        assert refused(await ask(1)) == ("finished", None)
    assert await node.lend(made) is Offered.ADDED
    (permit,) = (await ask(1)).granted.permits
    await node.write([Release(permit=permit, not_before_at=NOW + 5)])
    assert refused(await ask(1, NOW + 10)) == ("finished", None)
    assert await node.offer([made]) == [Offered.FINISHED]


@pytest.mark.parametrize("scope", ["winter", "*"])
async def test_a_removal_by_number_finds_a_contact_that_is_lent(world: World, scope: str) -> None:
    node = await world.node("n1")
    await node.lend(contact(1, 1, 2))
    await world.push("removals", {"id": "r1", "campaign": scope, "phone": phone(2)})
    assert refused(await Named(node)(1)) == ("removed", None)
    assert await node.lend(contact(1, 1, 2)) is Offered.REMOVED


async def test_a_contact_that_waits_is_not_lent(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1)])
    assert await node.lend(contact(1)) is Offered.UPDATED
    assert granted(await Caller(node)()) == ["c1"]
    assert await node.lend(contact(1)) is Offered.UPDATED


async def test_a_callback_agreed_in_a_lent_call_is_kept(world: World) -> None:
    node = await world.node("n1")
    await node.lend(contact(1))
    (permit,) = (await Named(node)(1)).granted.permits
    assert await promised(node, 1, at=NOW + HOUR) is Offered.UPDATED
    await node.write([finish(permit, outcome=Outcome.CONNECTED)])
    assert await node.due_for_agents(WINTER, NOW + HOUR) == [due(1, at=NOW + HOUR)]


async def test_two_nodes_ask_for_one_contact_and_one_gets_it(world: World) -> None:
    one, two = await world.node("n1"), await world.node("n2")
    await promised(one, 1, agent=None)
    found = [await node.due_for_agents(WINTER, NOW) for node in (one, two)]
    assert found[0] == found[1] == [due(1, agent=None)]
    first, second = await asyncio.gather(Named(one, "a")(1), Named(two, "b")(1))
    assert sorted(len(each.granted.permits) for each in (first, second)) == [0, 1]


async def test_a_node_that_dies_with_a_hold_leaves_a_call_to_recover(world: World) -> None:
    one = await world.node("n1")
    await one.heartbeat(NOW, 5.0)
    await promised(one, 1)
    (permit,) = (await Named(one)(1)).granted.permits
    two = await world.node("n2")
    (call,) = await two.recover(NOW + 60)
    assert (call.call, call.contact) == (permit.call, "c1")
    await two.write(
        [finish(replace(permit, fencing_token=call.fencing_token), retry_at=NOW + 90, outcome=Outcome.LOST)]
    )
    assert await two.due_for_agents(WINTER, NOW + 90) == [replace(due(1), due_at=NOW + 90)]


async def test_promises_survive_the_loss_of_the_server(world: World) -> None:
    node = await world.node("n1", opened=False)
    await node.rebuild(
        Pages(
            Record(removed=[("winter", "c3")]),
            Record(promises=[promise(1), promise(2, at=NOW + HOUR), promise(3), promise(4)]),
            Record(
                contacts=[
                    (contact(1), 2, NOW + 60),
                    (contact(2), 0, None),
                    (contact(3), 0, None),
                    (contact(5), 0, None),
                ],
                finished=[(WINTER, ContactId("c4"))],
            ),
        )
    )
    assert await node.due_for_agents(WINTER, NOW) == [due(1)]
    assert granted(await Caller(node)()) == ["c5"]
    assert await node.due_for_agents(WINTER, NOW + HOUR) == [
        replace(due(1), agent=None),
        due(2, at=NOW + HOUR),
    ]
    (permit,) = (await Named(node)(1)).granted.permits
    assert permit.attempt_number == 3
