"""The engine: `handle(event)` and `wake(now)` answer with what is to be done and what has come to be.

It never awaits, logs, reads a clock, draws randomness or touches a socket. Events must be handed in by one owner, in
the order in which they were learned; outputs are to be carried out in their order. An event that makes no sense in the
state it meets (late, repeated, unknown) changes nothing and is answered with `EventIgnored`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, assert_never

from dialer.core import events as ev
from dialer.core.agent_desk import AgentDesk, Callers
from dialer.core.call import Call
from dialer.core.call_desk import CallDesk
from dialer.core.commitment_desk import CommitmentDesk
from dialer.core.end_desk import EndDesk
from dialer.core.floor import Floor, Output, Server
from dialer.core.hold_desk import HoldDesk
from dialer.core.ids import AgentId, CallId, MonitorId, NodeName
from dialer.core.monitor_desk import MonitorDesk
from dialer.core.opt_out_desk import OptOutDesk
from dialer.core.pace_desk import PaceDesk
from dialer.core.preview_desk import PreviewDesk
from dialer.core.recording_desk import RecordingDesk
from dialer.core.recovery_desk import RecoveryDesk
from dialer.core.roster import Agent
from dialer.core.spending import Spending
from dialer.core.timers import Deadline
from dialer.core.trunks import TrunkLimits
from dialer.core.waiting_desk import WaitingDesk

#: After these an offer may be one that nobody should consent to any more.
_MAY_END_OFFERS: Final = (
    ev.CampaignConfigured,
    ev.CampaignOrdered,
    ev.AgentSignedIn,
    ev.AgentReassigned,
    ev.AgentPauseAsked,
    ev.AgentSignedOut,
)


class Engine:
    """One node's campaigns, agents and calls."""

    def __init__(
        self,
        *,
        node: NodeName,
        servers: Iterable[Server],
        trunks: Iterable[TrunkLimits],
        spending: Spending | None = None,
    ) -> None:
        self.floor = Floor(node=node, servers=servers, trunks=trunks, spending=spending)
        self._ends = EndDesk(self.floor, self._on_call_ended)
        self._agents = AgentDesk(
            self.floor,
            Callers(
                on_idle=self._on_idle,
                on_left=self._on_left,
                on_end=self._ends.cancel,
                on_hold_lost=self._on_hold_lost,
            ),
        )
        self._holds = HoldDesk(self.floor, self._agents, self._ends)
        self._waiting = WaitingDesk(self.floor, self._agents, self._holds, self._ends)
        self._calls = CallDesk(self.floor, self._agents, self._holds, self._ends, self._waiting)
        self._pace = PaceDesk(self.floor, self._agents, self._ends)
        self._previews = PreviewDesk(self.floor, self._agents, self._holds, self._pace)
        self._commitments = CommitmentDesk(self.floor, self._agents)
        self._recovery = RecoveryDesk(self.floor, self._agents, self._ends, self._waiting)
        self._opt_outs = OptOutDesk(self.floor)
        self.recordings = RecordingDesk(self.floor)
        self.monitors = MonitorDesk(self.floor)

    def handle(self, event: ev.AnyEvent) -> list[Output]:
        """Take one event in."""
        floor = self.floor
        floor.now = max(floor.now, event.at)
        self._dispatch(event)
        if isinstance(event, _MAY_END_OFFERS):
            self._previews.review()
        self._decide()
        return self.monitors.follow(self.recordings.follow(floor.take_outputs()))

    def _on_idle(self, agent: Agent) -> None:
        # Whoever waits on the line comes first, then what was promised; the pacers count on who is left.
        self._waiting.serve(agent)
        self._holds.serve(agent)

    def _on_left(self, call: CallId) -> None:
        self._waiting.agent_left(call)

    def _on_call_ended(self, call: Call) -> None:
        if call.guaranteed:
            self._holds.ended(call)
        self._agents.call_ended(call)

    def _on_hold_lost(self, agent: Agent) -> None:
        if self._previews.looks(agent.id):
            self._previews.agent_gone(agent)
        else:
            self._holds.agent_gone(agent)

    def _decide(self) -> None:
        self._pace.decide_all()
        self._previews.ask_all()

    def next_deadline(self) -> float | None:
        """When `wake` is due next, unix seconds."""
        return self.floor.timers.next_at()

    def wake(self, now: float) -> list[Output]:
        """Deal with every deadline that has passed by `now`."""
        floor = self.floor
        floor.now = max(floor.now, now)
        for key in floor.timers.due(floor.now):
            self._on_deadline(key)
        self._decide()
        return self.monitors.follow(self.recordings.follow(floor.take_outputs()))

    def _dispatch(self, event: ev.AnyEvent) -> None:
        match event:
            case ev.CallRinging():
                self._calls.rang(event)
            case ev.CallAnswered():
                self._calls.answered(event)
            case ev.CallJoined():
                self._waiting.joined(event)
            case ev.CallHungUp():
                self._ends.hung_up(event)
            case ev.OriginateHandedOver():
                self._calls.handed_over(event)
            case ev.OriginateNotSent():
                self._calls.not_sent(event)
            case ev.OriginateFailed():
                self._ends.refused(event)
            case ev.MachineDetected():
                self._calls.detected(event)
            case ev.MessagePlayed():
                self._calls.message_played(event)
            case ev.CustomerOptedOut():
                self._opt_outs.pressed(event)
            case ev.DoNotCallWritten():
                self._opt_outs.written(event)
            case ev.OptOutTold():
                self._opt_outs.told(event)
            case ev.CallPurged():
                self._calls.purged(event)
            case ev.CallDisposed():
                self._calls.disposed(event)
            case ev.HangupAsked():
                self._ends.hangup_asked(event)
            case ev.PermitsGranted():
                self._pace.granted(event)
            case ev.ContactGranted():
                self._holds.granted(event)
            case ev.ContactsDue():
                self._holds.due(event)
            case ev.CallbacksAhead():
                self._commitments.ahead(event)
            case ev.ContactsOffered():
                self._previews.offered(event)
            case ev.OfferAnswered():
                self._previews.answered(event)
            case ev.CallAsked():
                # Whoever asks for a call has no eyes for the one that they are shown.
                self._previews.withdraw(event.agent, "asked_for_a_call")
                self._holds.asked(event)
            case ev.HopperSeen():
                self._pace.hopper_seen(event)
            case ev.CampaignConfigured():
                self._pace.configured(event)
            case ev.CampaignOrdered():
                self._pace.ordered(event)
            case ev.AgentPhoneUp():
                self._agents.phone_up(event)
            case ev.AgentPhoneGone():
                self._agents.phone_gone(event)
            case ev.AgentSignedIn():
                self._agents.signed_in(event)
            case ev.AgentReassigned():
                self._agents.reassigned(event)
            case ev.AgentReadied():
                self._agents.readied(event)
            case ev.AgentPauseAsked():
                self._agents.pause_asked(event)
            case ev.AgentSignedOut():
                self._agents.signed_out(event)
            case ev.AgentHungUp():
                self._agents.hung_up(event)
            case ev.AgentPageLeft():
                self._agents.page_left(event)
            case ev.AgentPageCame():
                self._agents.page_came(event)
            case ev.ServerConnected():
                self._recovery.server_connected(event)
            case ev.ServerLost():
                self._recovery.server_lost(event)
            case ev.ServerTakesCalls():
                self._recovery.takes_calls(event)
            case ev.CallRecovered():
                self._recovery.recovered(event)
            case ev.RecordingAsked():
                self.recordings.asked(event)
            case ev.RecordingAnswered():
                self.recordings.answered(event)
            case ev.RecordingAnnounced():
                self.recordings.announced(event)
            case ev.RecordingStopped():
                self.recordings.stopped(event)
            case ev.RecordingFound():
                self.recordings.found(event)
            case ev.MonitorAsked():
                self.monitors.asked(event)
            case ev.MonitorChangeAsked():
                self.monitors.change_asked(event)
            case ev.MonitorEndAsked():
                self.monitors.end_asked(event)
            case ev.MonitorPhoneUp():
                self.monitors.phone_up(event)
            case ev.MonitorPhoneGone():
                self.monitors.phone_gone(event)
            case _:
                assert_never(event)

    def _on_deadline(self, deadline: Deadline) -> None:
        kind, name = deadline
        match kind:
            case "pace":
                pass  # decide_all follows
            case "ring":
                self._ends.ring_over(CallId(name))
            case "detection":
                self._calls.detection_over(CallId(name))
            case "abandon":
                self._waiting.wait_over(CallId(name))
            case "join":
                self._waiting.join_over(CallId(name))
            case "hang-up":
                self._ends.hang_up_again(CallId(name))
            case "message":
                self._ends.message_over(CallId(name))
            case "missing":
                self._ends.missing_over(CallId(name))
            case "recording":
                self.recordings.start_over(CallId(name))
            case "monitor":
                self.monitors.phone_timed_out(MonitorId(name))
            case "hold" if self._previews.looks(AgentId(name)):
                self._previews.expired(AgentId(name))
            case "hold":
                self._holds.timed_out(AgentId(name))
            case "offers":
                pass  # ask_all follows
            case "wrapup":
                self._agents.wrapup_over(AgentId(name))
            case "agent-phone":
                self._agents.phone_timed_out(AgentId(name))
            case "agent-again":
                self._agents.recall(AgentId(name))
            case "agent-page":
                self._agents.page_stays_away(AgentId(name))
            case _:
                raise AssertionError(f"no desk for the deadline {deadline!r}")
