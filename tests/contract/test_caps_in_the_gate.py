"""Caps and refusals at the gate: one suite, run against memory and against a real server."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from dialer.compliance.rules import CapRule, CooldownRule, KeyPart, Span
from dialer.core.ids import CallId, CampaignId, ContactId
from dialer.core.outcome import Outcome
from dialer.queues.cap_law import CapLaw, cap_law
from dialer.queues.connection import AsyncRedis
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.port import (
    AttemptMade,
    HopperDepth,
    LiveState,
    MarkLive,
    Queues,
    Record,
    Refuse,
    Release,
)
from tests.compliance_rules import cap_rule, cooldown_rule
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
HOUR = 3_600
PERSON = (KeyPart.PERSON,)
DEBT = (KeyPart.ACCOUNT, KeyPart.PERSON)
#: NOW is nine in the morning in Madrid.
MIDNIGHT = NOW - 9 * HOUR


@pytest.fixture(params=["memory", "redis"])
async def world(
    request: pytest.FixtureRequest, valkey_server: EmbeddedServer, valkey: AsyncRedis
) -> AsyncIterator[World]:
    made: World = MemoryWorld() if request.param == "memory" else RedisWorld(valkey, valkey_server.url)
    yield made
    await made.close()


def law(*rules: CapRule | CooldownRule, at: float = NOW, **more: Any) -> CapLaw:
    """The law in Madrid."""
    return cap_law(rules, at, ["Europe/Madrid"], **more)


def hourly(maximum: int, **given: Any) -> CapRule:
    """So many calls an hour."""
    return cap_rule(maximum, Span.ROLLING, HOUR, **given)


async def call_and_end(
    call: Caller, caps: CapLaw | None, now: float, *, outcome: Outcome = Outcome.BUSY, **more: Any
) -> list[str]:
    """Whoever is granted is called at once, and can be called again a second later."""
    reservation = await call(now=now, caps=caps, **more)
    permits = reservation.granted.permits
    await call.queues.write([finish(p, at=now, outcome=outcome, retry_at=now + 1) for p in permits])
    return [permit.contact for permit in permits]


def refused(reservation: Any) -> dict[str, int]:
    """Refusals by reason."""
    return dict(reservation.granted.refusals.counts)


async def test_a_number_is_called_no_more_often_than_allowed(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1)])
    call, caps = Caller(node), law(hourly(2))
    assert await call_and_end(call, caps, NOW) == ["c1"]
    assert await call_and_end(call, caps, NOW + 60) == ["c1"]
    reservation = await call(now=NOW + 120, caps=caps)
    assert (granted(reservation), refused(reservation)) == ([], {"attempt_cap": 1})
    assert await node.depth(WINTER) == HopperDepth(ready=0, later=1, live=0)
    assert granted(await call(now=NOW + HOUR - 1, caps=caps)) == []
    assert granted(await call(now=NOW + HOUR, caps=caps)) == ["c1"]
    (entry,) = await world.refusals()
    assert (entry.campaign, entry.contact, entry.phone, entry.call) == (WINTER, "c1", phone(1), "")
    assert entry.reason == "attempt_cap"
    assert entry.at == pytest.approx(NOW + 120, abs=0.5)
    said = {"rule": hourly(2).version, "country": hourly(2).jurisdiction, "count": 2, "until": NOW + HOUR}
    assert entry.evidence == {"rules": [said]}


async def test_what_does_not_count_as_an_attempt_does_not_count_for_a_cap(world: World) -> None:
    """Neither by number nor by person, and what was reserved for it is free again."""
    node = await world.node("n1")
    await node.offer([contact(1)])
    call, caps = Caller(node), law(hourly(1), hourly(1, key=PERSON))
    for k in range(3):
        (permit,) = (await call(now=NOW + k * 100, caps=caps)).granted.permits
        done = finish(permit, at=NOW + k * 100, outcome=Outcome.FAILED, retry_at=NOW + k * 100 + 50)
        await node.write([replace(done, attempt=replace(done.attempt, attempt_number=0))])
    assert await call_and_end(call, caps, NOW + 300) == ["c1"]
    assert refused(await call(now=NOW + 400, caps=caps)) == {"attempt_cap": 1}


async def test_calls_of_other_campaigns_and_without_a_law_count_for_the_number(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1)])
    await node.offer([contact(9, 1, campaign=SUMMER)])
    winter, summer, caps = Caller(node, "w"), Caller(node, "s"), law(hourly(2))
    assert await call_and_end(winter, caps, NOW) == ["c1"]
    assert await call_and_end(summer, None, NOW + 1, campaign=SUMMER) == ["c9"]
    assert refused(await winter(now=NOW + 2, caps=caps)) == {"attempt_cap": 1}


async def test_a_rest_after_what_happened(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1), contact(2)])
    call = Caller(node)
    rest = cooldown_rule(72 * HOUR, after=frozenset({Outcome.ABANDONED}), unless_agent_reserved=True)
    caps = law(rest)
    first, second = (await call(now=NOW, caps=caps)).granted.permits
    await node.write([
        finish(first, retry_at=NOW + 6, outcome=Outcome.ABANDONED), finish(second, retry_at=NOW + 6)
    ])  # fmt: skip
    reservation = await call(now=NOW + 6, caps=caps)
    assert (granted(reservation), refused(reservation)) == (["c2"], {"cooldown": 1})
    until = NOW + 5 + 72 * HOUR
    assert granted(await call(now=until - 1, caps=caps)) == []
    assert granted(await call(now=until, caps=caps)) == ["c1"]


@pytest.mark.parametrize("outcome", [Outcome.ABANDONED, Outcome.MACHINE])
async def test_each_of_several_rests_counts(world: World, outcome: Outcome) -> None:
    node = await world.node("n1")
    await node.offer([contact(1)])
    call = Caller(node)
    caps = law(*(cooldown_rule(HOUR, after=frozenset({one})) for one in (Outcome.ABANDONED, Outcome.MACHINE)))
    await call_and_end(call, caps, NOW, outcome=outcome)
    assert refused(await call(now=NOW + 60, caps=caps)) == {"cooldown": 1}


async def test_a_reserved_agent_lifts_a_rest(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1)])
    call = Caller(node)
    rest = cooldown_rule(72 * HOUR, after=frozenset({Outcome.ABANDONED}), unless_agent_reserved=True)
    await call_and_end(call, law(rest), NOW, outcome=Outcome.ABANDONED)
    assert granted(await call(now=NOW + 60, caps=law(rest, agent_reserved=True))) == ["c1"]


async def test_days_end_at_midnight_of_the_person(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1)])
    call, daily = Caller(node), cap_rule(1, Span.CALENDAR_DAYS, 1)
    assert await call_and_end(call, law(daily, at=MIDNIGHT - 10), MIDNIGHT - 10) == ["c1"]
    assert await call_and_end(call, law(daily, at=MIDNIGHT + 1), MIDNIGHT + 1) == ["c1"], "another day"
    assert refused(await call(now=NOW, caps=law(daily))) == {"attempt_cap": 1}
    tomorrow = MIDNIGHT + 24 * HOUR
    assert granted(await call(now=tomorrow - 1, caps=law(daily, at=tomorrow - 1))) == []
    assert granted(await call(now=tomorrow, caps=law(daily, at=tomorrow))) == ["c1"]


async def test_another_number_of_the_contact_is_called_where_one_is_not_free(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1, 1, 2)])
    call, caps = Caller(node), law(hourly(1))
    seen = []
    for k in range(2):
        (permit,) = (await call(now=NOW + 10 * k, caps=caps)).granted.permits
        seen.append(permit.phone)
        await node.write([finish(permit, at=NOW + 10 * k, retry_at=NOW + 10 * k + 5)])
    assert seen == [phone(1), phone(2)]
    assert refused(await call(now=NOW + 30, caps=caps)) == {"attempt_cap": 1}
    (permit,) = (await call(now=NOW + HOUR, caps=caps)).granted.permits
    assert permit.phone == phone(1), "which is free first"


async def test_a_cap_for_good_ends_the_contact(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1)])
    call, caps = Caller(node), law(cap_rule(1, Span.EVER, 0))
    await call_and_end(call, caps, NOW)
    assert refused(await call(now=NOW + 10, caps=caps)) == {"attempt_cap": 1}
    assert await node.depth(WINTER) == HopperDepth(ready=0, later=0, live=0)
    last = (await world.results())[-1]
    assert (last["type"], last["contact"], last["reason"]) == ("contact.rejected", "c1", "attempt_cap")
    assert [entry.reason for entry in await world.refusals()] == ["attempt_cap"]


@pytest.mark.parametrize("person", ["17", 17, 17.0])
async def test_all_numbers_of_a_person_count_together(world: World, person: object) -> None:
    node = await world.node("n1")
    await node.offer([contact(1, fields={"person": "17"}), contact(2, fields={"person": person}), contact(3)])
    call, caps = Caller(node), law(hourly(1, key=PERSON))
    reservation = await call(now=NOW, caps=caps)
    assert (granted(reservation), refused(reservation)) == (["c1", "c3"], {"attempt_cap": 1})
    await node.write([finish(p, retry_at=NOW + 10) for p in reservation.granted.permits])
    assert refused(await call(now=NOW + 11, caps=caps)) == {"attempt_cap": 2}
    assert (await node.depth(WINTER)).later == 3


async def test_a_debt_counts_by_account_and_person(world: World) -> None:
    node = await world.node("n1")
    names: Sequence[dict[str, object]] = [
        {"person": "17", "account": "4"},
        {"person": "17", "account": "5"},
        {"person": "18", "account": "4"},
        {"account": "4", "person": "17"},
        # A joint that is none, and names that are none.
        {"person": "17\t4", "account": ""},
        {"person": True, "account": [4]},
    ]
    await node.offer([contact(n, fields=fields) for n, fields in enumerate(names)])
    reservation = await Caller(node)(now=NOW, caps=law(hourly(1, key=DEBT)))
    assert granted(reservation) == ["c0", "c1", "c2", "c4", "c5"]


async def test_a_company_counts_its_own_calls(world: World) -> None:
    node = await world.node("n1")
    key = (KeyPart.NUMBER, KeyPart.SELLER)
    await node.offer([contact(1)])
    await node.offer([contact(9, 1, campaign=SUMMER)])
    acme, other = (law(hourly(1, key=key), seller=seller) for seller in ("acme", "other"))
    assert await call_and_end(Caller(node, "w"), acme, NOW) == ["c1"]
    assert await call_and_end(Caller(node, "s"), other, NOW + 10, campaign=SUMMER) == ["c9"]
    assert refused(await Caller(node, "x")(now=NOW + 20, caps=acme)) == {"attempt_cap": 1}


@pytest.mark.parametrize("key", [(KeyPart.NUMBER,), PERSON])
@pytest.mark.parametrize("how", ["release", "refuse", "refuse one of two"])
async def test_who_is_not_called_after_all_takes_no_place(world: World, key: tuple[KeyPart, ...], how: str) -> None:
    node = await world.node("n1")
    person = {"person": "17"}
    await node.offer([contact(1, *((1, 5) if "two" in how else (1,)), fields=person), contact(2, fields=person)])
    call, caps = Caller(node), law(hourly(1, key=key))
    permits = (await call(1, now=NOW, caps=caps)).granted.permits
    (permit,) = permits
    back = (
        Release(permit=permit, not_before_at=NOW + 60)
        if how == "release"
        else Refuse(permit=permit, reason="registry", evidence={})
    )
    await node.write([back, back])
    # By person it is the one place; by number each has its own.
    assert granted(await call(1, now=NOW, caps=caps)) == ["c1" if "two" in how else "c2"]


async def test_who_is_under_way_takes_a_place_through_a_crash(world: World) -> None:
    one, two = await world.node("n1"), await world.node("n2")
    await one.offer([contact(n, fields={"person": "17"}) for n in (1, 2)])
    caps = law(hourly(1, key=PERSON))
    (permit,) = (await Caller(one)(1, now=NOW, caps=caps)).granted.permits
    await one.write([MarkLive(call=permit.call, state=LiveState.DIALING, at=NOW)])
    (found,) = await two.recover(NOW + 60)
    assert refused(await Caller(two, "x")(now=NOW + 60, caps=caps)) == {"attempt_cap": 1}
    lost = finish(permit, outcome=Outcome.LOST, retry_at=NOW + 61)
    await two.write([type(lost)(attempt=lost.attempt, fencing_token=found.fencing_token, retry_at=lost.retry_at)])
    # Lost counts, but once: an hour after its start both could be called, if that were not one too many.
    assert granted(await Caller(two, "y")(now=NOW + HOUR - 1, caps=caps)) == []
    assert len(granted(await Caller(two, "z")(now=NOW + HOUR + 1, caps=caps))) == 1


async def test_an_outcome_that_does_not_count_gives_the_place_back(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(n, fields={"person": "17"}) for n in (1, 2)])
    call, caps = Caller(node), law(hourly(1, key=PERSON, except_outcomes=frozenset({Outcome.FAILED})))
    (permit,) = (await call(1, now=NOW, caps=caps)).granted.permits
    assert refused(await call(now=NOW, caps=caps)) == {"attempt_cap": 1}
    await node.write([finish(permit, outcome=Outcome.FAILED, retry_at=NOW + 1)])
    assert granted(await call(now=NOW + 2, caps=caps)) == ["c1"]


@pytest.mark.parametrize("key", [(KeyPart.NUMBER,), DEBT])
async def test_two_nodes_never_take_the_same_last_place(world: World, key: tuple[KeyPart, ...]) -> None:
    nodes = [await world.node(f"n{n}") for n in range(2)]
    ids = range(40)
    # Forty contacts of four numbers and four accounts, three calls an hour for each.
    await nodes[0].offer([
        contact(n, n % 4 if key != DEBT else n, fields={"account": n % 4, "person": n % 4}) for n in ids
    ])  # fmt: skip
    caps, dialed = law(hourly(3, key=key)), list[int]()

    async def dial(queues: Queues, name: str, turns: Iterable[int]) -> None:
        call = Caller(queues, name)
        for k in turns:
            now = NOW + 31 * k
            for permit in (await call(7, now=now, caps=caps)).granted.permits:
                dialed.append(int(permit.contact[1:]) % 4)
                await queues.write([finish(permit, at=now, retry_at=now + 1)])

    async with asyncio.TaskGroup() as group:
        for n, queues in enumerate(nodes):
            group.create_task(dial(queues, f"n{n}", range(12)))
    assert max(Counter(dialed).values()) <= 3
    # Whoever was put off because the other node had the number takes what is left.
    await dial(nodes[0], "rest", range(12, 24))
    assert sorted(dialed) == sorted([*range(4)] * 3)


async def test_a_refused_number_leaves_the_contact(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1, 1, 2, 3)])
    call, evidence = Caller(node), {"registry": "robinson", "version": 7}
    for left in (2, 1, 0):
        (permit,) = (await call(now=NOW)).granted.permits
        assert permit.phone == phone(3 - left)
        assert permit.attempt_number == 1
        refuse = Refuse(permit=permit, reason="registry", evidence=evidence)
        await node.write([refuse, refuse])
        assert await node.depth(WINTER) == HopperDepth(ready=min(left, 1), later=0, live=0)
    assert [(r["type"], r["contact"], r["phone"], r["reason"]) for r in await world.results()] == [
        ("contact.rejected", "c1", phone(3), "registry")
    ]
    entries = await world.refusals()
    assert [(e.phone, e.reason, e.evidence, e.contact) for e in entries] == [
        (phone(n), "registry", evidence, "c1") for n in (1, 2, 3)
    ]
    assert [e.call for e in entries] == ["k-0", "k-10", "k-20"]
    assert all(e.at == pytest.approx(NOW, abs=0.5) for e in entries)


async def test_a_number_behind_the_refused_one_is_asked_about(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1, 1, 2, 3)])
    await world.push("dnc", {"id": "d1", "op": "add", "phone": phone(2)})
    (permit,) = (await Caller(node)(now=NOW)).granted.permits
    await node.write([Refuse(permit=permit, reason="registry", evidence={})])
    (permit,) = (await Caller(node, "x")(now=NOW)).granted.permits
    assert permit.phone == phone(3)


async def test_a_dialed_call_is_not_refused(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1)])
    (permit,) = (await Caller(node)(now=NOW)).granted.permits
    dialing = MarkLive(call=permit.call, state=LiveState.DIALING, at=NOW)
    await node.write([dialing, Refuse(permit=permit, reason="registry", evidence={})])
    assert await node.depth(WINTER) == HopperDepth(ready=0, later=0, live=1)
    assert await world.refusals() == []
    await node.write([finish(permit, retry_at=NOW + 1)])
    await node.write([Refuse(permit=permit, reason="registry", evidence={})])
    assert granted(await Caller(node, "x")(now=NOW + 1)) == ["c1"]


async def test_a_removal_of_whom_the_law_refuses_is_answered(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1)])
    (permit,) = (await Caller(node)(now=NOW)).granted.permits
    await world.push("removals", {"id": "m1", "campaign": "winter", "contact": "c1"})
    await node.drain()
    await node.write([Refuse(permit=permit, reason="registry", evidence={})])
    assert kinds(await world.results()) == ["removal.applied"]


async def test_a_release_with_evidence_is_on_record(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1), contact(2, 2, expires_at=NOW - 1)])
    (permit,) = (await Caller(node)(now=NOW)).granted.permits
    back = Release(permit=permit, not_before_at=NOW + 60, reason="hours", evidence={"hours": ["closed", {"ñ": 1.5}]})
    await node.write([back, back, Release(permit=permit)])
    expired, hours = await world.refusals()
    assert (expired.contact, expired.reason, expired.evidence) == ("c2", "expired", {"expires_at": NOW - 1})
    assert (hours.call, hours.reason, hours.evidence) == (permit.call, "hours", back.evidence)
    assert await node.depth(WINTER) == HopperDepth(ready=0, later=1, live=0)


async def test_do_not_call_is_on_record(world: World) -> None:
    node = await world.node("n1")
    await node.offer([contact(1)])
    await world.push("dnc", {"id": "d1", "op": "add", "phone": phone(1)})
    await Caller(node)(now=NOW)
    assert [(e.contact, e.phone, e.reason) for e in await world.refusals()] == [("c1", phone(1), "do_not_call")]


async def test_ledgers_are_rebuilt_from_the_record(world: World) -> None:
    node = await world.node("n1", opened=False)
    rules = (hourly(2), hourly(3, key=PERSON), cooldown_rule(HOUR, after=frozenset({Outcome.CONNECTED})))
    caps = law(*rules)
    made = [
        AttemptMade(
            campaign=WINTER, contact=ContactId(f"c{n}"), phone=phone(n), started_at=NOW - ago, ended_at=NOW - ago + 5,
            outcome=outcome, fields={"person": "17"} if n > 2 else {},
        )
        for n, ago, outcome in (
            (1, 100, Outcome.BUSY), (1, 50, Outcome.BUSY), (2, 100, Outcome.CONNECTED),
            # Two of one moment, and another.
            (3, 100, Outcome.BUSY), (4, 100, Outcome.BUSY), (4, 2 * HOUR, Outcome.BUSY), (5, 30, Outcome.BUSY),
        )
    ]  # fmt: skip
    people = [(contact(n, fields={"person": "17"} if n > 2 else {}), 1, None) for n in range(1, 7)]
    pages = (Record(attempts_made=made, laws={WINTER: caps}), Record(contacts=[*people, (contact(9), 0, None)]))
    for order in (pages, pages[::-1]):
        await node.rebuild(Pages(*order))
    reservation = await Caller(node)(now=NOW, caps=caps)
    assert (granted(reservation), refused(reservation)) == (["c9"], {"attempt_cap": 5, "cooldown": 1})
    # The oldest of the three calls of a person, and that of c1 and c2.
    reservation = await Caller(node, "x")(now=NOW + HOUR - 50, caps=caps)
    assert granted(reservation) == ["c1", "c2", "c3", "c4"]


async def test_a_call_under_way_is_known_after_a_rebuild(
    own_valkey: EmbeddedServer,
) -> None:
    world = RedisWorld(None, own_valkey.url)  # type: ignore[arg-type]  # no client of the test's own
    node = await world.node("n1")
    people = [contact(n, fields={"person": "17"}) for n in (1, 2, 3)]
    await node.offer(people)
    caps = law(hourly(2, key=PERSON))
    first, second = (await Caller(node)(now=NOW, caps=caps)).granted.permits
    await node.write([MarkLive(call=second.call, state=LiveState.DIALING, at=NOW)])
    await node._link.client.flushall()
    await node.rebuild(Pages(Record(contacts=[(one, 0, None) for one in people], laws={WINTER: caps})))
    assert refused(await Caller(node, "x")(now=NOW, caps=caps)) == {"attempt_cap": 1}
    await node.write([finish(first, retry_at=NOW + 9), Release(permit=first), finish(second, retry_at=NOW + 9)])
    assert refused(await Caller(node, "y")(now=NOW + 100, caps=caps)) == {"attempt_cap": 2}
    assert (await node.depth(WINTER)).live == 0
    assert granted(await Caller(node, "z")(now=NOW + HOUR + 2, caps=caps)) == ["c1", "c2"]
    await world.close()


async def test_a_lost_answer_gives_the_places_back(valkey: AsyncRedis, valkey_server: EmbeddedServer) -> None:
    world = RedisWorld(valkey, valkey_server.url)
    node = await world.node("n1")
    await node.offer([contact(n, fields={"person": "17"}) for n in (1, 2)])
    caps = law(hourly(2, key=PERSON))
    await Caller(node)(now=NOW, caps=caps)
    node._calls.doubtful.extend([CallId("never"), *node._calls.reserved])
    assert granted(await Caller(node, "x")(now=NOW, caps=caps)) == ["c1", "c2"]
    await world.close()
