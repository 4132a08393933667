"""What happens to calls between the hand-over to the switch and their end, and who gets the people who answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dialer.core.agent import AgentState
from dialer.core.agent_desk import AgentDesk
from dialer.core.attempt import is_late
from dialer.core.call import Call, CallState, CallStep
from dialer.core.call_end import attempt_of, cost_of, outcome_of
from dialer.core.commands import ConnectCall, FinishCall, HangUp, HangUpAgent, PlayMessage, ReportPurge, ReturnPermit
from dialer.core.events import (
    CallAnswered,
    CallDisposed,
    CallHungUp,
    CallJoined,
    CallPurged,
    CallRinging,
    HangupAsked,
    HungUpBy,
    MachineDetected,
    MessagePlayed,
    OriginateFailed,
    OriginateHandedOver,
    OriginateNotSent,
    Verdict,
)
from dialer.core.floor import Floor
from dialer.core.ids import CallId, ServerName, node_of
from dialer.core.machine_sample import in_sample
from dialer.core.notices import (
    CallConnected,
    CallEnded,
    CallRang,
    CallStarted,
    CallWasAbandoned,
    CallWasAnswered,
    CallWasDisposed,
)
from dialer.core.opt_out_desk import opt_out_ref
from dialer.core.outcome import Outcome
from dialer.core.retry import needs_agent, retry_at
from dialer.core.ringing import outer_limit_s, rings_for_s, silent_for_s
from dialer.core.roster import Agent
from dialer.core.saying import say
from dialer.core.screen_pop import screen_pop
from dialer.core.segment import segment_of
from dialer.core.spending import Amount

if TYPE_CHECKING:
    from dialer.core.hold_desk import HoldDesk

#: The move into the agent's room takes milliseconds; after this the agent's phone cannot be trusted.
JOIN_TIMEOUT_S = 1.0
#: Longest abandonment message; after it the channel is hung up by us.
MESSAGE_TIMEOUT_S = 30.0
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

_NOT_MOVED = say("customer could not be moved to the agent", code="agent_phone_not_in_room")

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


class CallDesk:
    """Moves calls through their states."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self.agents: AgentDesk  # set by the engine: the desks know each other
        self.holds: HoldDesk

    # ---- from the switch

    def handed_over(self, event: OriginateHandedOver) -> None:
        """The originate is on its way: the call has started."""
        call = self._known(event.call, "OriginateHandedOver")
        if call is None or not self._take(call, CallStep.HAND_OVER, "OriginateHandedOver"):
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
            self.holds.started(call)
        if call.hang_up_reason:
            self._hang_up(call)

    def not_sent(self, event: OriginateNotSent) -> None:
        """Not a byte went out: the contact goes back as it was."""
        call = self._known(event.call, "OriginateNotSent")
        if call is None or call.state is not CallState.RESERVED:
            return
        self._forget(call)
        self._floor.spending.settle(call.id, Amount())
        self._floor.caller_ids.not_started(call.caller_id, self._floor.now)
        self._floor.emit(ReturnPermit(permit=call.permit, reason=event.reason, not_before_at=call.waited_until))
        if call.guaranteed:
            self.holds.not_sent(call, event.reason)

    def refused(self, event: OriginateFailed) -> None:
        """Asterisk refused before a channel existed."""
        call = self._known(event.call, "OriginateFailed")
        if call is not None:
            counts = not (event.stopping and call.state is CallState.DIALING)
            self._end(call, Outcome.FAILED, event.reason, HungUpBy.DIALER, counts=counts)

    def rang(self, event: CallRinging) -> None:
        """The callee's phone rings: its time begins, and begins anew where there was only early media before."""
        call = self._known(event.call, "CallRinging")
        if call is None:
            return
        if call.ringing_at is None:
            if not self._take(call, CallStep.RING, "CallRinging"):
                return
            self._floor.emit(CallRang(at=event.at, call=call.id, campaign=call.permit.campaign))
        elif call.state is not CallState.RINGING or call.alerting or not event.alerting:
            return
        call.ringing_at, call.alerting = event.at, event.alerting
        if not call.hang_up_reason:
            self._floor.timers.set(("ring", call.id), event.at + rings_for_s(call.campaign.ring_timeout_s))

    def answered(self, event: CallAnswered) -> None:
        """Somebody or something picked up."""
        call = self._known(event.call, "CallAnswered")
        if call is None:
            self._end_ghost(event.call)
            return
        if call.answered_at is not None:
            return
        if not self._take(call, CallStep.ANSWER, "CallAnswered"):
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
            self._hang_up(call)
        elif call.campaign.machine_detection is None:
            self._person(call)
        else:
            floor.timers.set(("detection", call.id), call.answered_at + call.campaign.machine_detection.deadline_s)

    def detected(self, event: MachineDetected) -> None:
        """Machine detection came to a verdict; it counts only while no agent is concerned."""
        call = self._known(event.call, "MachineDetected")
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
            self._person(call)
        elif not human and call.agent is None and call.can(CallStep.MACHINE):
            self._machine(call)

    def joined(self, event: CallJoined) -> None:
        """The customer is in the agent's room."""
        floor = self._floor
        call = self._known(event.call, "CallJoined")
        agent = floor.roster.get(event.agent)
        if call is None or agent is None or agent.call != call.id or agent.state is not AgentState.RESERVED:
            if call is not None and call.state is not CallState.CONNECTED:
                floor.ignore("CallJoined", f"call is {call.state}")
            return
        if not self._take(call, CallStep.JOIN, "CallJoined"):
            return
        call.connected_at = max(event.at, call.answered_at or event.at)
        floor.timers.cancel(("join", call.id))
        floor.timers.cancel(("abandon", call.id))
        self.holds.joined(call)
        self.agents.joined(agent)
        run = floor.run_of(call)
        wait_s = call.connected_at - (call.answered_at or call.connected_at)
        late = is_late(call.answered_at, call.connected_at, call.campaign.connect_within_s)
        if run is not None and late:
            # Met after all, and yet too late for the rule: it costs the budget what any abandoned call does.
            run.pacers[call.server].call_abandoned(floor.now, call.id)
        elif run is not None:
            run.pacers[call.server].call_connected(floor.now, call.id, agent.id)
        permit = call.permit
        floor.emit(
            CallConnected(
                at=call.connected_at,
                call=call.id,
                campaign=permit.campaign,
                contact=permit.contact,
                phone=permit.phone,
                agent=agent.id,
                wait_s=wait_s,
                screen_pop=screen_pop(call),
                late=late,
                machine_sampled=call.machine_sampled,
            )
        )

    def message_played(self, event: MessagePlayed) -> None:
        """The message is over; Asterisk hangs up by itself."""
        call = self._floor.calls.get(event.call)
        if call is not None:
            call.message_played = event.complete

    def hung_up(self, event: CallHungUp) -> None:
        """The channel is gone: the attempt has an outcome."""
        call = self._known(event.call, "CallHungUp")
        if call is None:
            return
        outcome = outcome_of(call, event, self._floor.now)
        reason = call.hang_up_reason or ("ring time-out" if event.timed_out and call.ringing_at is not None else "")
        if not reason:
            reason = f"SIP {event.sip_code}" if event.sip_code is not None else f"cause {event.cause}"
        self._end(call, outcome, reason, event.by, cause=event.cause, sip_code=event.sip_code)

    # ---- from people and the CRM

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
                self._hang_up(call)
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

    def hangup_asked(self, event: HangupAsked) -> None:
        """Somebody ends a call."""
        call = self._known(event.call, "HangupAsked")
        if call is not None:
            self.cancel(call, f"ended by {event.by}")

    def cancel(self, call: Call, reason: str) -> None:
        """Hang up whatever the state."""
        call.hang_up_reason = call.hang_up_reason or reason
        self._stop_waiting(call)
        if call.state is not CallState.RESERVED:
            self._hang_up(call)

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
            self.agents.disposed(agent)

    # ---- agents

    def serve(self, agent: Agent) -> None:
        """An agent has become idle: give them whoever has waited longest."""
        floor = self._floor
        if not floor.connected(agent.server):
            return
        best: Call | None = None
        for run in floor.campaigns.values():
            if not run.waiting or not agent.serves(run.campaign):
                continue
            for call_id in run.waiting:
                call = floor.calls[call_id]
                if call.server == agent.server:
                    if best is None or (call.answered_at or 0.0) < (best.answered_at or 0.0):
                        best = call
                    break
        if best is not None:
            self._give(best, agent)

    # ---- deadlines

    def detection_over(self, call_id: CallId) -> None:
        """No verdict in time: whoever it is gets an agent before two seconds are up."""
        call = self._floor.calls.get(call_id)
        if call is not None and call.state is CallState.ANSWERED and not call.hang_up_reason:
            self._person(call)

    def wait_over(self, call_id: CallId) -> None:
        """Nobody was free in time."""
        floor = self._floor
        call = floor.calls.get(call_id)
        if call is None or call.state is not CallState.WAITING or call.agent is not None:
            return
        self._stop_waiting(call)
        if call.machine_sampled:
            self._machine(call)
            return
        call.take(CallStep.ABANDON)
        call.hang_up_reason = call.hang_up_reason or "no agent in time"
        floor.emit(
            PlayMessage(
                call=call.id,
                message=call.campaign.message,
                server=call.server,
                opt_out_key=call.campaign.opt_out_key,
            )
        )
        self._tell_abandoned(call)
        floor.timers.set(("message", call.id), floor.now + MESSAGE_TIMEOUT_S)

    def join_over(self, call_id: CallId) -> None:
        """The customer did not arrive in the agent's room: that room is not to be trusted, another agent is."""
        floor = self._floor
        call = floor.calls.get(call_id)
        if call is None or call.state is not CallState.WAITING or call.agent is None:
            return
        if not floor.connected(call.server):
            return  # they may have met without our hearing of it; the reconnection will tell
        agent = floor.roster.get(call.agent)
        call.agent = None
        if agent is not None and agent.call == call.id:
            floor.emit(HangUpAgent(agent=agent.id, server=agent.server))
            self.agents.lose(agent, _NOT_MOVED)
            if agent.state is AgentState.LOST:  # and not gone home, as they had asked to
                self.agents.reconnect(agent)
        self._wait_or_give(call)

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
            self._hang_up(call)

    def message_over(self, call_id: CallId) -> None:
        """The message has had its time."""
        call = self._floor.calls.get(call_id)
        if call is not None and call.state is CallState.ABANDONED:
            self._hang_up(call)

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
            self._hang_up(call)
            # Until Asterisk has ended it by itself, whether it hears us or not, its number is not free. What an earlier
            # process left behind may not exist at all.
            certain_at = call.started_at + outer_limit_s(call.campaign.ring_timeout_s)
            floor.timers.set(
                ("ring", call.id), (floor.now if call.recovered else max(floor.now, certain_at)) + RING_MARGIN_S
            )

    # ---- recovery

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
            self._hang_up(call)
            if call.state is CallState.DIALING:
                self.lost(call, call.hang_up_reason)

    def found(self, call: Call) -> None:
        """A later list has it. Nobody knows how far it has come: end it rather than let somebody listen to nothing."""
        self._floor.timers.cancel(("missing", call.id))
        self.cancel(call, "left over by an earlier process")

    def agent_left(self, call_id: CallId) -> None:
        """An agent's phone went while a customer was being moved to it: the customer waits on."""
        call = self._floor.calls.get(call_id)
        if call is not None and call.state is CallState.WAITING and call.agent is not None:
            call.agent = None
            self._floor.timers.cancel(("join", call.id))
            self._wait_or_give(call)

    def server_is_back(self, call: Call) -> None:
        """Its channel has outlived the loss of the connection."""
        floor = self._floor
        call.hang_up_asked_at = None
        if call.state is CallState.WAITING and call.agent is not None:
            # Whether they have met meanwhile is said right after the list of channels.
            floor.timers.set(("join", call.id), floor.now + JOIN_TIMEOUT_S)

    def give_to_idle(self, server: ServerName) -> None:
        """A server is back: who waits there and is still in time gets whoever is idle there."""
        floor = self._floor
        for call in [c for c in floor.calls.values() if c.server == server and c.state is CallState.WAITING]:
            if call.agent is None and not call.hang_up_reason:
                self._wait_or_give(call)

    # ---- inside

    def _known(self, call_id: CallId, event: str) -> Call | None:
        call = self._floor.calls.get(call_id)
        if call is None:
            self._floor.ignore(event, "no such call")
        return call

    def _end_ghost(self, call_id: CallId) -> None:
        """Somebody has picked up a call of this node that we had given up: nobody will ever talk to them."""
        floor = self._floor
        if node_of(call_id) == floor.node:
            self._hang_up_anywhere(call_id)

    def _hang_up_anywhere(self, call_id: CallId) -> None:
        floor = self._floor
        floor.emit(*(HangUp(call=call_id, server=name) for name in floor.servers if floor.connected(name)))

    def _take(self, call: Call, step: CallStep, event: str) -> bool:
        if call.can(step):
            call.take(step)
            return True
        self._floor.ignore(event, f"call is {call.state}")
        return False

    def _hang_up(self, call: Call) -> None:
        floor = self._floor
        if call.server in floor.servers:
            floor.emit(HangUp(call=call.id, server=call.server))
        else:
            self._hang_up_anywhere(call.id)
        if call.hang_up_asked_at is None and floor.connected(call.server):
            call.hang_up_asked_at = floor.now
        asked_for_s = floor.now - (call.hang_up_asked_at or floor.now)
        again_s = HANG_UP_AGAIN_S if asked_for_s < HANG_UP_AGAIN_LATER_S else HANG_UP_AGAIN_LATER_S
        floor.timers.set(("hang-up", call.id), floor.now + again_s)

    def _count_answer(self, call: Call) -> None:
        run = self._floor.run_of(call)
        if run is not None and call.id in run.calls and not call.guaranteed:
            run.unanswered[call.server] -= 1

    def _person(self, call: Call) -> None:
        floor = self._floor
        floor.timers.cancel(("detection", call.id))
        call.take(CallStep.PERSON)
        call.waiting_at = floor.now
        run = floor.run_of(call)
        if run is not None:
            run.answered[call.server] += 1
            run.pacers[call.server].call_answered(floor.now, call.id)
        self._wait_or_give(call)

    def _machine(self, call: Call) -> None:
        self._stop_waiting(call)
        call.take(CallStep.MACHINE)
        call.machine_sampled = False
        self._floor.timers.cancel(("detection", call.id))
        call.hang_up_reason = "machine"
        self._hang_up(call)
        self._tell_end(call, Outcome.MACHINE)

    def _wait_or_give(self, call: Call) -> None:
        floor = self._floor
        if call.hang_up_reason:
            return  # its end has been asked for
        agent = None
        if floor.connected(call.server):
            agent = self.holds.agent_for(call) or floor.roster.choose(call.campaign, call.server)
        if agent is not None:
            self._give(call, agent)
            return
        run = floor.run_of(call)
        if run is not None and call.id not in run.waiting:
            run.waiting.append(call.id)
        deadline = (call.answered_at or floor.now) + call.campaign.connect_within_s
        floor.timers.set(("abandon", call.id), max(deadline, floor.now))

    def _give(self, call: Call, agent: Agent) -> None:
        floor = self._floor
        self._stop_waiting(call)
        call.agent = agent.id
        self.agents.reserve(agent, call)
        floor.emit(ConnectCall(call=call.id, agent=agent.id, server=call.server))
        floor.timers.set(("join", call.id), floor.now + JOIN_TIMEOUT_S)

    def _stop_waiting(self, call: Call) -> None:
        self._floor.timers.cancel(("abandon", call.id))
        run = self._floor.run_of(call)
        if run is not None and call.id in run.waiting:
            run.waiting.remove(call.id)

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
        agent = floor.roster.get(call.agent) if call.agent is not None else None
        self._stop_waiting(call)
        if outcome is Outcome.ABANDONED and was_answered:
            self._tell_abandoned(call)
        elif not (connected or told_machine or was_abandoned or call.missing):
            self._tell_end(call, outcome)
        self._forget(call)
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
        if call.guaranteed:
            self.holds.ended(call)
        if agent is not None and agent.call == call.id:
            if agent.state is AgentState.RESERVED:
                self.agents.unreserve(agent)
            else:
                self.agents.talk_ended(agent, call.campaign.wrapup_limit_s)

    def _tell_end(self, call: Call, outcome: Outcome) -> None:
        run = self._floor.run_of(call)
        # Of a guaranteed call the pacer has heard since its answer, and not before.
        if run is not None and not (call.guaranteed and call.answered_at is None):
            pacer = run.pacers.get(call.server)  # none has heard of a call that was taken over before its agents came
            if pacer is not None:
                pacer.call_ended(self._floor.now, call.id, _PACED_OUTCOME.get(outcome, "cancelled"))

    def _tell_abandoned(self, call: Call) -> None:
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

    def _forget(self, call: Call) -> None:
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
