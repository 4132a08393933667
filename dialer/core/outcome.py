"""How an attempt ended, and how that is read off what the switch said.

Asterisk's ``OriginateResponse`` cannot tell busy from unallocated (its ``Reason`` is 0 for both), and ``DialEnd`` calls
a 404 "NOANSWER"; so the verdict is taken from the ``Hangup`` event's ``Cause`` (ITU-T Q.850) and ``TechCause`` (the SIP
status), as recorded in ``tests/data/ami``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Outcome(StrEnum):
    """What became of one attempt; every attempt has exactly one."""

    #: A live person who talked with an agent.
    CONNECTED = "connected"
    #: A live person, and no agent within the campaign's limit.
    ABANDONED = "abandoned"
    #: A live person who hung up before an agent came, within the limit.
    HUNG_UP = "hung_up"
    MACHINE = "machine"
    BUSY = "busy"
    #: It rang until our time-out, or the far end gave up ringing.
    NO_ANSWER = "no_answer"
    #: The callee's side refused (603 and the like).
    REJECTED = "rejected"
    #: No such number.
    INVALID = "invalid"
    #: The carrier had no way, or never said a word.
    CONGESTION = "congestion"
    #: Hung up by us before an answer: a removal, a do-not-call entry, a stop.
    CANCELLED = "cancelled"
    #: Never dialed: the switch refused the request.
    FAILED = "failed"
    #: Nobody can know: the process or the connection died meanwhile.
    LOST = "lost"


#: Outcomes in which a live person answered: the denominator of the abandonment rate.
LIVE: Final = frozenset({Outcome.CONNECTED, Outcome.ABANDONED, Outcome.HUNG_UP})

_BY_SIP: Final[Mapping[int, Outcome]] = {
    401: Outcome.FAILED,
    403: Outcome.FAILED,
    404: Outcome.INVALID,
    407: Outcome.FAILED,
    # Whoever is called did not react at all: a phone that is switched off or out of reach.
    408: Outcome.NO_ANSWER,
    410: Outcome.INVALID,
    480: Outcome.NO_ANSWER,
    484: Outcome.INVALID,
    486: Outcome.BUSY,
    487: Outcome.NO_ANSWER,
    500: Outcome.CONGESTION,
    502: Outcome.CONGESTION,
    503: Outcome.CONGESTION,
    504: Outcome.CONGESTION,
    600: Outcome.BUSY,
    603: Outcome.REJECTED,
    604: Outcome.INVALID,
    607: Outcome.REJECTED,
    608: Outcome.REJECTED,
}
_BY_Q850: Final[Mapping[int, Outcome]] = {
    1: Outcome.INVALID,
    3: Outcome.CONGESTION,
    17: Outcome.BUSY,
    18: Outcome.NO_ANSWER,
    19: Outcome.NO_ANSWER,
    20: Outcome.NO_ANSWER,
    21: Outcome.REJECTED,
    22: Outcome.INVALID,
    27: Outcome.CONGESTION,
    28: Outcome.INVALID,
    34: Outcome.CONGESTION,
    38: Outcome.CONGESTION,
    41: Outcome.CONGESTION,
    42: Outcome.CONGESTION,
}


def unanswered_outcome(*, cause: int, sip_code: int | None, timed_out: bool, rang: bool, cancelled: bool) -> Outcome:
    """Outcome of a dialed call that nobody answered.

    Args:
        cause: Q.850 cause of the Hangup event; 0 where Asterisk knew none.
        sip_code: status from ``TechCause``, where the carrier sent one.
        timed_out: our own ring time-out ended it (``OriginateResponse`` reason 3).
        rang: ringing or early media was seen before the end.
        cancelled: we asked for the hang-up.
    """
    if cancelled:
        return Outcome.CANCELLED
    if timed_out:
        # Without ringing the carrier never said a word: that is the trunk's fault, not an absent person.
        return Outcome.NO_ANSWER if rang else Outcome.CONGESTION
    if sip_code is not None and sip_code in _BY_SIP:
        return _BY_SIP[sip_code]
    if cause in _BY_Q850:
        return _BY_Q850[cause]
    if sip_code is not None and sip_code >= 500:
        return Outcome.CONGESTION
    return Outcome.NO_ANSWER if rang else Outcome.CONGESTION
