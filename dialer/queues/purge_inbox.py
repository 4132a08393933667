"""What removals and do-not-call entries do to this node's calls: the gate and `drain` write it, and it is read here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from dialer.core.events import CallPurged
from dialer.queues import wire
from dialer.queues.link import Link

#: Entries of each stream that one run of the gate drains; with more waiting it reserves nobody.
DRAIN_AT_ONCE: Final = 500
_BLOCK_S: Final = 1.0

#: Is told what a removal or do-not-call entry did: "removal" or "dnc", its effect (applied, removed, not_found;
#: cancelled or too_late for a call), and how many seconds after it was written.
PurgeApplied = Callable[[str, str, float], None]


class PurgeInbox:
    """The inbox of one node.

    Args:
        link: to the server.
        applied: is told of removals and do-not-call entries that took effect on who waits.
    """

    def __init__(self, link: Link, applied: PurgeApplied) -> None:
        self._link = link
        self._applied = applied
        #: Up to which entry it was read.
        self.seen = ""

    def drain_args(self) -> tuple[Any, ...]:
        """Of the script of `drain`."""
        return (self._link.owner, self.seen, self._link.keep_ms, DRAIN_AT_ONCE)

    def read(self, inbox: Sequence[bytes]) -> tuple[CallPurged, ...]:
        """What a script has handed out."""
        # What is acknowledged is what has been answered, so nothing is lost with an answer that is.
        if inbox:
            self.seen = inbox[-3].decode()
        return tuple(wire.purged(data, float(age)) for data, age in zip(inbox[1::3], inbox[2::3], strict=True))

    def tell_effects(self, effects: Sequence[bytes]) -> None:
        """Tell what a script says of those who wait."""
        for i in range(0, len(effects), 2):
            kind, _, effect = effects[i].decode().partition(".")
            self._applied(kind, effect, float(effects[i + 1]) / 1_000)

    async def drain(self) -> tuple[CallPurged, ...]:
        """Apply all that the CRM has written; what it did to our calls."""
        found: list[CallPurged] = []
        while True:
            more, inbox, effects = await self._link.run("drain", *self.drain_args())
            self.tell_effects(effects)
            found += self.read(inbox)
            if not more:
                return tuple(found)

    async def wait(self, timeout_s: float) -> bool:
        """Until there is something to drain or to read; False: nothing came in time."""
        clock, client, keys = asyncio.get_running_loop().time, self._link.client, self._link.keys
        until = clock() + timeout_s
        streams = (keys["removals"], keys["dnc"], keys.of("inbox", self._link.owner))
        while (left_s := until - clock()) > 0:
            removals, dnc = await client.hmget(keys["gate"], ["removals", "dnc"])
            after = (removals or b"0-0", dnc or b"0-0", self.seen or b"0-0")
            block_ms = max(1, int(min(left_s, _BLOCK_S) * 1_000))
            if await client.xread(dict(zip(streams, after, strict=True)), count=1, block=block_ms):
                return True
        return False
