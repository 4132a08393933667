"""The CRM closes talks with codes, through the stream, which any node may read, while everything goes wrong."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import redis

from benchmarks.chaos.rig import Site

_CODE: Final = "NO_SALE"
_EVERY_S: Final = 0.2


@contextmanager
def codes(site: Site, after_s: float = 0.0) -> Iterator[None]:
    """Meanwhile every talk is closed so long after it has begun; `Site.asked` has what Redis has taken."""
    over, closer = threading.Event(), _Closer(site, after_s)
    thread = threading.Thread(target=closer.run, args=(over,), name="closes", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(30)


def all_answered(site: Site) -> bool:
    """Whether every code that was sent is answered among the results."""
    entries: Any = site.client.xrange("cadencia:results")
    return site.asked.codes.keys() <= {json.loads(fields[b"data"]).get("ref") for _, fields in entries}


class _Closer:
    """Reads the stream of results, and sends a code for each talk."""

    def __init__(self, site: Site, after_s: float) -> None:
        self._site = site
        self._after_s = after_s
        self._at = "-"
        #: Talks that have begun, and when their code is due.
        self._due: dict[str, float] = {}

    def run(self, over: threading.Event) -> None:
        """Close talks until it is over."""
        while not over.wait(_EVERY_S):
            try:
                self._read()
            except (redis.RedisError, OSError):
                continue  # it is away
            now = time.monotonic()
            for call in [call for call, due in self._due.items() if due <= now]:
                self._site.close(call, _CODE)
                del self._due[call]

    def _read(self) -> None:
        entries: Any = self._site.client.xrange("cadencia:results", min=self._at)
        for entry, fields in entries:
            self._at = f"({entry.decode()}"
            result = json.loads(fields[b"data"])
            if result["type"] == "call.connected" and f"code-{result['call']}" not in self._site.asked.codes:
                self._due.setdefault(result["call"], time.monotonic() + self._after_s)
