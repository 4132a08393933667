"""How long a phone may ring, and how long a carrier may be silent.

The law counts from the first ringing, and the time until then belongs to the carrier: the engine gives a call up so
long after `CallRinging`. Asterisk knows one limit only, from the originate on; it is set so far behind that it never
ends a phone's ringing, and is there for the day on which nobody tells Asterisk anything any more.
"""

from __future__ import annotations

from typing import Final

#: 47 CFR 64.1200(a)(6) and the Telemarketing Sales Rule: 15 seconds or four rings before a call may be given up.
MIN_RING_S: Final = 15.0
#: What carriers commonly need until the phone rings. Some never say that it does: such a call is given up only when its
#: phone, had it begun to ring by then, has had its time.
SETUP_S: Final = 5.0
#: Between the last moment at which the engine ends a call and the one at which Asterisk does.
OUTER_MARGIN_S: Final = 5.0


def rings_for_s(ring_timeout_s: float) -> float:
    """Seconds from the first ringing after which an unanswered call is given up."""
    return max(MIN_RING_S, ring_timeout_s)


def silent_for_s(ring_timeout_s: float) -> float:
    """Seconds from the originate after which a call is given up of which the carrier has said nothing."""
    return SETUP_S + rings_for_s(ring_timeout_s)


def outer_limit_s(ring_timeout_s: float) -> float:
    """Seconds from the originate after which Asterisk itself ends an unanswered call."""
    return silent_for_s(ring_timeout_s) + rings_for_s(ring_timeout_s) + OUTER_MARGIN_S
