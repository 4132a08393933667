"""Guesses counted by all nodes together, on a real server: as one bucket would, and here alone while it is away."""

from __future__ import annotations

import asyncio
import random

import pytest

from dialer.api.allowance import Allowance, OwnGuesses
from dialer.api.auth import Authenticator
from dialer.api.errors import ApiError
from dialer.queues.connection import AsyncRedis, connect
from dialer.queues.keys import Keys
from dialer.runtime.shared_guesses import SharedGuesses, SharedLimits
from dialer.testing import FakeKeyStore, ManualClock

KEY = b"k" * 32
IN_A_ROW, PER_S = 5.0, 0.02


def limits(redis: AsyncRedis, ahead_s: float = 0.0) -> SharedLimits:
    """Those of a node whose clock is behind the shared one by `ahead_s`."""
    return SharedLimits(redis, Keys(), KEY, lambda now: now + ahead_s)


@pytest.mark.parametrize("seed", range(4))
async def test_two_nodes_are_one_bucket(valkey: AsyncRedis, seed: int) -> None:
    """Whatever is asked of either, in whatever order, it answers what a bucket of one node would."""
    rng, now = random.Random(seed), 1_800_000_000.0
    model = Allowance(IN_A_ROW, PER_S)
    nodes = [limits(valkey, skew).of("address", IN_A_ROW, PER_S) for skew in (0.0, 30.0)]
    for _ in range(120):
        now += rng.choice((0.0, 0.0, 1.0, 20.0, 49.0, 200.0))
        behind = rng.choice((0, 1))
        node, at, owner = nodes[behind], now - 30.0 * behind, rng.choice(("10.0.0.1", "2001:db8::1"))
        wait_s = model.wait_s(owner, now)
        assert await node.wait_s(owner, at) == pytest.approx(wait_s, abs=1e-3)
        match rng.choice(("take", "unless_empty", "unless_empty", "give_back")):
            case "take":
                await node.take(owner, at)
                model.take(owner, now)
            case "unless_empty":
                assert await node.take_unless_empty(owner, at) == pytest.approx(wait_s, abs=1e-3)
                if wait_s == 0.0:
                    model.take(owner, now)
            case "give_back":
                await node.give_back(owner, at)
                model.give_back(owner, now)


async def test_many_at_once_get_no_more_than_there_are(valkey: AsyncRedis) -> None:
    nodes = [limits(valkey).of("name", IN_A_ROW, PER_S) for _ in range(2)]
    waits = await asyncio.gather(*(nodes[n % 2].take_unless_empty("marta", 1_800_000_000.0) for n in range(40)))
    assert waits.count(0.0) == int(IN_A_ROW)


async def test_nobodys_name_or_address_is_in_redis_and_what_is_there_expires(valkey: AsyncRedis) -> None:
    await limits(valkey).of("name", IN_A_ROW, PER_S).take("marta", 1_800_000_000.0)
    (key,) = await valkey.keys("*")
    assert b"marta" not in key
    assert 0 < await valkey.pttl(key) <= 1_000 / PER_S + 2
    await limits(valkey).of("address", IN_A_ROW, PER_S).take("marta", 1_800_000_000.0)
    assert len(await valkey.keys("*")) == 2, "another kind is another bucket"


async def test_wrong_keys_at_one_node_count_at_the_other(valkey: AsyncRedis) -> None:
    clock = ManualClock()
    first, second = (Authenticator(FakeKeyStore(), clock, limits(valkey)) for _ in range(2))
    codes = []
    for number in range(30):
        with pytest.raises(ApiError) as refused:
            await (first if number % 2 else second).authenticate(f"Bearer wrong{number}", "10.0.0.1")
        codes.append(refused.value.status)
    assert codes == [401] * 20 + [429] * 10
    with pytest.raises(ApiError) as other:
        await second.authenticate("Bearer wrong", "10.0.0.2")
    assert other.value.status == 401


async def test_while_redis_is_away_each_counts_for_itself() -> None:
    redis = connect("redis://127.0.0.1:1")
    try:
        away: SharedGuesses | OwnGuesses
        for away in (limits(redis).of("address", 2.0, PER_S), OwnGuesses(2.0, PER_S)):
            assert [await away.take_unless_empty("x", 0.0) for _ in range(2)] == [0.0, 0.0]
            assert await away.take_unless_empty("x", 0.0) > 0
            await away.give_back("x", 0.0)
            assert await away.wait_s("x", 0.0) == 0.0
            await away.take("x", 0.0)
            assert await away.wait_s("x", 0.0) > 0
    finally:
        await redis.aclose()
