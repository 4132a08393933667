"""Where spans belong: ids that follow from those of contacts, calls and lists, and their form in HTTP headers. Pure.

Under one key everybody comes to the same ids. Without it nobody can tell from an id whose it is: a contact's id may be
a number or a name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from dialer.core.ids import CallId, CampaignId, ContactId

KEY_BYTES: Final = 32
#: Header of both directions (W3C Trace Context, https://www.w3.org/TR/trace-context/).
TRACEPARENT: Final = "traceparent"

#: Of versions yet to come more may follow behind another dash; ff is none.
_TRACEPARENT: Final = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?", re.ASCII)
_TRACE_BYTES: Final = 16
_SPAN_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Place:
    """A span of a trace, by their numbers; neither is 0."""

    #: 128 bits.
    trace: int
    #: 64 bits.
    span: int

    @property
    def traceparent(self) -> str:
        """For an HTTP request that is part of this span, which is recorded."""
        return f"00-{self.trace:032x}-{self.span:016x}-01"


class Places:
    """Those of one installation.

    Args:
        key: 32 bytes, the same on all nodes and workers.
        share: of the contacts that are traced, from 0 to 1.
    """

    def __init__(self, key: bytes, share: float) -> None:
        assert len(key) == KEY_BYTES, "a key has 32 bytes"
        self._key: Final = key
        self._below: Final = int(share * (1 << 64))

    def traced(self, campaign: CampaignId, contact: ContactId) -> bool:
        """Whether this contact is among those that are traced: all of it is, or nothing."""
        return int.from_bytes(self._digest("share", campaign, contact)[:8]) < self._below

    def contact(self, campaign: CampaignId, contact: ContactId) -> Place:
        """How a contact came to us."""
        return self._place("contact", campaign, contact)

    def call(self, call: CallId) -> Place:
        """An attempt as a whole."""
        return self._place("call", call)

    def list(self, id: str) -> Place:
        """The import of a list."""
        return self._place("list", id)

    def within(self, parent: Place, *name: str) -> Place:
        """A part of `parent`; the same name is the same part."""
        return Place(parent.trace, self._place("within", f"{parent.span:x}", *name).span)

    def _place(self, *name: str) -> Place:
        digest = self._digest(*name)
        trace, span = int.from_bytes(digest[:_TRACE_BYTES]), int.from_bytes(digest[_TRACE_BYTES:])
        return Place(trace or 1, span or 1)

    def _digest(self, *name: str) -> bytes:
        # None of these names holds a control character, so that two different ones never become one text.
        text = "\0".join(name).encode("utf-8", "surrogatepass")
        return blake2b(text, key=self._key, digest_size=_TRACE_BYTES + _SPAN_BYTES).digest()


def read_traceparent(text: str) -> Place | None:
    """The caller's span as it stands in a header; None where that is none."""
    found = _TRACEPARENT.fullmatch(text) if len(text) <= 512 else None
    if found is None or (found[1] == "00" and found[4] is not None):
        return None
    trace, span = int(found[2], 16), int(found[3], 16)
    return Place(trace, span) if trace and span else None
