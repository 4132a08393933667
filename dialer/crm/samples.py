"""Results as they could come, to show what would be written of them: made by the very functions that make real ones."""

from __future__ import annotations

from typing import Final

from dialer.core.attempt import Attempt
from dialer.core.disposition import DispositionCode
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone
from dialer.core.outcome import Outcome
from dialer.queues.results import Result, call_disposed, call_ended

_PHONE: Final = Phone("+34600111222")
_CALL: Final = CallId("node1-0a1b2c3d-17")
_AGENT: Final = AgentId("agent01")
#: 31 January 2030, 12:00 UTC; how long it rings, and how long they talk.
_STARTED_AT: Final = 1_896_091_200.0
_RINGS_S, _TALKS_S = 8.5, 61.1
_AGAIN_S: Final = 7_200.0
#: Somebody answered; an agent came to the first of them only.
_ANSWERED: Final = frozenset({Outcome.CONNECTED, Outcome.ABANDONED, Outcome.HUNG_UP, Outcome.MACHINE})


def sample_ended(campaign: CampaignId, contact: ContactId, outcome: Outcome, *, again: bool) -> Result:
    """The end of a call; `again`: the contact will be called again."""
    answered = outcome in _ANSWERED
    connected = outcome is Outcome.CONNECTED
    answered_at = _STARTED_AT + _RINGS_S if answered else None
    connected_at = _STARTED_AT + _RINGS_S + 0.4 if connected else None
    ended_at = _STARTED_AT + _RINGS_S + (0.4 + _TALKS_S if connected else 2.0)
    attempt = Attempt(
        call=_CALL,
        campaign=campaign,
        contact=contact,
        phone=_PHONE,
        attempt_number=1,
        outcome=outcome,
        reason="" if connected else outcome.replace("_", " "),
        started_at=_STARTED_AT,
        ended_at=ended_at,
        ringing_at=_STARTED_AT + 1.0,
        answered_at=answered_at,
        waiting_at=answered_at,
        connected_at=connected_at,
        agent=_AGENT if connected else None,
        hung_up_by="customer" if answered else "network",
    )
    return call_ended(attempt, ended_at + _AGAIN_S if again else None)


def sample_disposed(campaign: CampaignId, contact: ContactId, code: DispositionCode, currency: str) -> Result:
    """A call closed with a code of the campaign."""
    return call_disposed(
        _STARTED_AT + 90.0,
        campaign=campaign,
        contact=contact,
        phone=_PHONE,
        call=_CALL,
        agent=_AGENT,
        ref=None,
        code=code.code,
        category=code.category.value,
        is_sale=code.is_sale,
        is_contact=code.is_contact,
        amount="129.90" if code.needs_amount or code.is_sale else None,
        currency=currency if code.needs_amount or code.is_sale else None,
        notes="pays by card",
        by=_AGENT,
    )
