"""What a CRM wrote into another shard's streams, entered into this one's (docs/adr/0020).

Only what keeps somebody from being called, and only where it adds to what holds here already: an entry that comes late
never takes back, or shortens, one that came since. One script looks and writes in a step; what it finds is always safe
to do twice. It goes by the keys as the gate's own scripts keep them (``lua/lists.lua``, ``lua/draining.lua``).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final

from dialer.queues.connection import AsyncRedis, redis_errors
from dialer.queues.keys import Keys
from dialer.queues.removals import DoNotCall, Removal, account_of
from dialer.queues.streams import CARRIED

#: ARGV: stream, gate, data, field and value that mark it (or ''), '1' to look alone, then of a do-not-call entry "dnc",
#: set, member, expiries, name there, expiry or ''; of a removal "removals", set, members...
_ENTER: Final = """
local stream, gate, data, mark, source, look, what = unpack(ARGV, 1, 7)
if what == 'dnc' then
  local set, member, expiries, name, expires = unpack(ARGV, 8, 12)
  -- What is still on its way into the lists may take it off, or list it for longer; not where it is about another.
  local waiting = redis.call('XRANGE', stream, '(' .. (redis.call('HGET', gate, 'dnc') or '0-0'), '+', 'COUNT', 100)
  local clear = #waiting < 100
  for _, entry in ipairs(waiting) do
    local about
    for i = 1, #entry[2], 2 do about = entry[2][i] == 'about' and entry[2][i + 1] or about end
    clear = clear and about and about ~= name
  end
  if clear and redis.call('SISMEMBER', set, member) == 1 then
    local held_until = redis.call('ZSCORE', expiries, name)
    if not held_until or (expires ~= '' and tonumber(held_until) >= tonumber(expires)) then return 0 end
  end
  -- One for a time takes the place of one for good.
  if expires ~= '' and look == '' and not (clear and redis.call('HEXISTS', gate, 'generation') == 1) then return 2 end
else
  local known = true
  for i = 9, #ARGV do known = known and redis.call('SISMEMBER', ARGV[8], ARGV[i]) == 1 end
  if known then return 0 end
end
if look ~= '' then return 1 end
if mark ~= '' then
  redis.call('XADD', stream, '*', 'data', data, mark, source, 'about', what == 'dnc' and ARGV[11] or '')
else
  redis.call('XADD', stream, '*', 'data', data)
end
return 1
"""


class Entered(IntEnum):
    """What became of an entry; the numbers are the script's."""

    #: It holds already, and for as long.
    KNOWN = 0
    #: It was written; or would be.
    WRITTEN = 1
    #: What was written before it must have been drained first; offer it again.
    LATER = 2


class Entrance:
    """Writes into the streams of one shard.

    Args:
        client: of its Redis.
        keys: there.
    """

    def __init__(self, client: AsyncRedis, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def enter(
        self, entries: Sequence[tuple[bytes, Removal | DoNotCall]], *, source: str = "", look: bool = False
    ) -> list[Entered]:
        """Write entries that add to what holds.

        Args:
            entries: as they were written, and parsed; of do-not-call entries those that add a number.
            source: the shard that they were written in; empty: here, and the others are to take them from here.
            look: write nothing, but say what would be.

        Raises:
            QueueError: out of reach; do it again.
        """
        if not entries:
            return []
        with redis_errors():
            pipeline: Any = self._client.pipeline(transaction=False)
            for data, entry in entries:
                stream = "dnc" if isinstance(entry, DoNotCall) else "removals"
                mark = (CARRIED, source) if source else ("", "")
                named = (self._keys[stream], self._keys["gate"], data, *mark, "1" if look else "", stream)
                pipeline.eval(_ENTER, 0, *named, *self._places(entry))
            return [Entered(answer) for answer in await pipeline.execute()]

    def _places(self, entry: Removal | DoNotCall) -> tuple[str | int, ...]:
        """Where the gate keeps it."""
        if isinstance(entry, Removal):
            members = [f"c{entry.contact}"] if entry.contact is not None else []
            members += [f"p{entry.phone[1:]}"] if entry.phone is not None else []
            return self._keys.of("removed", entry.campaign), *members
        digits = entry.phone[1:]
        expires = "" if entry.expires_at is None else f"{entry.expires_at:.6f}"
        until = (self._keys["dnc_expiries"], f"{entry.scope}\t{digits}", expires)
        if digits.endswith("*"):
            return self._keys.of("dnc_prefixes", entry.scope), digits[:-1], *until
        account = account_of(entry.scope)
        if account is not None:
            return self._keys.of("dnc_set", f"account::{digits[:-5]}"), f"{digits[-5:]}\t{account}", *until
        return self._keys.of("dnc_set", f"{entry.scope}:{digits[:-5]}"), int(digits[-5:]), *until
