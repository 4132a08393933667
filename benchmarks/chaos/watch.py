"""Watches, all the while, whether the dialer's idea of what is in flight agrees with the carrier's.

Three books are kept: the carrier's channels, the calls that the nodes' engines have, and the numbers that are live in
Redis. A call is in each or in none, but for moments; how long one was not, after the end of the fault, is what counts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import redis

from dialer.errors import DialerError

if TYPE_CHECKING:
    from benchmarks.chaos.rig import Site

_EVERY_S: Final = 0.25


class Watch:
    """A thread beside a scenario; use as a context.

    Args:
        site: what it looks at.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        #: Since when a call is in some books only (monotonic seconds).
        self._since: dict[str, float] = {}
        self._healed_at: float | None = time.monotonic()
        #: Longest time, after a fault was over, in which some book had a call that another had not.
        self.worst_s = 0.0
        self.worst_call = ""
        self.looks = 0

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    def fault_begins(self) -> None:
        """From now on nothing has to agree."""
        self._healed_at = None

    def fault_is_over(self) -> None:
        """From now on they come to agree again."""
        self._healed_at = time.monotonic()

    def settled(self) -> bool:
        """Whether at the last look every book said the same."""
        return self.looks > 0 and not self._since

    def _run(self) -> None:
        while not self._over.wait(_EVERY_S):
            # A book that cannot be opened now says nothing; it is as wrong as it was.
            with suppress(ConnectionError, DialerError, redis.RedisError, OSError):
                self._look()

    def _look(self) -> None:
        site = self._site
        # The engines are asked on both sides of the others: who came or went in between is no disagreement.
        before = self._in_engines()
        channels = site.in_flight()
        live = {key.decode() for key in site.client.hkeys("cadencia:live")}
        engines = self._in_engines()
        steady = before & engines
        everywhere = channels & live & engines
        disputed = ((channels | live) - everywhere - (before ^ engines)) | (steady - everywhere)
        self._note(disputed)
        self.looks += 1

    def _in_engines(self) -> set[str]:
        found: set[str] = set()
        for node in self._site.nodes:
            if node.pid is not None and node.known.exists():
                answer = node.api.get("/calls/live?limit=500")
                found |= {item["phone"].removeprefix("+") for item in answer["items"]}
        return found

    def _note(self, disputed: Iterable[str]) -> None:
        now, healed_at = time.monotonic(), self._healed_at
        named = set(disputed)
        for call in [call for call in self._since if call not in named]:
            del self._since[call]
        for call in named:
            since = self._since.setdefault(call, now)
            if healed_at is not None and now - max(since, healed_at) > self.worst_s:
                self.worst_s, self.worst_call = now - max(since, healed_at), call
