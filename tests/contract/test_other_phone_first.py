"""A contact's other numbers come first, through the hopper: whom the gate names next, and when."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from dialer.core.attempt import Attempt
from dialer.core.campaign import Campaign, RetryRule
from dialer.core.outcome import Outcome
from dialer.core.retry import OTHER_PHONE_S, retry_at
from dialer.queues.connection import AsyncRedis
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.port import Finish
from tests.queue_worlds import NOW, WINTER, Caller, MemoryWorld, RedisWorld, World, contact, phone

DELAY_S = 3_600.0
RULE = RetryRule(delay_s=DELAY_S, max_attempts=10, other_phone_first=True)
CAMPAIGN = Campaign(id=WINTER, max_attempts=10, retries={Outcome.BUSY: RULE})


@pytest.fixture(params=["memory", "redis"])
async def world(
    request: pytest.FixtureRequest, valkey: AsyncRedis, valkey_server: EmbeddedServer
) -> AsyncIterator[World]:
    made: World = MemoryWorld() if request.param == "memory" else RedisWorld(valkey, valkey_server.url)
    yield made
    await made.close()


async def test_each_number_is_called_a_minute_after_the_other_and_then_the_delay_counts(world: World) -> None:
    queues = await world.node("n1")
    await queues.offer([contact(1, 1, 2, 3)])
    reserve, now = Caller(queues), NOW
    called: list[tuple[str, float]] = []
    while len(called) < 7:
        reservation = await reserve(1, now=now)
        (permit,) = reservation.granted.permits
        called.append((permit.phone, now - NOW))
        attempt = Attempt(
            call=permit.call,
            campaign=WINTER,
            contact=permit.contact,
            phone=permit.phone,
            attempt_number=permit.attempt_number,
            outcome=Outcome.BUSY,
            reason="SIP 486",
            started_at=now,
            ended_at=now,
        )
        again_at = retry_at(CAMPAIGN, attempt, permit)
        assert again_at is not None
        await queues.write([Finish(attempt=attempt, fencing_token=permit.fencing_token, retry_at=again_at)])
        early = await reserve(1, now=again_at - 1.0)
        assert early.granted.permits == ()
        now = again_at
    waits_s = [round(at - before) for (_, before), (_, at) in pairwise(called)]
    assert [number for number, _ in called] == [phone(n) for n in (1, 2, 3, 1, 2, 3, 1)]
    assert waits_s == [OTHER_PHONE_S, OTHER_PHONE_S, DELAY_S] * 2
