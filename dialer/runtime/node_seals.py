"""What nodes tell each other, sealed with the key that they share through the database. Pure.

Redis is open to whoever feeds the dialer: an entry there says where a node is reached only if it carries a seal, else a
forged one would be sent people's keys. A request that is handed on carries a ticket, good for this one request at this
one process and for some seconds, by the clock of Redis, which is the same for all.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections import OrderedDict
from typing import Final

import msgspec
from msgspec import Struct

_MAC_BYTES: Final = 32
_MAX_TICKET: Final = 4_096
#: A ticket is good for so long, and may come from a clock that is ahead by as much.
GOOD_FOR_S: Final = 15.0
_MOST_SEEN: Final = 100_000


class Seal:
    """Seals bytes, and opens what was sealed for the same purpose.

    Args:
        key: that of all nodes.
        purpose: what one purpose has sealed opens for no other.
    """

    def __init__(self, key: bytes, purpose: str) -> None:
        self._key: Final = hmac.digest(key, purpose.encode(), hashlib.sha256)

    def close(self, content: bytes) -> bytes:
        """`content` under seal."""
        return hmac.digest(self._key, content, hashlib.sha256) + content

    def open(self, sealed: bytes) -> bytes | None:
        """The content; None: nobody who has the key has sealed it."""
        mac, content = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
        return content if hmac.compare_digest(mac, hmac.digest(self._key, content, hashlib.sha256)) else None


class Ticket(Struct, frozen=True, kw_only=True, array_like=True):
    """One request that a node hands on to another."""

    #: The process that it is for: a node, and its name for this run.
    node: str
    boot: str
    method: str
    #: Path and query as they were asked for.
    target: str
    #: SHA-256 of the body, hexadecimal.
    body: str
    #: Whose request it is: the address that the first node saw.
    address: str
    #: Unix seconds by the shared clock.
    at: float
    #: Makes it another one than any before.
    nonce: str


class Tickets:
    """Writes tickets, and takes each of them once."""

    def __init__(self, key: bytes) -> None:
        self._seal: Final = Seal(key, "cadencia-forwarded")
        #: Those of the last seconds, and when they came.
        self._seen: Final[OrderedDict[str, float]] = OrderedDict()

    def write(self, ticket: Ticket) -> str:
        """The ticket as the value of a header."""
        return base64.urlsafe_b64encode(self._seal.close(msgspec.json.encode(ticket))).decode()

    def take(self, text: str, *, node: str, boot: str, method: str, target: str, body: bytes, now: float) -> str | None:
        """Whose request it is, where `text` is a ticket for it; None: it is not, or not any more.

        Args:
            text: value of the header.
            node: this node's name.
            boot: its name for this run.
            method: of the request.
            target: its path and query.
            body: what came with it.
            now: unix seconds by the shared clock.
        """
        if len(text) > _MAX_TICKET:
            return None
        try:
            content = self._seal.open(base64.b64decode(text, altchars=b"-_", validate=True))
            ticket = None if content is None else msgspec.json.decode(content, type=Ticket)
        except (binascii.Error, ValueError, msgspec.DecodeError):
            return None
        if ticket is None or abs(now - ticket.at) > GOOD_FOR_S:
            return None
        if (ticket.node, ticket.boot, ticket.method, ticket.target) != (node, boot, method, target):
            return None
        if ticket.body != hashlib.sha256(body).hexdigest() or not self._first_time(ticket.nonce, now):
            return None
        return ticket.address

    def _first_time(self, nonce: str, now: float) -> bool:
        # Twice as long as a ticket is good: it may come from a clock that is ahead.
        while self._seen and (next(iter(self._seen.values())) < now - 2 * GOOD_FOR_S or len(self._seen) > _MOST_SEEN):
            self._seen.popitem(last=False)
        if nonce in self._seen:
            return False
        self._seen[nonce] = now
        return True
