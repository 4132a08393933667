"""By what a result is known, however often it is told: one told again has the same key (docs/adr/0017); pure.

Of what happens to a call once, type and call say which it is, also where it is told from the record and not word by
word. Every other result is known by all that it says, to the microsecond of its moment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable
from typing import Final

import msgspec

#: A call comes to each of these once at most.
ONCE: Final = frozenset({"call.started", "call.answered", "call.connected", "call.abandoned", "call.ended"})
#: These it comes to at a moment each.
_AT_A_MOMENT: Final = frozenset({"call.disposed"})
_DIGITS: Final = 32


class _Named(msgspec.Struct):
    type: str
    call: str = ""
    at: str = ""


_NAMED: Final = msgspec.json.Decoder(_Named)


def result_key(data: bytes) -> str:
    """The key of a result as it stands on the stream, whoever wrote it there; printable, up to some 200 characters."""
    try:
        named = _NAMED.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return hashlib.sha256(data).hexdigest()[:_DIGITS]  # none of ours
    if named.call and named.type in ONCE:
        return f"{named.type}/{named.call}"
    if named.call and named.type in _AT_A_MOMENT:
        return f"{named.type}/{named.call}/{named.at}"
    return f"{named.type}/{hashlib.sha256(data).hexdigest()[:_DIGITS]}"


def missing(results: Iterable[bytes], told: Container[str]) -> list[bytes]:
    """Those of `results` that are not among the keys `told`, each once, in their order."""
    found: dict[str, bytes] = {}
    for data in results:
        key = result_key(data)
        if key not in told:
            found.setdefault(key, data)
    return list(found.values())
