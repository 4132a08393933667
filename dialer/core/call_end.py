"""What is written down of a call that has ended."""

from __future__ import annotations

import math

from dialer.core.attempt import Attempt
from dialer.core.call import Call, CallState
from dialer.core.events import CallHungUp, HungUpBy
from dialer.core.outcome import Outcome, unanswered_outcome
from dialer.core.spending import Amount


def outcome_of(call: Call, event: CallHungUp, now: float) -> Outcome:
    """What became of a call whose channel is gone."""
    match call.state:
        case CallState.CONNECTED:
            return Outcome.CONNECTED
        case CallState.ABANDONED:
            return Outcome.ABANDONED
        case CallState.MACHINE:
            return Outcome.MACHINE
        case CallState.ANSWERED | CallState.WAITING:
            if call.rang_out:
                # They picked up in the moment in which we gave up: a person who found nobody.
                return Outcome.ABANDONED
            if call.hang_up_reason:
                return Outcome.CANCELLED
            waited_s = now - (call.answered_at or now)
            return Outcome.ABANDONED if waited_s > call.campaign.connect_within_s else Outcome.HUNG_UP
        case _:
            if call.recovered:
                return Outcome.LOST
            return unanswered_outcome(
                cause=event.cause,
                sip_code=event.sip_code,
                timed_out=event.timed_out or call.rang_out,
                rang=call.ringing_at is not None,
                cancelled=bool(call.hang_up_reason) and not call.rang_out,
            )


def cost_of(call: Call, now: float) -> Amount:
    """What the carrier takes for a call that ends at `now`, by its rate; of one without, its time alone."""
    answered_s = None if call.answered_at is None else max(0.0, now - call.answered_at)
    if call.rate is None:
        return Amount(0, math.ceil(answered_s or 0.0))
    return Amount(call.rate.cost_micros(answered_s), 0 if answered_s is None else call.rate.billed_s(answered_s))


def attempt_of(
    call: Call, outcome: Outcome, reason: str, by: HungUpBy, now: float, *, cause: int = 0, sip_code: int | None = None
) -> Attempt:
    """The record of a call that ends at `now`."""
    permit = call.permit
    cost = cost_of(call, now)
    return Attempt(
        call=call.id,
        campaign=permit.campaign,
        contact=permit.contact,
        phone=permit.phone,
        attempt_number=permit.attempt_number,
        outcome=outcome,
        reason=reason,
        started_at=call.started_at,
        ended_at=max(now, call.started_at),
        server=call.server,
        trunk=call.trunk,
        ringing_at=call.ringing_at,
        answered_at=call.answered_at,
        waiting_at=call.waiting_at,
        connected_at=call.connected_at,
        agent=call.agent if call.state is CallState.CONNECTED else None,
        cause=cause,
        sip_code=sip_code,
        hung_up_by=by.value,
        machine_verdict=call.machine_verdict,
        machine_verdict_s=call.machine_verdict_s,
        caller_id=call.caller_id,
        message_played=call.message_played,
        method=call.campaign.method,
        verdict=permit.verdict,
        connect_within_s=call.campaign.connect_within_s,
        opted_out=call.opted_out,
        machine_sampled=call.machine_sampled,
        cost_micros=None if call.rate is None else cost.micros,
        billed_s=cost.seconds,
        decision=call.decision,
    )
