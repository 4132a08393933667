"""Caps by the country of the number that is called: one suite, run against memory and against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dialer.compliance.caps import CountryCaps
from dialer.compliance.rules import CapRule, KeyPart, Span
from dialer.core.contact import Contact
from dialer.core.ids import ContactId, Phone
from dialer.queues.cap_law import CapLaw, cap_law_by_country
from dialer.queues.connection import AsyncRedis, connect
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.port import Release
from tests.compliance_rules import cap_rule
from tests.queue_worlds import NOW, WINTER, Caller, MemoryWorld, RedisWorld, World, finish

HOUR = 3_600
PERSON = (KeyPart.PERSON,)
SPAIN, BRITAIN, AMERICA, PORTUGAL = "+34600000001", "+447400000001", "+12015550101", "+351910000001"
SERVER: list[EmbeddedServer] = []


@pytest.fixture(autouse=True)
def _server(valkey_server: EmbeddedServer) -> Iterator[None]:
    SERVER[:] = [valkey_server]
    yield
    SERVER.clear()


@pytest.fixture(params=["memory", "redis"])
async def world(
    request: pytest.FixtureRequest, valkey_server: EmbeddedServer, valkey: AsyncRedis
) -> AsyncIterator[World]:
    made: World = MemoryWorld() if request.param == "memory" else RedisWorld(valkey, valkey_server.url)
    yield made
    await made.close()


def somebody(n: int, *phones: str, **more: Any) -> Contact:
    """The n-th contact with these numbers."""
    return Contact(campaign=WINTER, id=ContactId(f"c{n}"), phones=tuple(map(Phone, phones)), **more)


def hourly(maximum: int, country: str, **given: Any) -> CapRule:
    """So many calls an hour, by the law of a country."""
    return cap_rule(maximum, Span.ROLLING, HOUR, id=f"{country}-hourly", jurisdiction=country, **given)


def law(*, kept: Sequence[CapRule] = (), **rules: CapRule) -> CapLaw:
    """By country code, as ``_34=...``."""
    countries = [
        CountryCaps(codes=(code[1:],), rules=(rule,), zones=("Europe/Madrid",)) for code, rule in rules.items()
    ]
    return cap_law_by_country(countries, NOW, kept=kept)


async def call_all(call: Caller, caps: CapLaw, now: float) -> list[str]:
    """Who is granted is called, and may be again a second later as far as the plan goes."""
    permits = (await call(now=now, caps=caps)).granted.permits
    await call.queues.write([finish(permit, at=now, retry_at=now + 1) for permit in permits])
    return sorted(permit.phone for permit in permits)


async def test_each_number_is_held_to_the_caps_of_its_own_country(world: World) -> None:
    node = await world.node("n1")
    await node.offer([somebody(n, phone) for n, phone in enumerate((SPAIN, BRITAIN, AMERICA, PORTUGAL))])
    call = Caller(node)
    caps = law(_34=hourly(1, "ES"), _44=hourly(2, "GB"), _1=hourly(1, "US"), _351=hourly(2, "PT"))
    assert await call_all(call, caps, NOW) == sorted((SPAIN, BRITAIN, AMERICA, PORTUGAL))
    assert await call_all(call, caps, NOW + 10) == sorted((BRITAIN, PORTUGAL))
    assert await call_all(call, caps, NOW + 20) == []
    said = {entry.phone: entry.evidence["rules"] for entry in await world.refusals()}
    assert said[Phone(SPAIN)] == [{"rule": "ES-hourly@2020-01-01", "country": "ES", "count": 1, "until": NOW + HOUR}]
    assert said[Phone(PORTUGAL)][0]["country"] == "PT"  # type: ignore[index]


async def test_what_no_rule_counts_is_counted_once_one_does(world: World) -> None:
    node = await world.node("n1")
    await node.offer([somebody(1, SPAIN), somebody(2, BRITAIN)])
    call, spanish = Caller(node), law(_34=hourly(1, "ES"), kept=[hourly(2, "GB")])
    assert await call_all(call, spanish, NOW) == sorted((SPAIN, BRITAIN))
    assert await call_all(call, spanish, NOW + 10) == [BRITAIN]
    both = law(_34=hourly(1, "ES"), _44=hourly(2, "GB"))
    assert await call_all(call, both, NOW + 20) == []


async def test_a_person_with_numbers_in_two_countries_is_counted_as_one(world: World) -> None:
    node = await world.node("n1")
    person = {"person": "17"}
    await node.offer([somebody(1, SPAIN, fields=person), somebody(2, BRITAIN, fields=person)])
    call = Caller(node)
    caps = law(_34=hourly(1, "ES", key=PERSON), _44=hourly(2, "GB", key=PERSON))
    # The Spanish number comes first; the British one may take the second place that its law leaves.
    first, second = (await call(now=NOW, caps=caps)).granted.permits
    assert (first.phone, second.phone) == (SPAIN, BRITAIN)
    await node.write([finish(second, at=NOW, retry_at=NOW + 1), Release(permit=first)])
    assert await call_all(call, caps, NOW + 10) == [BRITAIN]
    assert {entry.phone for entry in await world.refusals()} == {SPAIN}


async def test_another_number_of_the_contact_is_judged_by_its_own_country(world: World) -> None:
    node = await world.node("n1")
    await node.offer([somebody(1, SPAIN, BRITAIN)])
    call, caps = Caller(node), law(_34=hourly(1, "ES"), _44=hourly(2, "GB"))
    seen = [await call_all(call, caps, NOW + 10 * k) for k in range(4)]
    assert seen == [[SPAIN], [BRITAIN], [BRITAIN], []]


#: Countries whose codes have one, two and three digits, some of which begin alike.
CODES = st.sampled_from(["1", "7", "34", "35", "351", "353", "44", "49"])
KEYS = st.sampled_from([(KeyPart.NUMBER,), PERSON, (KeyPart.PERSON, KeyPart.CAMPAIGN)])


@example(
    ruled={"1": (1, (KeyPart.NUMBER,)), "7": (3, PERSON), "34": (1, PERSON)},
    dialed=[("1", 0), ("1", 1), ("7", 0), ("1", 2)],
    persons=1,
    rounds=2,
)
@settings(max_examples=30, deadline=None)
@given(
    ruled=st.dictionaries(CODES.filter(lambda code: code != "35"), st.tuples(st.integers(1, 3), KEYS), max_size=5),
    dialed=st.lists(st.tuples(CODES, st.integers(0, 3)), min_size=1, max_size=8, unique=True),
    persons=st.integers(1, 4),
    rounds=st.integers(1, 4),
)
def test_both_worlds_hold_every_number_to_the_same(
    ruled: dict[str, tuple[int, tuple[KeyPart, ...]]], dialed: list[tuple[str, int]], persons: int, rounds: int
) -> None:
    countries = [
        CountryCaps(codes=(code,), rules=(hourly(most, f"C{code}", key=key),)) for code, (most, key) in ruled.items()
    ]
    caps, most = cap_law_by_country(countries, NOW), {f"C{code}": maximum for code, (maximum, _) in ruled.items()}
    people = [
        somebody(n, f"+{code}6000000{k}", fields={"person": f"p{n % persons}"}) for n, (code, k) in enumerate(dialed)
    ]

    async def seen(world: World) -> list[object]:
        node = await world.node("n1")
        await node.offer(people)
        call, said = Caller(node), list[object]()
        for k in range(rounds):
            said.append(await call_all(call, caps, NOW + 10 * k))
        # Without moments: the scripts know those of calls under way to the second.
        for entry in await world.refusals():
            rules: Any = entry.evidence["rules"]
            # Of the calls that count, either may remember more than forbid already.
            told = [(one["rule"], one["country"], min(one["count"], most[one["country"]])) for one in rules]
            said.append((entry.phone, entry.reason, told))
        await world.close()
        return said

    async def redis() -> list[object]:
        client = connect(SERVER[0].url)
        try:
            await client.flushall()
            return await seen(RedisWorld(client, SERVER[0].url))
        finally:
            await client.aclose()

    assert asyncio.run(redis()) == asyncio.run(seen(MemoryWorld()))


async def test_a_law_names_what_each_number_is_held_to() -> None:
    caps = law(_34=hourly(1, "ES"), _1=hourly(1, "US"))
    for phone, country in ((SPAIN, "ES"), (AMERICA, "US")):
        held_to = caps.of(phone)
        assert held_to is not None
        assert [rule.jurisdiction for rule in held_to.rules] == [country]
    assert caps.of(BRITAIN) is None
