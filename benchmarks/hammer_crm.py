"""The CRM of the hammer, a process of its own: withdraws one contact after the other, and notes when it was answered.

It stays where the dialer is in the list, so that the two meet as often as can be: it withdraws, in any order, those who
come next or were called a moment ago. Whom it missed because the dialer was faster, it withdraws in between.
"""

from __future__ import annotations

import http.client
import json
import random
import socket
import struct
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np
import redis

CAMPAIGN: Final = "hammer"
#: A datagram to the ledger: the number of a batch that has been answered.
FENCE: Final = struct.Struct("<Q")
FORMS: Final = (
    "contact of the campaign",
    "contact of any campaign",
    "number, for the campaign",
    "number, for any campaign",
    "do not call, everywhere",
    "do not call, in the campaign",
)
#: Spreads consecutive numbers over all of eight digits, none twice; and its inverse.
_SCATTER: Final = 61_803_399
_NUMBERS: Final = 10**8
_GATHER: Final = pow(_SCATTER, -1, _NUMBERS)
_PREFIX: Final = 34_600_000_000
#: How many of those who come next it chooses from, and how many places back somebody was called just now: as many as
#: a node asks the gate for at once.
_AHEAD: Final = 150
_BEHIND: Final = 100
_BATCHES: Final = (1, 2, 8, 32, 128)
_REST_BATCH: Final = 12
#: Connections that write at once.
_WRITERS: Final = 4
#: How long it waits at most for the dialer to come near before it goes on.
_PATIENCE_S: Final = 0.05
#: With the order broken on purpose: so much earlier than the write it says that it was answered.
EARLY_S: Final = 0.1


def digits(n: int) -> int:
    """The number of the n-th contact, without its +."""
    return _PREFIX + n * _SCATTER % _NUMBERS


def place_of(number: int) -> int:
    """The contact that has this number."""
    return (number - _PREFIX) * _GATHER % _NUMBERS


