"""Preview dialing: idle agents are shown a contact, and it is called when they have consented (docs/adr/0011).

Of a campaign with that method only agents are shown contacts whom it is counted on by (see `dialer.core.focus`), for
whom nobody waits and to whom nothing was promised. An offer is a hold (`dialer.core.hold`) that begins with a person's
decision: `HoldDesk` has it from the consent on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dialer.core.agent_desk import AgentDesk
from dialer.core.campaign import CampaignState, PreviewExpiry
from dialer.core.commands import RequestOffers, ReturnOffer
from dialer.core.decision import Decision, DecisionKind
from dialer.core.events import ContactsOffered, OfferAnswered
from dialer.core.floor import CampaignRun, Floor
from dialer.core.hold import Hold, HoldState, HoldStep
from dialer.core.hold_desk import GRANT_TIMEOUT_S, HoldDesk
from dialer.core.ids import AgentId, MessageId
from dialer.core.notices import CallRequestAnswered, ContactWasOffered, GateAnswered, OfferClosed
from dialer.core.offer import PREVIEW, Offer, OfferEnd
from dialer.core.pace_desk import BATCH, EMPTY_PAUSE_S, REQUEST_TIMEOUT_S, PaceDesk
from dialer.core.roster import Agent
from dialer.core.screen_pop import field_texts, page_of

#: A contact stays with its agent for so long after their time is up: a consent of the last moment still has to pass the
#: gate.
KEEP_MARGIN_S: Final = GRANT_TIMEOUT_S + 5.0
#: Pause code of agents who leave too much unanswered.
UNANSWERED: Final = "unanswered"


class PreviewDesk:
    """Shows contacts, and takes the agents' decisions."""

    def __init__(self, floor: Floor, agents: AgentDesk, holds: HoldDesk, pace: PaceDesk) -> None:
        self._floor = floor
        self._agents = agents
        self._holds = holds
        self._pace = pace
        #: Whoever looks at a contact now.
        self._looking: dict[AgentId, Agent] = {}

    # ---- the gate

    def ask_all(self) -> None:
        """Ask for contacts for whoever is idle, as far as it is time to."""
        for run in self._floor.campaigns.values():
            if _previews(run):
                self._ask(run)

    def offered(self, event: ContactsOffered) -> None:
        """Show the contacts that may be called; whoever finds nobody goes back."""
        floor = self._floor
        run = floor.campaigns.get(event.campaign)
        floor.emit(
            GateAnswered(
                at=floor.now,
                campaign=event.campaign,
                requested=event.requested,
                granted=len(event.offers),
                refused=event.refusals.counts,
                ready=event.ready,
                later=event.later,
            )
        )
        free: Sequence[Agent] = ()
        if run is not None:
            run.requested = 0
            was_dry = run.dry
            self._pace.seen(run, event.ready)
            if len(event.offers) < event.requested and not event.ready:
                run.ask_again_at = floor.now + EMPTY_PAUSE_S
            if run.dry is not was_dry:
                self._agents.refocus()
            if _previews(run):
                free = self._free(run)
            for agent, offer in zip(free, event.offers, strict=False):
                self._show(run, agent, offer)
        for offer in event.offers[len(free) :]:
            self._give_back(offer, None)

    # ---- people

    def answered(self, event: OfferAnswered) -> None:
        """An agent has decided."""
        agent = self._looking.get(event.agent)
        hold = None if agent is None else agent.hold
        if agent is None or hold is None or hold.contact != event.contact:
            self._tell(event.ref, reason="no_such_offer")
            return
        agent.unanswered = 0
        if event.consent:
            hold.decision = Decision(kind=DecisionKind.CONSENTED, at=self._floor.now, by=event.by)
            self._consent(agent, hold, event.ref)
            return
        self._tell(event.ref)
        run = self._floor.campaigns.get(hold.campaign)
        rests_s = 0.0 if run is None else run.campaign.preview_skip_s
        self._close(agent, HoldStep.SKIP, OfferEnd.SKIPPED, event.reason, rests_s)

    def looks(self, agent_id: AgentId) -> bool:
        """Whether an agent is being shown a contact."""
        return agent_id in self._looking

    def expired(self, agent_id: AgentId) -> None:
        """An agent has had their time."""
        agent = self._looking[agent_id]
        hold = agent.hold
        assert hold is not None, "who looks is held"
        run = self._floor.campaigns.get(hold.campaign)
        agent.unanswered += 1
        most = None if run is None else run.campaign.preview_pause_after
        gone = most is not None and agent.unanswered >= most
        if gone:
            agent.unanswered, agent.pause_asked = 0, UNANSWERED
        elif run is not None and run.campaign.preview_on_expiry is PreviewExpiry.CALL:
            hold.decision = Decision(kind=DecisionKind.EXPIRED, at=self._floor.now)
            self._consent(agent, hold, None)
            return
        self._close(agent, HoldStep.TIME_OUT, OfferEnd.EXPIRED)

    def withdraw(self, agent_id: AgentId, reason: str) -> None:
        """Take back what an agent is shown, if anything."""
        agent = self._looking.get(agent_id)
        if agent is not None:
            self._close(agent, HoldStep.WITHDRAW, OfferEnd.WITHDRAWN, reason)

    def review(self) -> None:
        """Take back what must not be called any more: its agent goes, or its campaign does."""
        for agent in list(self._looking.values()):
            run = None if agent.hold is None else self._floor.campaigns.get(agent.hold.campaign)
            if run is None or not _previews(run) or not agent.serves(run.campaign):
                self.withdraw(agent.id, "campaign_not_running")
            elif agent.leaving:
                self.withdraw(agent.id, "agent_leaves")

    def agent_gone(self, agent: Agent) -> None:
        """The phone of an agent is gone who was being shown a contact."""
        del self._looking[agent.id]
        hold, agent.hold = agent.hold, None
        assert hold is not None, "who looks is held"
        hold.take(HoldStep.AGENT_GONE)
        self._floor.timers.cancel(("hold", agent.id))
        self._over(agent, hold, OfferEnd.WITHDRAWN, "agent_not_there", None)

    # ---- inside

    def _ask(self, run: CampaignRun) -> None:
        floor, key = self._floor, ("offers", run.campaign.id)
        if run.requested:
            due_at = run.requested_at + REQUEST_TIMEOUT_S
            if floor.now < due_at:
                floor.timers.set(key, due_at)
                return
            run.requested = 0
        free = self._free(run)
        if not free:
            return
        if floor.now < run.ask_again_at:
            floor.timers.set(key, run.ask_again_at)
            return
        run.requested, run.requested_at = min(len(free), BATCH), floor.now
        keep_s = run.campaign.preview_s + KEEP_MARGIN_S
        floor.emit(RequestOffers(campaign=run.campaign.id, count=run.requested, keep_s=keep_s))
        floor.timers.set(key, floor.now + REQUEST_TIMEOUT_S)

    def _free(self, run: CampaignRun) -> list[Agent]:
        floor = self._floor
        return [
            agent
            for agent in floor.roster.idle()
            if agent.focus == run.campaign.id
            and agent.serves(run.campaign)
            and not agent.leaving
            and floor.connected(agent.server)
        ]

    def _show(self, run: CampaignRun, agent: Agent, offer: Offer) -> None:
        floor = self._floor
        hold = Hold(
            campaign=offer.campaign, contact=offer.contact, state=HoldState.OFFERED, phone=offer.phone, offer=offer
        )
        self._agents.hold(agent, hold)
        self._looking[agent.id] = agent
        answer_by_at = floor.now + run.campaign.preview_s
        floor.timers.set(("hold", agent.id), answer_by_at)
        own = {"id": offer.contact, "name": offer.name, "phone": offer.phone, "campaign": offer.campaign}
        page = page_of(run.campaign.screen_pop, field_texts(offer.fields, **own))
        floor.emit(ContactWasOffered(at=floor.now, agent=agent.id, offer=offer, answer_by_at=answer_by_at, url=page))

    def _consent(self, agent: Agent, hold: Hold, ref: MessageId | None) -> None:
        del self._looking[agent.id]
        hold.take(HoldStep.CONSENT)
        hold.ref = ref
        self._holds.consented(agent, hold)

    def _close(
        self, agent: Agent, step: HoldStep, end: OfferEnd, reason: str = "", rests_s: float | None = None
    ) -> None:
        del self._looking[agent.id]
        hold = agent.hold
        assert hold is not None, "who looks is held"
        hold.take(step)
        self._over(agent, hold, end, reason, None if not rests_s else self._floor.now + rests_s)
        self._agents.let_go(agent)

    def _over(self, agent: Agent, hold: Hold, end: OfferEnd, reason: str, not_before_at: float | None) -> None:
        offer = hold.offer
        assert offer is not None, "what is looked at was offered"
        self._give_back(offer, not_before_at)
        self._floor.emit(
            OfferClosed(
                at=self._floor.now,
                agent=agent.id,
                campaign=offer.campaign,
                contact=offer.contact,
                phone=offer.phone,
                end=end,
                reason=reason,
            )
        )

    def _give_back(self, offer: Offer, not_before_at: float | None) -> None:
        self._floor.emit(
            ReturnOffer(
                campaign=offer.campaign,
                contact=offer.contact,
                kept_until=offer.kept_until,
                not_before_at=not_before_at,
            )
        )

    def _tell(self, ref: MessageId, reason: str = "") -> None:
        self._floor.emit(CallRequestAnswered(at=self._floor.now, ref=ref, reason=reason))


def _previews(run: CampaignRun) -> bool:
    return run.state is CampaignState.RUNNING and run.campaign.method == PREVIEW
