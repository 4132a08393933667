"""Campaigns at work: their orders, how many calls to start, and what becomes of the gate's permits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from dialer.core.agent_desk import AgentDesk
from dialer.core.call import Call, CallState
from dialer.core.call_start import COST_CAP, NO_CALLER_ID, put_off_until, start_call
from dialer.core.campaign import ORDERS, Campaign, CampaignState
from dialer.core.commands import RequestPermits, ReturnPermit
from dialer.core.end_desk import EndDesk
from dialer.core.events import CampaignConfigured, CampaignOrdered, HopperSeen, PermitsGranted
from dialer.core.floor import CampaignRun, Floor
from dialer.core.ids import ServerName
from dialer.core.notices import CampaignChanged, GateAnswered, PaceDecided
from dialer.core.pacers import Pacers, history_weights
from dialer.core.permit import Permit
from dialer.core.spending import Scope, of_trunk
from dialer.core.whole_pace import cut, together
from pacing import Decision

#: Decisions of one campaign are at least this far apart; whatever happens in between is seen by the next.
DECIDE_EVERY_S = 0.1
#: Without any event a decision is due after this: calls that go on ringing become less likely to be answered.
DECIDE_AT_LEAST_EVERY_S = 0.5
#: Whoever watches sees the agents and the budget move also while nothing is decided anew.
PUBLISH_AT_LEAST_EVERY_S = 1.0
#: An empty hopper is asked again after this, so that a new contact is dialed within a second.
EMPTY_PAUSE_S = 0.5
#: Most contacts asked for at once: the gate stays short, and the rest follows in DECIDE_EVERY_S.
BATCH = 100
#: A request that nobody has answered by then is not waited for any longer. Whatever the gate gives later has expired.
REQUEST_TIMEOUT_S = 10.0


class PaceDesk:
    """Turns the pacers' decisions into requests for permits, and permits into calls."""

    def __init__(self, floor: Floor, agents: AgentDesk, ends: EndDesk) -> None:
        self._floor = floor
        self._agents = agents
        self._ends = ends

    # ---- campaigns

    def configured(self, event: CampaignConfigured) -> None:
        """Make the campaign known, or change its settings; the pacer forgets nothing unless its method changes."""
        floor, campaign = self._floor, event.campaign
        run = floor.campaigns.get(campaign.id)
        if run is None:
            answered = Counter(dict(event.answered))
            run = CampaignRun(
                campaign=campaign,
                state=CampaignState.DRAFT,
                pacers=Pacers(event, self._history(answered)),
                answered=answered,
            )
            floor.campaigns[campaign.id] = run
            if event.state is not CampaignState.DRAFT:
                self._move(run, event.state)
            return
        if _paced_alike(run.campaign, campaign):
            run.campaign = campaign
            return
        run.campaign = campaign
        run.pacers = Pacers(event, self._history(run.answered))
        for call_id in sorted(run.calls):
            call = floor.calls[call_id]
            if call.missing:
                continue
            if call.unanswered or call.state is CallState.WAITING:
                run.pacers[call.server].call_started(call.started_at or floor.now, call_id)
            if call.state is CallState.WAITING:
                run.pacers[call.server].call_answered(call.waiting_at or floor.now, call_id)
        for agent in floor.roster:
            if agent.focus == campaign.id:
                self._agents.tell_pacer(agent)

    def ordered(self, event: CampaignOrdered) -> None:
        """Start, pause, drain or stop, where that is possible."""
        run = self._floor.campaigns.get(event.campaign)
        if run is None:
            self._floor.ignore("CampaignOrdered", "no such campaign")
        elif event.state is run.state:
            return
        elif event.state not in ORDERS[run.state] and not event.elsewhere:
            self._floor.ignore("CampaignOrdered", f"campaign is {run.state}")
        else:
            self._move(run, event.state)

    # ---- pace

    def decide_all(self) -> None:
        """Let every running campaign decide, as far as it is time to."""
        for run in self._floor.campaigns.values():
            if run.state is CampaignState.RUNNING:
                self._decide(run)
            elif run.state is CampaignState.DRAINING and not run.calls and not self._awaits(run):
                self._move(run, CampaignState.STOPPED)

    def granted(self, event: PermitsGranted) -> None:
        """Start the calls that the gate permits; whatever cannot be started goes back."""
        floor = self._floor
        run = floor.campaigns.get(event.campaign)
        floor.emit(
            GateAnswered(
                at=floor.now,
                campaign=event.campaign,
                requested=event.requested,
                granted=len(event.permits),
                refused=event.refusals.counts,
                ready=event.ready,
                later=event.later,
            )
        )
        if run is None:
            for permit in event.permits:
                floor.emit(ReturnPermit(permit=permit, reason="no such campaign"))
            return
        run.requested = 0
        was_dry = run.dry
        self.seen(run, event.ready)
        if len(event.permits) < event.requested and not event.ready:
            run.ask_again_at = floor.now + EMPTY_PAUSE_S
        servers = self._servers(run)
        free = self._free(run)
        for permit in event.permits:
            if run.state is not CampaignState.RUNNING:
                floor.emit(ReturnPermit(permit=permit, reason=f"campaign is {run.state}"))
            elif permit.call in floor.calls:
                floor.ignore("PermitsGranted", "call id is in use")
            else:
                self._start(run, permit, servers, free)
        if run.dry is not was_dry:
            self._agents.refocus()

    def hopper_seen(self, event: HopperSeen) -> None:
        """An empty campaign may have use for agents again, and for fewer of them when its last calls have ended."""
        run = self._floor.campaigns.get(event.campaign)
        if run is not None and run.dry:
            self.seen(run, event.ready)
            if event.ready:
                run.ask_again_at = 0.0
            self._agents.refocus()

    def seen(self, run: CampaignRun, ready: int) -> None:
        """So many contacts can be called now."""
        # Once empty it has use for few agents, until there is somebody to call for each of them: contacts that come in
        # one by one must not take all agents from another campaign time and again.
        run.dry, run.ready = ready < (max(1, len(self._floor.roster)) if run.dry else 1), ready

    # ---- inside

    def _move(self, run: CampaignRun, state: CampaignState) -> None:
        floor = self._floor
        previous, run.state = run.state, state
        floor.emit(CampaignChanged(at=floor.now, campaign=run.campaign.id, state=state, previous=previous))
        # What the gate was asked for stays asked: two answers to one decision would be twice as many calls.
        run.ask_again_at = 0.0
        if state is CampaignState.STOPPED:
            for call in [floor.calls[call_id] for call_id in sorted(run.calls)]:
                if call.unanswered:
                    self._ends.cancel(call, "campaign stopped")
        if state is not CampaignState.RUNNING:
            floor.timers.cancel(("pace", run.campaign.id))
        self._agents.refocus()

    def _decide(self, run: CampaignRun) -> None:
        floor, now = self._floor, self._floor.now
        key = ("pace", run.campaign.id)
        if self._awaits(run):
            return
        due_at = max(run.decided_at + DECIDE_EVERY_S, run.ask_again_at)
        if now < due_at:
            floor.timers.set(key, due_at)
            return
        run.decided_at = now
        decisions = run.pacers.decide(now)
        decision = together(decisions, run.campaign.max_lines)
        run.wished = self._with_lines(run, decisions) if decision.dial > 0 else Counter()
        count = min(decision.dial, BATCH, run.wished.total())
        numbers = self._calls_from_numbers(run) if count > 0 else math.inf
        paid = floor.spending.may_start(run.campaign.id, self._ways(run, run.wished), now) if count > 0 else math.inf
        count = int(min(count, numbers, paid))
        short = "numbers" if count == numbers else "money" if count == paid else ""
        without = [name for name, its in decisions.items() if its.dial > run.wished[name]]
        self._publish(run, self._possible(run, decision, count, short, without if len(decisions) > 1 else ()))
        if count > 0:
            run.requested, run.requested_at = count, now
            floor.emit(RequestPermits(campaign=run.campaign.id, count=count))
        more_soon = decision.dial > count and numbers > 0
        floor.timers.set(key, now + (DECIDE_EVERY_S if more_soon else DECIDE_AT_LEAST_EVERY_S))

    def _calls_from_numbers(self, run: CampaignRun) -> float:
        """Calls that may be made from the campaign's numbers today; without numbers, any."""
        pool = run.campaign.pool
        return self._floor.caller_ids.left(pool, self._floor.now) if pool else math.inf

    def _possible(
        self, run: CampaignRun, wished: Decision, count: int, short_of: str, without: Sequence[ServerName]
    ) -> Decision:
        """What comes of the pacers' wish, with the reason of whoever cuts it; `without`: servers that lack lines."""
        if run.dry and not run.ready and (wished.dial or (wished.limit == "no_agents" and self._servers(run))):
            return cut(wished, 0, "no_contacts", "nobody on the list may be called now")
        if count == wished.dial:
            return wished
        if short_of == "money":
            return cut(wished, count, COST_CAP, self._why_unpaid(run))
        if short_of == "numbers":
            return cut(wished, count, "caller_ids", NO_CALLER_ID if count == 0 else "then " + NO_CALLER_ID)
        if count == BATCH:
            return cut(wished, count, "batch", f"the gate is asked for {BATCH} at once, the rest follows")
        where = f" on {' and '.join(without)}" if without else ""
        return cut(wished, count, "trunks", f"no line is free for the other {wished.dial - count}{where}")

    def _ways(self, run: CampaignRun, servers: Iterable[ServerName]) -> Iterator[Scope]:
        """The trunks of some servers that have a line for the campaign now."""
        ways = self._floor.trunks.ways(servers, run.campaign.trunks, self._floor.now)
        return (of_trunk(server, trunk) for server, trunk in ways)

    def _why_unpaid(self, run: CampaignRun) -> str:
        if self._floor.spending.exhausted(run.campaign.id, self._ways(run, run.wished)):
            return "what calls may cost today is used up"
        return "the next part of what calls may cost today is being asked for"

    def _publish(self, run: CampaignRun, decision: Decision) -> None:
        now, before = self._floor.now, run.last_decision
        if (
            decision.dial
            or before is None
            or (before.limit, before.dial) != (decision.limit, decision.dial)
            or now - run.published_at >= PUBLISH_AT_LEAST_EVERY_S
        ):
            run.last_decision, run.published_at = decision, now
            self._floor.emit(
                PaceDecided(at=now, campaign=run.campaign.id, decision=decision, method=run.campaign.method)
            )

    def _awaits(self, run: CampaignRun) -> bool:
        """Whether calls are on their way of which the pacer does not know: asked for, or permitted and not started."""
        if run.reserved:
            return True  # the hand-over of each comes next
        if not run.requested:
            return False
        due_at = run.requested_at + REQUEST_TIMEOUT_S
        if self._floor.now >= due_at:
            run.requested = 0
            return False
        self._floor.timers.set(("pace", run.campaign.id), due_at)
        return True

    def _with_lines(self, run: CampaignRun, decisions: Mapping[ServerName, Decision]) -> Counter[ServerName]:
        """The calls that pacers want, as far as their server is within reach and has lines for them."""
        trunks, preferred, now = self._floor.trunks, run.campaign.trunks, self._floor.now
        return Counter(
            {
                server: min(decisions[server].dial, trunks.available((server,), preferred, now))
                for server in self._servers(run)
                if server in decisions and decisions[server].dial > 0
            }
        )

    def _history(self, answered: Mapping[ServerName, int]) -> dict[ServerName, int]:
        servers = self._floor.servers.items()
        return history_weights({name: state.server.weight for name, state in servers}, answered)

    def _servers(self, run: CampaignRun) -> dict[ServerName, int]:
        staffed = self._floor.roster.staffed_by_server(run.campaign)
        return {server: count for server, count in staffed.items() if self._floor.connected(server)}

    def _free(self, run: CampaignRun) -> Counter[ServerName]:
        """Idle agents beyond the people who wait for one, by server."""
        free = self._floor.roster.idle_by_server(run.campaign)
        free.subtract(self._floor.calls[call_id].server for call_id in run.waiting)
        return free

    def _start(
        self, run: CampaignRun, permit: Permit, servers: dict[ServerName, int], free: Counter[ServerName]
    ) -> None:
        # Calls go where they are wanted: an answered customer can only be moved within one Asterisk. Where there are
        # fewer of them than were asked for, those who are idle come first.
        wanted = [name for name in servers if run.wished[name] > 0] if +run.wished else servers
        order = sorted(wanted, key=lambda name: (run.unanswered[name] + 1 - free[name]) / servers[name])
        call = start_call(self._floor, run, permit, order)
        if isinstance(call, Call):
            run.wished[call.server] -= 1
        else:
            until = put_off_until(call, self._floor.now)
            self._floor.emit(ReturnPermit(permit=permit, reason=call, not_before_at=until))


def _paced_alike(a: Campaign, b: Campaign) -> bool:
    def paced(c: Campaign) -> tuple[object, ...]:
        return (
            c.method,
            c.max_abandonment,
            c.connect_within_s,
            c.abandonment_windows,
            c.ring_timeout_s,
            c.max_lines,
            c.max_lines_per_agent,
            c.ratio,
        )

    return paced(a) == paced(b)
