"""How calls end: their end is asked for until it is heard of, or they are given up; and what each attempt comes to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dialer.core.call import Call, CallState, CallStep
from dialer.core.call_end import attempt_of, cost_of, outcome_of
from dialer.core.commands import FinishCall, HangUp
from dialer.core.events import CallHungUp, HangupAsked, HungUpBy, OriginateFailed
from dialer.core.floor import Floor
from dialer.core.ids import CallId
from dialer.core.notices import CallEnded, CallWasAbandoned
from dialer.core.outcome import Outcome
from dialer.core.retry import needs_agent, retry_at
from dialer.core.ringing import outer_limit_s

#: A hang-up that overtakes its originate finds no channel yet: it is asked for again until the call has ended.
HANG_UP_AGAIN_S = 0.3
#: … and less often once that cannot be the reason any more.
HANG_UP_AGAIN_LATER_S = 3.0
#: Nothing that hears us lives for so long after it was told to end (an INVITE that a carrier never answers lasts 32 s).
HANG_UP_GIVEN_UP_S = 60.0
#: A call that was ended because it had rung long enough, and of whose end no word comes, is given up after this.
RING_MARGIN_S = 5.0
#: So long the channel may still come to be of a call that a list of channels lacks: its originate waits in Asterisk's
#: own queue, for a second or so, or in what the network brings late.
MISSING_S = 5.0

#: What the pacer is told of an end without a live person.
_PACED_OUTCOME = {
    Outcome.BUSY: "busy",
    Outcome.NO_ANSWER: "no_answer",
    Outcome.REJECTED: "busy",
    Outcome.INVALID: "invalid",
    Outcome.MACHINE: "machine",
    Outcome.CONGESTION: "congestion",
    Outcome.CANCELLED: "cancelled",
    Outcome.FAILED: "failed",
    Outcome.LOST: "cancelled",
}


class EndDesk:
    """Ends calls.

    Args:
        floor: where they are.
        on_ended: is told of every call that is over.
    """

    def __init__(self, floor: Floor, on_ended: Callable[[Call], None]) -> None:
        self._floor = floor
        self._on_ended = on_ended

    def refused(self, event: OriginateFailed) -> None:
        """Asterisk refused before a channel existed."""
        call = self._floor.known_call(event.call, "OriginateFailed")
        if call is not None:
            counts = not (event.stopping and call.state is CallState.DIALING)
            self._end(call, Outcome.FAILED, event.reason, HungUpBy.DIALER, counts=counts)

    def hung_up(self, event: CallHungUp) -> None:
        """The channel is gone: the attempt has an outcome."""
        call = self._floor.known_call(event.call, "CallHungUp")
        if call is None:
            return
        outcome = outcome_of(call, event, self._floor.now)
        reason = call.hang_up_reason or ("ring time-out" if event.timed_out and call.ringing_at is not None else "")
        if not reason:
            reason = f"SIP {event.sip_code}" if event.sip_code is not None else f"cause {event.cause}"
        self._end(call, outcome, reason, event.by, cause=event.cause, sip_code=event.sip_code)

    def hangup_asked(self, event: HangupAsked) -> None:
        """Somebody ends a call."""
        call = self._floor.known_call(event.call, "HangupAsked")
        if call is not None:
            self.cancel(call, f"ended by {event.by}")

    def cancel(self, call: Call, reason: str) -> None:
        """Hang up whatever the state."""
        call.hang_up_reason = call.hang_up_reason or reason
        self._floor.stop_waiting(call)
        if call.state is not CallState.RESERVED:
            self.hang_up(call)

    def machine(self, call: Call) -> None:
        """A machine has answered; nobody talks with it."""
        self._floor.stop_waiting(call)
        call.take(CallStep.MACHINE)
        call.machine_sampled = False
        self._floor.timers.cancel(("detection", call.id))
        call.hang_up_reason = "machine"
        self.hang_up(call)
        self._tell_end(call, Outcome.MACHINE)

    def hang_up(self, call: Call) -> None:
        """Ask for its end, and again until it has ended."""
        floor = self._floor
        if call.server in floor.servers:
            floor.emit(HangUp(call=call.id, server=call.server))
        else:
            self.hang_up_anywhere(call.id)
        if call.hang_up_asked_at is None and floor.connected(call.server):
            call.hang_up_asked_at = floor.now
        asked_for_s = floor.now - (call.hang_up_asked_at or floor.now)
        again_s = HANG_UP_AGAIN_S if asked_for_s < HANG_UP_AGAIN_LATER_S else HANG_UP_AGAIN_LATER_S
        floor.timers.set(("hang-up", call.id), floor.now + again_s)

    def hang_up_anywhere(self, call_id: CallId) -> None:
        """Ask every server for the end of a call of which nobody knows where it is."""
        floor = self._floor
        floor.emit(*(HangUp(call=call_id, server=name) for name in floor.servers if floor.connected(name)))

    def hang_up_again(self, call_id: CallId) -> None:
        """A call that was to end has not ended."""
        floor = self._floor
        call = floor.calls.get(call_id)
        if call is None:
            return
        if not floor.connected(call.server):
            floor.timers.set(("hang-up", call.id), floor.now + HANG_UP_AGAIN_LATER_S)
        elif call.hang_up_asked_at is not None and floor.now >= call.hang_up_asked_at + HANG_UP_GIVEN_UP_S:
            self.lost(call, "no word from the switch")
        else:
            self.hang_up(call)

    def ring_over(self, call_id: CallId) -> None:
        """It has rung, or its carrier has been silent, for long enough; no word of its end comes: give it up."""
        floor = self._floor
        call = floor.calls.get(call_id)
        if call is None or not call.unanswered:
            return
        if not floor.connected(call.server):
            floor.timers.set(("ring", call.id), floor.now + RING_MARGIN_S)  # the reconnection will tell
        elif call.given_up:
            self._end(call, Outcome.LOST, "no word from the switch", HungUpBy.DIALER)
        else:
            call.given_up = True
            if not call.hang_up_reason:
                call.rang_out = True
                call.hang_up_reason = "no ringing" if call.ringing_at is None else "ring time-out"
            self.hang_up(call)
            # Until Asterisk has ended it by itself, whether it hears us or not, its number is not free. What an earlier
            # process left behind may not exist at all.
            certain_at = call.started_at + outer_limit_s(call.campaign.ring_timeout_s)
            floor.timers.set(
                ("ring", call.id), (floor.now if call.recovered else max(floor.now, certain_at)) + RING_MARGIN_S
            )

    def message_over(self, call_id: CallId) -> None:
        """The message has had its time."""
        call = self._floor.calls.get(call_id)
        if call is not None and call.state is CallState.ABANDONED:
            self.hang_up(call)

    def lost(self, call: Call, reason: str) -> None:
        """Its channel is gone and nobody told us how it ended."""
        outcome = Outcome.CONNECTED if call.connected_at is not None else Outcome.LOST
        if call.state is CallState.ABANDONED:
            outcome = Outcome.ABANDONED
        self._end(call, outcome, reason, HungUpBy.NETWORK)

    def missing(self, call: Call, reason: str) -> None:
        """Nobody has its channel, which may still come to be: until then its contact and number stay taken."""
        if not call.missing:
            call.missing = True
            # Should it be there after all, then nobody is given to it.
            call.hang_up_reason = call.hang_up_reason or reason
            self._tell_end(call, Outcome.LOST)
        self._floor.timers.set(("missing", call.id), self._floor.now + MISSING_S)

    def missing_over(self, call_id: CallId) -> None:
        """Its channel has had its time."""
        floor = self._floor
        call = floor.calls.get(call_id)
        if call is None:
            return
        if call.server not in floor.servers:
            # It may be on one of those that are away, but no longer than Asterisk itself lets a phone ring.
            certain_at = call.started_at + outer_limit_s(call.campaign.ring_timeout_s)
            if floor.now < certain_at and not all(floor.connected(name) for name in floor.servers):
                floor.timers.set(("missing", call.id), floor.now + MISSING_S)
            else:
                self.lost(call, call.hang_up_reason)
        elif floor.connected(call.server):  # otherwise the reconnection will tell
            self.hang_up(call)
            if call.state is CallState.DIALING:
                self.lost(call, call.hang_up_reason)

    def found(self, call: Call) -> None:
        """A later list has it. Nobody knows how far it has come: end it rather than let somebody listen to nothing."""
        self._floor.timers.cancel(("missing", call.id))
        self.cancel(call, "left over by an earlier process")

    def _end(
        self,
        call: Call,
        outcome: Outcome,
        reason: str,
        by: HungUpBy,
        *,
        cause: int = 0,
        sip_code: int | None = None,
        counts: bool = True,
    ) -> None:
        floor = self._floor
        told_machine = call.state is CallState.MACHINE
        was_abandoned = call.state is CallState.ABANDONED
        was_answered = call.state in {CallState.ANSWERED, CallState.WAITING}
        connected = call.state is CallState.CONNECTED
        attempt = attempt_of(call, outcome, reason, by, floor.now, cause=cause, sip_code=sip_code)
        if not counts:
            attempt = replace(attempt, attempt_number=0)
        floor.stop_waiting(call)
        if outcome is Outcome.ABANDONED and was_answered:
            self.tell_abandoned(call)
        elif not (connected or told_machine or was_abandoned or call.missing):
            self._tell_end(call, outcome)
        self.forget(call)
        floor.spending.settle(call.id, cost_of(call, floor.now))
        if counts:
            floor.trunks.ended(call.server, call.trunk, outcome, floor.now)
            floor.caller_ids.call_ended(call.campaign.pool, call.caller_id, outcome, floor.now)
        else:
            floor.caller_ids.not_started(call.caller_id, floor.now)
        again_at = None
        if not (call.purged or call.lent):
            again_at = retry_at(call.campaign, attempt, call.permit, call.promised_until)
        floor.emit(
            FinishCall(
                attempt=attempt,
                fencing_token=call.permit.fencing_token,
                retry_at=again_at,
                needs_agent=again_at is not None and counts and needs_agent(call.campaign, outcome),
            ),
            CallEnded(at=floor.now, attempt=attempt, retry_at=again_at),
        )
        self._on_ended(call)

    def _tell_end(self, call: Call, outcome: Outcome) -> None:
        run = self._floor.run_of(call)
        # Of a guaranteed call the pacer has heard since its answer, and not before.
        if run is not None and not (call.guaranteed and call.answered_at is None):
            pacer = run.pacers.get(call.server)  # none has heard of a call that was taken over before its agents came
            if pacer is not None:
                pacer.call_ended(self._floor.now, call.id, _PACED_OUTCOME.get(outcome, "cancelled"))

    def tell_abandoned(self, call: Call) -> None:
        """Nobody was there for somebody who answered."""
        floor = self._floor
        run = floor.run_of(call)
        if run is not None:
            run.pacers[call.server].call_abandoned(floor.now, call.id)
        permit = call.permit
        floor.emit(
            CallWasAbandoned(
                at=floor.now,
                call=call.id,
                campaign=permit.campaign,
                contact=permit.contact,
                phone=permit.phone,
                wait_s=floor.now - (call.answered_at or floor.now),
            )
        )

    def forget(self, call: Call) -> None:
        """It is none of the calls any more."""
        floor = self._floor
        run = floor.run_of(call)
        if run is not None and call.id in run.calls:
            run.calls.remove(call.id)
            run.reserved -= call.state is CallState.RESERVED
            if call.unanswered and not call.guaranteed:
                run.unanswered[call.server] -= 1
        if call.trunk is not None:
            floor.trunks.release(call.server, call.trunk)
        for kind in ("ring", "detection", "abandon", "join", "message", "hang-up", "missing"):
            floor.timers.cancel((kind, call.id))
        call.take(CallStep.END)
        floor.calls.pop(call.id, None)
