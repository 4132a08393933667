"""What a TURN server is asked to find out whether it would serve a browser: the messages alone, no socket.

A relay address is asked for without a password, which tells the realm, then with one (RFC 8489, long-term credentials),
and is given back at once (RFC 8656).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from dialer.errors import RemoteProtocolError

#: Begins every message of STUN since RFC 5389, after its type and length.
_COOKIE: Final = bytes.fromhex("2112a442")
HEADER_BYTES: Final = 20
#: No answer to us is longer; one that says it is comes from something else.
MOST_BYTES: Final = 4_096
_ALLOCATE: Final = 0x003
_REFRESH: Final = 0x004
_SUCCESS: Final = 0x100
_ERROR: Final = 0x110
_USERNAME: Final = 0x0006
_INTEGRITY: Final = 0x0008
_ERROR_CODE: Final = 0x0009
_LIFETIME: Final = 0x000D
_REALM: Final = 0x0014
_NONCE: Final = 0x0015
_TRANSPORT: Final = 0x0019
_UDP: Final = bytes([17, 0, 0, 0])
_UNAUTHORIZED: Final = 401
_STALE_NONCE: Final = 438
#: A server that takes each of its own nonces for stale is given up.
_MOST_TRIES: Final = 3


class TurnVerdict(StrEnum):
    """What a TURN server thinks of a name and its password."""

    SERVES = "serves"
    #: It would serve others: this password is not the one that it makes of the name.
    REFUSES_PASSWORD = "refuses_password"  # noqa: S105  (a verdict)
    #: It has said no for another reason: `TurnProbe.code`.
    REFUSES = "refuses"


@dataclass(frozen=True, slots=True)
class _Message:
    kind: int
    transaction: bytes
    attributes: Mapping[int, bytes]


@dataclass(slots=True)
class TurnProbe:
    """One look at one server; what `begin`, `receive` and `end` return has to be sent.

    Args:
        username: as browsers get it.
        password: for it.
        transaction: makes 12 bytes that nobody can guess.
    """

    username: str
    password: str
    transaction: Callable[[], bytes]
    verdict: TurnVerdict | None = None
    #: Of the refusal (RFC 8656, section 19); 0: none.
    code: int = 0
    _asked: bytes = b""
    _sent: bytes = b""
    _tries: int = 0
    _credentials: dict[int, bytes] = field(default_factory=dict)

    def begin(self) -> bytes:
        """Ask for a relay address, as somebody who does not know the realm yet."""
        return self._ask(_ALLOCATE, {_TRANSPORT: _UDP})

    def again(self) -> bytes:
        """The same once more, where nothing has come back."""
        return self._sent

    def receive(self, data: bytes) -> bytes:
        """What to send next, if anything; `verdict` is set once there is one.

        Raises:
            RemoteProtocolError: that is no answer of a TURN server.
        """
        message = _parse(data)
        if self.verdict is not None or message.transaction != self._asked:
            return b""
        if message.kind == _ALLOCATE | _SUCCESS:
            self.verdict = TurnVerdict.SERVES
            return b""
        if message.kind != _ALLOCATE | _ERROR:
            raise RemoteProtocolError(f"an answer of type {message.kind:#06x} to a request for a relay address")
        code = _code(message.attributes.get(_ERROR_CODE, b""))
        realm, nonce = message.attributes.get(_REALM), message.attributes.get(_NONCE)
        challenged = code == _STALE_NONCE or (code == _UNAUTHORIZED and not self._credentials)
        if challenged and realm and nonce and self._tries < _MOST_TRIES:
            self._credentials = {_USERNAME: self.username.encode(), _REALM: realm, _NONCE: nonce}
            return self._ask(_ALLOCATE, {_TRANSPORT: _UDP})
        self.code = code
        known = code == _UNAUTHORIZED and bool(self._credentials)
        self.verdict = TurnVerdict.REFUSES_PASSWORD if known else TurnVerdict.REFUSES
        return b""

    def end(self) -> bytes:
        """Give the address back, where there is one; nobody need wait for the answer."""
        return self._ask(_REFRESH, {_LIFETIME: bytes(4)}) if self.verdict is TurnVerdict.SERVES else b""

    def _ask(self, method: int, attributes: Mapping[int, bytes]) -> bytes:
        self._tries += 1
        self._asked = self.transaction()
        body = b"".join(_attribute(kind, value) for kind, value in {**attributes, **self._credentials}.items())
        if self._credentials:
            # MD5 and SHA-1 are what the protocol has.
            parts = b":".join((self._credentials[_USERNAME], self._credentials[_REALM], self.password.encode()))
            key = hashlib.md5(parts, usedforsecurity=False).digest()
            # The length that is signed has the signature's own 24 bytes in it.
            signed = _header(method, len(body) + 24, self._asked) + body
            body += _attribute(_INTEGRITY, hmac.new(key, signed, hashlib.sha1).digest())
        self._sent = _header(method, len(body), self._asked) + body
        return self._sent


def length_of(header: bytes) -> int:
    """How many bytes follow the first `HEADER_BYTES` of a message.

    Raises:
        RemoteProtocolError: no message of STUN begins so.
    """
    length = int.from_bytes(header[2:4], "big")
    if len(header) < HEADER_BYTES or header[0] & 0xC0 or header[4:8] != _COOKIE or length % 4 or length > MOST_BYTES:
        raise RemoteProtocolError("what came is no message of STUN")
    return length


def _parse(data: bytes) -> _Message:
    length = length_of(data[:HEADER_BYTES])
    if len(data) != HEADER_BYTES + length:
        raise RemoteProtocolError("a message of STUN that is longer or shorter than it says")
    attributes: dict[int, bytes] = {}
    rest = data[HEADER_BYTES:]
    while rest:
        kind, size = int.from_bytes(rest[:2], "big"), int.from_bytes(rest[2:4], "big")
        if len(rest) < 4 + size:
            raise RemoteProtocolError("an attribute of STUN that is longer than its message")
        # The first of a kind counts.
        attributes.setdefault(kind, rest[4 : 4 + size])
        rest = rest[4 + size + -size % 4 :]
    return _Message(int.from_bytes(data[:2], "big"), data[8:HEADER_BYTES], attributes)


def _code(value: bytes) -> int:
    return 100 * (value[2] & 0x07) + value[3] if len(value) >= 4 else 0


def _header(method: int, length: int, transaction: bytes) -> bytes:
    return method.to_bytes(2, "big") + length.to_bytes(2, "big") + _COOKIE + transaction


def _attribute(kind: int, value: bytes) -> bytes:
    return kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + bytes(-len(value) % 4)
