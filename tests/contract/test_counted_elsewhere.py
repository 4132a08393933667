"""Refusals told to an agent and calls that a CRM made: the gate counts them, in both adapters and after a rebuild."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import pytest

from dialer.compliance.caps import OUTCOME_FACTS, Facts
from dialer.compliance.rules import KeyPart, Span
from dialer.core.outcome import Outcome
from dialer.queues.cap_law import CapLaw, cap_law
from dialer.queues.connection import AsyncRedis
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.port import AttemptMade, Counted, Record
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
    phone,
)

DAY = 86_400
HOUR = 3_600
#: As in France: 60 days without a call after a refusal, by company and person.
REST = replace(cooldown_rule(60 * DAY, key=(KeyPart.SELLER, KeyPart.PERSON)), after_refusal=True)


@pytest.fixture(params=["memory", "redis"])
async def world(
    request: pytest.FixtureRequest, valkey_server: EmbeddedServer, valkey: AsyncRedis
) -> AsyncIterator[World]:
    made: World = MemoryWorld() if request.param == "memory" else RedisWorld(valkey, valkey_server.url)
    yield made
    await made.close()


def law(*rules: object) -> CapLaw:
    return cap_law(rules, NOW, ["Europe/Paris"], seller="acme")  # type: ignore[arg-type]


def counted(
    n: int, facts: Facts, at: float, *, lasted: float = 60.0, fields: Mapping[str, object] | None = None
) -> Counted:
    return Counted(
        campaign=WINTER,
        phone=phone(n),
        started_at=at,
        ended_at=at + lasted,
        facts=facts,
        fields=fields or {},
        seller="acme",
    )


async def test_a_refusal_begins_the_rest_of_the_law(world: World) -> None:
    queues = await world.node("n1")
    ana = {"person": "ana"}
    await queues.offer([contact(1, 1, 2, fields=ana), contact(3, fields={"person": "ben"})])
    call = Caller(queues)
    for permit in (await call(2, caps=law(REST))).granted.permits:
        await queues.write([finish(permit, at=NOW, retry_at=NOW + 1, outcome=Outcome.CONNECTED)])
    await queues.count(counted(1, Facts.REFUSED, NOW, fields=ana), NOW + 60)
    assert granted(await call(2, now=NOW + HOUR, caps=law(REST))) == ["c3"], "under none of her numbers"
    assert granted(await call(2, now=NOW + 61 * DAY, caps=law(REST))) == ["c1"]


async def test_told_twice_it_is_one_refusal_and_one_call(world: World) -> None:
    queues = await world.node("n1")
    two = cap_rule(2, Span.ROLLING, HOUR)
    await queues.offer([contact(1)])
    call = Caller(queues)
    [permit] = (await call(1, caps=law(two))).granted.permits
    await queues.write([finish(permit, at=NOW, retry_at=NOW + 1, outcome=Outcome.CONNECTED)])
    for _ in range(3):
        await queues.count(counted(1, Facts.REFUSED, NOW, lasted=0.0), NOW)
    assert granted(await call(1, now=NOW + 5, caps=law(two))) == ["c1"]


async def test_a_call_of_the_crm_takes_a_place(world: World) -> None:
    queues = await world.node("n1")
    three = cap_rule(3, Span.ROLLING, HOUR)
    await queues.offer([contact(1), contact(2)])
    call = Caller(queues)
    assert granted(await call(1, now=NOW - 2 * HOUR, caps=law(three))) == ["c1"], "from now on the rule is known"
    for _ in range(3):
        await queues.count(counted(2, OUTCOME_FACTS[Outcome.BUSY], NOW - 60), NOW)
    await queues.count(counted(2, OUTCOME_FACTS[Outcome.BUSY], NOW - 120), NOW)
    assert granted(await call(1, caps=law(three))) == ["c2"], "what comes again is one call: two of three"


@pytest.mark.parametrize(
    ("facts", "called"),
    [
        (OUTCOME_FACTS[Outcome.CONNECTED], []),
        (OUTCOME_FACTS[Outcome.BUSY], []),
        (OUTCOME_FACTS[Outcome.CONNECTED] | Facts.INBOUND, ["c2"]),
    ],
)
async def test_who_called_us_was_not_called(world: World, facts: Facts, called: list[str]) -> None:
    queues = await world.node("n1")
    one = cap_rule(1, Span.ROLLING, HOUR)
    await queues.offer([contact(1), contact(2)])
    call = Caller(queues)
    await call(1, now=NOW - 2 * HOUR, caps=law(one))
    await queues.count(counted(2, facts, NOW - 60), NOW)
    assert granted(await call(1, caps=law(one))) == called


async def test_a_talk_that_they_began_starts_the_rest_after_a_talk(world: World) -> None:
    queues = await world.node("n1")
    rest = replace(cooldown_rule(7 * DAY, after=frozenset({Outcome.CONNECTED})), after_inbound=True)
    await queues.offer([contact(1), contact(2)])
    call = Caller(queues)
    await call(1, now=NOW - 2 * HOUR, caps=law(rest))
    await queues.count(counted(2, OUTCOME_FACTS[Outcome.CONNECTED] | Facts.INBOUND, NOW - 60), NOW)
    assert granted(await call(1, caps=law(rest))) == []


async def test_refusals_and_persons_are_known_after_a_rebuild(world: World) -> None:
    queues = await world.node("n1")
    made = AttemptMade(
        campaign=WINTER,
        contact=contact(1).id,
        phone=phone(1),
        started_at=NOW - DAY,
        ended_at=NOW - DAY + 60,
        outcome=Outcome.CONNECTED,
        fields={"person": "ana"},
        more=Facts.REFUSED,
    )
    other = contact(9, fields={"person": "ana"})
    pages = Pages(
        Record(attempts_made=[made], laws={WINTER: law(REST)}),
        Record(contacts=[(other, 0, None), (contact(2), 0, None)]),
    )
    await queues.rebuild(pages)
    assert granted(await Caller(queues)(5, caps=law(REST))) == ["c2"]