def message(n: int) -> tuple[str, dict[str, str]]:
    """The stream and the message that withdraw the n-th contact."""
    # By blocks of the list and not by turns: neighbours are withdrawn in different ways all the same.
    match (n + n // 7) % len(FORMS):
        case 0:
            return "removals", {"id": f"m{n}", "campaign": CAMPAIGN, "contact": f"c{n}"}
        case 1:
            return "removals", {"id": f"m{n}", "campaign": "*", "contact": f"c{n}"}
        case 2:
            return "removals", {"id": f"m{n}", "campaign": CAMPAIGN, "phone": f"+{digits(n)}"}
        case 3:
            return "removals", {"id": f"m{n}", "campaign": "*", "phone": f"+{digits(n)}"}
        case 4:
            return "dnc", {"id": f"m{n}", "op": "add", "phone": f"+{digits(n)}", "scope": "*"}
        case _:
            return "dnc", {"id": f"m{n}", "op": "add", "phone": f"+{digits(n)}", "scope": CAMPAIGN}


def form(n: int) -> str:
    """In which way the n-th contact is withdrawn."""
    return FORMS[(n + n // 7) % len(FORMS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What the CRM is to do."""

    redis_url: str
    #: ``node.json`` of each node: where its API is, and the key.
    nodes: tuple[Path, ...]
    folder: Path
    entries: int
    #: Share of them that goes through the API.
    rest_share: float
    #: Share of the contacts that are to be called before they are withdrawn; more where the CRM is too slow.
    dialed_share: float
    seed: int
    #: Say that a write was answered before it is made.
    early: bool = False


class _List:
    """The contacts and what has become of them; shared by the writers."""

    def __init__(self, orders: Orders, progress: Any) -> None:
        self._orders = orders
        self._progress = progress
        self._random = random.Random(orders.seed)
        self._lock = threading.Lock()
        #: By contact: chosen to be withdrawn; all before `past` are.
        self._chosen = bytearray(orders.entries)
        self._past = 0
        self._front = 0
        self._sent_ahead = 0
        self._batches = 0
        #: By contact, when it was answered (monotonic and unix seconds), and behind which fence.
        self.at: Any = np.full(orders.entries, np.inf)
        self.wall: Any = np.full(orders.entries, np.inf)
        self.fence: Any = np.full(orders.entries, -1)
        self.by_rest = 0
        self.retries = 0
        self.longest_s = 0.0
        self.longest_rest_s = 0.0

    def next(self) -> tuple[list[int], bool]:
        """Whom to withdraw now, and whether through the API; nobody at the end."""
        by_rest = self._random.random() < self._rest_odds
        size = _REST_BATCH if by_rest else self._random.choice(_BATCHES)
        until = time.monotonic() + _PATIENCE_S
        while True:
            with self._lock:
                called, place, _ = self._progress
                if self._sent_ahead * self._orders.dialed_share <= called or time.monotonic() > until:
                    contacts = self._around(place, size)
                    self._sent_ahead += len(contacts)
                else:
                    contacts = self._missed(place - _BEHIND, size)
                for n in contacts:
                    self._chosen[n] = 1
                if contacts or self._past >= self._orders.entries:
                    return contacts, by_rest
            time.sleep(0.0002)

    @property
    def _rest_odds(self) -> float:
        """By which a batch goes through the API, so that the wanted share of the entries does."""
        other = sum(_BATCHES) / len(_BATCHES)
        share = self._orders.rest_share
        return share / _REST_BATCH / (share / _REST_BATCH + (1 - share) / other)

    def answered(self, contacts: Sequence[int]) -> int:
        """They have been withdrawn, as far as the CRM knows; number of the batch."""
        at, wall = time.monotonic(), time.time()
        with self._lock:
            batch = self._batches
            self._batches += 1
        for n in contacts:
            self.at[n], self.wall[n], self.fence[n] = at, wall, batch
        return batch

    def took(self, seconds: float, contacts: int, *, by_rest: bool, retries: int) -> None:
        """How a batch went."""
        with self._lock:
            self.retries += retries
            self._progress[2] += contacts
            if by_rest:
                self.by_rest += contacts
                self.longest_rest_s = max(self.longest_rest_s, seconds)
            else:
                self.longest_s = max(self.longest_s, seconds)

    def _around(self, place: int, size: int) -> list[int]:
        """Half of them have been called just now, if at all, and half come next."""
        self._front = max(self._front, place)
        nearest: list[int] = []
        n = self._front
        while n < self._orders.entries and len(nearest) < _AHEAD:
            if not self._chosen[n]:
                if not nearest:
                    self._front = n
                nearest.append(n)
            n += 1
        called = [n for n in range(max(0, place - _BEHIND), place) if not self._chosen[n]]
        chosen = self._random.sample(called, min(size // 2, len(called)))
        chosen += self._random.sample(nearest, min(size - len(chosen), len(nearest)))
        return chosen or self._missed(self._orders.entries, size)

    def _missed(self, before: int, size: int) -> list[int]:
        missed: list[int] = []
        n = self._past
        while n < before and len(missed) < size:
            if not self._chosen[n]:
                missed.append(n)
            elif n == self._past:
                self._past += 1
            n += 1
        return missed


class _Writer:
    """One connection of the CRM to Redis and to each node."""

    def __init__(self, orders: Orders, contacts: _List, number: int) -> None:
        self._orders = orders
        self._list = contacts
        self._random = random.Random(orders.seed * 1_000 + number)
        self._client = redis.Redis.from_url(orders.redis_url, protocol=2, socket_timeout=10.0)
        self._apis: dict[int, http.client.HTTPConnection] = {}
        self._fences = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._fences.connect(str(orders.folder / "fences"))

    def run(self) -> None:
        """Until nobody is left."""
        try:
            while True:
                contacts, by_rest = self._list.next()
                if not contacts:
                    return
                self._withdraw(contacts, by_rest=by_rest)
        finally:
            self._client.close()
            self._fences.close()

    def _withdraw(self, contacts: Sequence[int], *, by_rest: bool) -> None:
        if self._orders.early:
            self._acknowledge(contacts)
            time.sleep(EARLY_S)
        begun, retries = time.monotonic(), 0
        while True:
            try:
                if by_rest:
                    self._by_rest(contacts)
                else:
                    self._by_redis(contacts)
                break
            except (redis.RedisError, OSError, http.client.HTTPException):
                # Nobody has said that it is written: again, until somebody does.
                retries += 1
                time.sleep(0.01)
        if not self._orders.early:
            self._acknowledge(contacts)
        self._list.took(time.monotonic() - begun, len(contacts), by_rest=by_rest, retries=retries)

    def _acknowledge(self, contacts: Sequence[int]) -> None:
        self._fences.send(FENCE.pack(self._list.answered(contacts)))

    def _by_redis(self, contacts: Sequence[int]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for n in contacts:
            stream, said = message(n)
            pipeline.xadd(f"cadencia:{stream}", {"data": json.dumps(said)})
        pipeline.execute()

    def _by_rest(self, contacts: Sequence[int]) -> None:
        said = [message(n) for n in contacts]
        for stream, field_name in (("removals", "removals"), ("dnc", "entries")):
            items = [item for its, item in said if its == stream]
            if items:
                self._post(f"/api/v1/{stream}", {field_name: items})

    def _post(self, path: str, body: object) -> None:
        node = self._random.randrange(len(self._orders.nodes))
        try:
            known = json.loads(self._orders.nodes[node].read_text())
            api = self._apis.get(node)
            if api is None:
                api = self._apis[node] = http.client.HTTPConnection(urlsplit(known["api_url"]).netloc, timeout=5.0)
            headers = {"Authorization": f"Bearer {known['api_key']}", "Content-Type": "application/json"}
            api.request("POST", path, json.dumps(body), headers)
            answer = api.getresponse()
            answer.read()
        except (OSError, ValueError, http.client.HTTPException) as error:
            gone = self._apis.pop(node, None)
            if gone is not None:
                gone.close()
            raise OSError("the node is not there") from error
        if answer.status != 201:
            raise OSError(f"the API answered {answer.status}")


def withdraw_all(orders: Orders, progress: Any) -> None:
    """Withdraw every contact from the first call on, and write down when each was answered; entry point of the process.

    Args:
        orders: what to do.
        progress: shared numbers: originates so far, the contact of the last one, and contacts withdrawn.
    """
    contacts = _List(orders, progress)
    (orders.folder / "writing").touch()
    while not progress[0]:
        time.sleep(0.001)
    with ThreadPoolExecutor(_WRITERS) as pool:
        for done in [pool.submit(_Writer(orders, contacts, k).run) for k in range(_WRITERS)]:
            done.result()
    np.savez(
        orders.folder / "answered.npz",
        at=contacts.at,
        wall=contacts.wall,
        fence=contacts.fence,
        by_rest=contacts.by_rest,
        retries=contacts.retries,
        longest_s=contacts.longest_s,
        longest_rest_s=contacts.longest_rest_s,
    )
