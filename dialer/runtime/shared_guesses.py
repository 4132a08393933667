"""Wrong keys and passwords counted in Redis: whoever guesses has so many guesses at all nodes together.

A key for each owner holds the moment at which their bucket is full again, and expires then. Its name is a keyed hash:
no address and no name of a person is in Redis. While Redis is away each node counts for itself.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any, Final

import structlog

from dialer.api.allowance import OwnGuesses
from dialer.errors import QueueError
from dialer.queues.connection import AsyncRedis, redis_errors
from dialer.queues.keys import Keys

_log = structlog.get_logger(__name__)

#: KEYS[1]: when the bucket is full, to the microsecond. ARGV: now; microseconds of one guess, negative to give one
#: back, 0 to look; how far ahead "full" may be for one more to be taken. Tells how far ahead it was.
_COUNT: Final = """
local now, cost, room = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local ahead = full - now
if cost == 0 or (cost > 0 and ahead > room) then return ahead end
full = full + cost
if full <= now then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000) + 1)
end
return ahead
"""
_NO_LIMIT: Final = 1 << 52


class SharedLimits:
    """`dialer.api.allowance.GuessLimits` of all nodes.

    Args:
        redis: a client.
        keys: of the installation.
        key: that all nodes share.
        shared: a moment of this node's clock by the clock of all.
    """

    def __init__(self, redis: AsyncRedis, keys: Keys, key: bytes, shared: Callable[[float], float]) -> None:
        self._redis: Final[Any] = redis
        self._keys: Final = keys
        self._key: Final = key
        self._shared: Final = shared

    def of(self, kind: str, in_a_row: float, per_s: float) -> SharedGuesses:
        """See `GuessLimits`."""
        return SharedGuesses(self, kind, in_a_row, per_s)

    async def count(self, kind: str, owner: str, now: float, cost_us: int, room_us: int) -> int:
        """How far ahead, in microseconds, the owner's bucket is full, before `cost_us` is taken from it.

        Raises:
            QueueError: Redis is out of reach.
        """
        whose = hmac.digest(self._key, f"{kind}:{owner}".encode("utf-8", "surrogateescape"), hashlib.sha256)
        at = round(self._shared(now) * 1e6)
        with redis_errors():
            found = await self._redis.eval(_COUNT, 1, self._keys.of("guesses", whose.hex()[:40]), at, cost_us, room_us)
        return int(found)


class SharedGuesses:
    """`dialer.api.allowance.Guesses` of one kind."""

    def __init__(self, limits: SharedLimits, kind: str, in_a_row: float, per_s: float) -> None:
        self._limits: Final = limits
        self._kind: Final = kind
        self._cost_us: Final = round(1e6 / per_s)
        self._room_us: Final = round((in_a_row - 1.0) * 1e6 / per_s)
        self._own: Final = OwnGuesses(in_a_row, per_s)
        self._away = False

    async def wait_s(self, owner: str, now: float) -> float:
        """See `Guesses`."""
        ahead = await self._count(owner, now, 0, 0)
        return await self._own.wait_s(owner, now) if ahead is None else self._wait_s(ahead)

    async def take(self, owner: str, now: float) -> None:
        """See `Guesses`."""
        if await self._count(owner, now, self._cost_us, _NO_LIMIT) is None:
            await self._own.take(owner, now)

    async def take_unless_empty(self, owner: str, now: float) -> float:
        """See `Guesses`."""
        ahead = await self._count(owner, now, self._cost_us, self._room_us)
        return await self._own.take_unless_empty(owner, now) if ahead is None else self._wait_s(ahead)

    async def give_back(self, owner: str, now: float) -> None:
        """See `Guesses`."""
        if await self._count(owner, now, -self._cost_us, 0) is None:
            await self._own.give_back(owner, now)

    def _wait_s(self, ahead_us: int) -> float:
        return max(0, ahead_us - self._room_us) / 1e6

    async def _count(self, owner: str, now: float, cost_us: int, room_us: int) -> int | None:
        """See `SharedLimits.count`; None: Redis is away."""
        try:
            ahead = await self._limits.count(self._kind, owner, now, cost_us, room_us)
        except QueueError as error:
            if not self._away:
                _log.warning("wrong keys and passwords are counted at this node alone", error=str(error))
            self._away = True
            return None
        self._away = False
        return ahead
