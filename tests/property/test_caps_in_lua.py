"""What the gate's scripts say of ledgers is what `dialer.compliance` says of them and of the whole history."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.compliance.caps import Call, CapVerdict, Subject, ended, evaluate, with_call
from dialer.compliance.ledger import ENTRY_BYTES, by_key, evaluate_ledgers, ledgers_of, worst_entries
from dialer.compliance.rules import CapRule, CooldownRule
from dialer.core.contact import Contact
from dialer.core.ids import CallId, ContactId, Phone
from dialer.core.outcome import Outcome
from dialer.queues.cap_law import BY_NUMBER, cap_law, ledger_name
from dialer.queues.connection import connect
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.journal import decode_refusal
from dialer.queues.port import Release
from dialer.queues.redis_queues import RedisQueues
from tests.cap_strategies import HOUR, ME, OTHERS, START, ZONES, calls, outcomes, rule_sets
from tests.queue_worlds import WINTER, Pages, RedisWorld, finish

SERVER: list[EmbeddedServer] = []
zone_sets = st.lists(st.sampled_from(ZONES), min_size=1, max_size=3, unique=True)
Rules = list[CapRule | CooldownRule]


@pytest.fixture(autouse=True)
def _server(valkey_server: EmbeddedServer) -> Iterator[None]:
    SERVER[:] = [valkey_server]
    yield
    SERVER.clear()


def who(subject: Subject, n: int = 0) -> Contact:
    """A contact that is counted under the names of `subject`."""
    fields = {"person": subject.person, "account": int(subject.account)}
    return Contact(campaign=WINTER, id=ContactId(f"c{n}"), phones=(Phone(subject.number),), fields=fields)


async def opened(world: RedisWorld) -> RedisQueues:
    await world.client.flushall()
    node = await world.node("n1", opened=False)
    await node.rebuild(Pages())
    return node


async def asked(rules: Rules, history: list[Call], now: float, zones: list[str]) -> tuple[bool, Any, Any]:
    """Whether the gate permits a call to `ME`, given the ledgers of a history; else until when it waits, and why."""
    world = RedisWorld(connect(SERVER[0].url), SERVER[0].url)
    try:
        node = await opened(world)
        for key, ledger in ledgers_of(history, ME, rules, now).items():
            digits, name = ME.number[1:], ledger_name(key, ME.key(key))
            place = (f"n:{digits[:-2]}", digits[-2:])
            if key != BY_NUMBER:
                head, _, tail = name.partition(":")
                place = (f"{head}:{tail[:5]}", tail[5:])
            if len(ledger):
                await world.client.hset(f"cadencia:caps:{place[0]}", place[1], ledger.pack())
        await node.offer([who(ME)])
        law = cap_law(rules, now, zones, seller=ME.seller)
        command = node.gate_command(WINTER, [CallId("k1")], now, law)
        reply: Any = await world.client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py
        told: Any = await world.client.xrange("cadencia:refusals")
        return (
            reply[5] == b"c0",
            await world.client.zscore("cadencia:later:winter", "c0"),
            decode_refusal(told[0][1][b"data"]) if told else None,
        )
    finally:
        await world.close()
        await world.client.aclose()


@settings(max_examples=60, deadline=None)
@given(
    rules=rule_sets,
    history=st.lists(calls(), max_size=25),
    half_hours=st.integers(0, 480),
    zones=zone_sets,
)
def test_the_gate_says_of_ledgers_what_the_rules_say(
    rules: Rules, history: list[Call], half_hours: int, zones: list[str]
) -> None:
    now = START + half_hours * 1_800.0
    ledgers = ledgers_of(history, ME, rules, now)
    expected: CapVerdict = evaluate_ledgers(ledgers, rules, now, zones=zones)
    permitted, waits_until, refusal = asyncio.run(asked(rules, history, now, zones))
    assert permitted == expected.permit
    if permitted:
        assert (waits_until, refusal) == (None, None)
        return
    assert refusal is not None
    assert Counter(said["rule"] for said in refusal.evidence["rules"]) == Counter(
        one.rule.version for one in expected.blocked
    )
    assert waits_until is None or waits_until > now
    if any(call.at > now for call in history):
        # A clock was set back. Those calls count as made; the contact may be asked about once more before it is free.
        assert (waits_until is None) == (expected.retry_at is None)
        return
    if len(zones) == 1:
        assert waits_until == expected.retry_at
        last = max(expected.blocked, key=lambda one: one.until)
        if sum(one.until == last.until for one in expected.blocked) == 1:
            assert refusal.reason == ("cooldown" if isinstance(last.rule, CooldownRule) else "attempt_cap")
    elif expected.retry_at is not None:
        # By the clock that is last, where several may be the person's.
        assert expected.retry_at <= waits_until < expected.retry_at + 86_400
        assert evaluate_ledgers(ledgers, rules, waits_until, zones=zones).permit


async def kept(rules: Rules, steps: list[tuple[float, Outcome | None, int]], zones: list[str]) -> None:
    world = RedisWorld(connect(SERVER[0].url), SERVER[0].url)
    people = (ME, OTHERS[0])
    history: list[Call] = []
    now = float(START)
    try:
        node = await opened(world)
        for n, (wait, outcome, index) in enumerate(steps):
            now = float(math.ceil(now + wait + 1))
            subject = people[index]
            law = cap_law(rules, now, zones, seller=ME.seller)
            await node.offer([who(subject, n)])
            async with node.reserve(WINTER, [CallId(f"k{n}")], now, caps=law) as reservation:
                permits = reservation.granted.permits
            allowed = evaluate(history, rules, subject, now, zones=zones).permit
            assert bool(permits) == allowed
            for permit in permits:
                if outcome is None:
                    await node.write([Release(permit=permit)])
                else:
                    done = finish(permit, at=now, outcome=outcome)
                    await node.write([done])
                    history.append(ended(with_call([], subject, now)[0], outcome, done.attempt.ended_at))
            await world.client.delete("cadencia:later:winter", "cadencia:ready:winter", "cadencia:data:winter")
        longest = max(worst_entries(own) for own in by_key(rules).values())
        for key in await world.client.keys("cadencia:caps:*"):
            for packed in await world.client.hvals(key):
                assert len(packed) <= ENTRY_BYTES * longest
    finally:
        await world.close()
        await world.client.aclose()


@settings(max_examples=40, deadline=None)
@given(
    rules=rule_sets,
    steps=st.lists(st.tuples(st.floats(0, 30 * HOUR), st.none() | outcomes, st.integers(0, 1)), max_size=25),
    zones=zone_sets,
)
def test_ledgers_kept_by_the_scripts_decide_as_the_whole_history(
    rules: Rules, steps: list[tuple[float, Outcome | None, int]], zones: list[str]
) -> None:
    """Ask, reserve, end or give back: against all calls that were made, all along; and ledgers stay small."""
    asyncio.run(kept(rules, steps, zones))
