"""What happens to calls between the hand-over to the switch and the answer, and what people and the CRM say of them."""

from __future__ import annotations

from dialer.core.agent import AgentState
from dialer.core.agent_desk import AgentDesk
from dialer.core.call import Call, CallState, CallStep
from dialer.core.commands import ReportPurge, ReturnPermit
from dialer.core.end_desk import EndDesk
from dialer.core.events import (
    CallAnswered,
    CallDisposed,
    CallPurged,
    CallRinging,
    MachineDetected,
    MessagePlayed,
    OriginateHandedOver,
    OriginateNotSent,
    Verdict,
)
from dialer.core.floor import Floor
from dialer.core.hold_desk import HoldDesk
from dialer.core.ids import CallId, node_of
from dialer.core.machine_sample import in_sample
from dialer.core.notices import CallRang, CallStarted, CallWasAnswered, CallWasDisposed
from dialer.core.opt_out_desk import opt_out_ref
from dialer.core.ringing import rings_for_s, silent_for_s
from dialer.core.segment import segment_of
from dialer.core.spending import Amount
from dialer.core.waiting_desk import WaitingDesk


class CallDesk:
    """Follows calls to the answer."""

    def __init__(self, floor: Floor, agents: AgentDesk, holds: HoldDesk, ends: EndDesk, waiting: WaitingDesk) -> None:
        self._floor = floor
        self._agents = agents
        self._holds = holds
        self._ends = ends
        self._waiting = waiting

    def handed_over(self, event: OriginateHandedOver) -> None:
        """The originate is on its way: the call has started."""
        call = self._floor.known_call(event.call, "OriginateHandedOver")
        if call is None or not self._floor.take(call, CallStep.HAND_OVER, "OriginateHandedOver"):
            return
        call.started_at = event.at
        permit = call.permit
        self._floor.timers.set(("ring", call.id), event.at + silent_for_s(call.campaign.ring_timeout_s))
        run = self._floor.run_of(call)
        if run is not None:
            run.reserved -= 1
            if not call.guaranteed:
                run.pacers[call.server].call_started(event.at, call.id, segment_of(permit, event.at))
        self._floor.emit(
            CallStarted(
                at=event.at,
                call=call.id,
                campaign=permit.campaign,
                contact=permit.contact,
                phone=permit.phone,
                server=call.server,
                trunk=call.trunk,
                attempt_number=permit.attempt_number,
            )
        )
        if call.guaranteed:
            self._holds.started(call)
        if call.hang_up_reason:
            self._ends.hang_up(call)

    def not_sent(self, event: OriginateNotSent) -> None:
        """Not a byte went out: the contact goes back as it was."""
        call = self._floor.known_call(event.call, "OriginateNotSent")
        if call is None or call.state is not CallState.RESERVED:
            return
        self._ends.forget(call)
        self._floor.spending.settle(call.id, Amount())
        self._floor.caller_ids.not_started(call.caller_id, self._floor.now)
        self._floor.emit(ReturnPermit(permit=call.permit, reason=event.reason, not_before_at=call.waited_until))
        if call.guaranteed:
            self._holds.not_sent(call, event.reason)

    def rang(self, event: CallRinging) -> None:
        """The callee's phone rings: its time begins, and begins anew where there was only early media before."""
        call = self._floor.known_call(event.call, "CallRinging")
        if call is None:
            return
        if call.ringing_at is None:
            if not self._floor.take(call, CallStep.RING, "CallRinging"):
                return
            self._floor.emit(CallRang(at=event.at, call=call.id, campaign=call.permit.campaign))
        elif call.state is not CallState.RINGING or call.alerting or not event.alerting:
            return
        call.ringing_at, call.alerting = event.at, event.alerting
        if not call.hang_up_reason:
            self._floor.timers.set(("ring", call.id), event.at + rings_for_s(call.campaign.ring_timeout_s))

    def answered(self, event: CallAnswered) -> None:
        """Somebody or something picked up."""
        call = self._floor.known_call(event.call, "CallAnswered")
        if call is None:
            self._end_ghost(event.call)
            return
        if call.answered_at is not None:
            return
        if not self._floor.take(call, CallStep.ANSWER, "CallAnswered"):
            return
        floor = self._floor
        call.answered_at = max(event.at, call.started_at)
        floor.timers.cancel(("ring", call.id))
        self._count_answer(call)
        floor.emit(
            CallWasAnswered(
                at=call.answered_at,
                call=call.id,
                campaign=call.permit.campaign,
                contact=call.permit.contact,
                phone=call.permit.phone,
                ring_s=call.answered_at - call.started_at,
            )
        )
        if call.hang_up_reason:
            # The carrier had not replied when we asked for the end, and rang them all the same.
            self._ends.hang_up(call)
        elif call.campaign.machine_detection is None:
            self._waiting.person(call)
        else:
            floor.timers.set(("detection", call.id), call.answered_at + call.campaign.machine_detection.deadline_s)

    def detected(self, event: MachineDetected) -> None:
        """Machine detection came to a verdict; it counts only while no agent is concerned."""
        call = self._floor.known_call(event.call, "MachineDetected")
        if call is None or call.machine_verdict is not None:
            return
        call.machine_verdict = event.verdict.value
        if call.answered_at is not None:
            call.machine_verdict_s = max(0.0, event.at - call.answered_at)
        settings = call.campaign.machine_detection
        unsure_is_human = settings is None or settings.unsure_is_human
        human = event.verdict is Verdict.HUMAN or (event.verdict is Verdict.UNSURE and unsure_is_human)
        if not human and call.state is CallState.ANSWERED and not call.hang_up_reason:
            call.machine_sampled = in_sample(call.id, call.campaign.machine_sample_share)
        if (human or call.machine_sampled) and call.state is CallState.ANSWERED and not call.hang_up_reason:
            self._waiting.person(call)
        elif not human and call.agent is None and call.can(CallStep.MACHINE):
            self._ends.machine(call)

    def detection_over(self, call_id: CallId) -> None:
        """No verdict in time: whoever it is gets an agent before two seconds are up."""
        call = self._floor.calls.get(call_id)
        if call is not None and call.state is CallState.ANSWERED and not call.hang_up_reason:
            self._waiting.person(call)

    def message_played(self, event: MessagePlayed) -> None:
        """The message is over; Asterisk hangs up by itself."""
        call = self._floor.calls.get(event.call)
        if call is not None:
            call.message_played = event.complete

    def purged(self, event: CallPurged) -> None:
        """The CRM withdraws this contact or number: hang up while it rings, leave a talk alone."""
        call = self._floor.calls.get(event.call)
        if call is None:
            return  # it has ended meanwhile; the tombstone stands
        effect = "too_late"
        call.purged = True
        if event.ref == opt_out_ref(call.id):
            return  # they said so during this very call
        if call.unanswered:
            effect = "cancelled"
            call.hang_up_reason = call.hang_up_reason or ("do not call" if event.kind == "dnc" else "removed")
            if call.state is not CallState.RESERVED:
                self._ends.hang_up(call)
        self._floor.emit(
            ReportPurge(
                call=call.id,
                ref=event.ref,
                kind=event.kind,
                effect=effect,
                campaign=call.permit.campaign,
                contact=call.permit.contact,
                phone=call.permit.phone,
                reason=event.reason,
                written_at=None if event.waited_s is None else event.at - event.waited_s,
            )
        )

    def disposed(self, event: CallDisposed) -> None:
        """A call under way, or just ended and still being wrapped up, is closed with a code."""
        floor = self._floor
        agent = next((a for a in floor.roster if a.call == event.call), None)
        call = floor.calls.get(event.call)
        permit = call.permit if call is not None else agent.permit if agent is not None else None
        if permit is None:
            floor.ignore("CallDisposed", "call is over and wrapped up")
            return
        floor.emit(
            CallWasDisposed(
                at=floor.now,
                call=permit.call,
                campaign=permit.campaign,
                contact=permit.contact,
                phone=permit.phone,
                code=event.code,
                agent=event.agent or (agent.id if agent is not None else None),
                amount=event.amount,
                notes=event.notes,
                ref=event.ref,
                currency=event.currency,
                by=event.by,
                meaning=event.meaning,
            )
        )
        if agent is not None and agent.state in {AgentState.TALKING, AgentState.WRAPUP}:
            self._agents.disposed(agent)

    def _end_ghost(self, call_id: CallId) -> None:
        """Somebody has picked up a call of this node that we had given up: nobody will ever talk to them."""
        floor = self._floor
        if node_of(call_id) == floor.node:
            self._ends.hang_up_anywhere(call_id)

    def _count_answer(self, call: Call) -> None:
        run = self._floor.run_of(call)
        if run is not None and call.id in run.calls and not call.guaranteed:
            run.unanswered[call.server] -= 1
