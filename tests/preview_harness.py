"""An engine with a campaign of the method preview, and a gate that has contacts to show."""

from __future__ import annotations

from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.campaign import Campaign
from dialer.core.floor import Output
from dialer.core.ids import AgentId, ContactId, MessageId, Phone
from dialer.core.offer import Offer
from tests.engine_harness import CAMPAIGN, Harness

PREVIEWED = Campaign(id=CAMPAIGN, method="preview", wrapup_limit_s=None)


class PreviewFloor(Harness):
    """A harness whose gate offers as many contacts as are `left`, in their order."""

    def __init__(self, campaign: Campaign = PREVIEWED, *, contacts: int = 10) -> None:
        super().__init__(campaign)
        self.left = contacts
        self.offers: dict[str, Offer] = {}
        #: To what agents have consented while they were shown it.
        self.consents: set[tuple[ContactId, AgentId]] = set()
        #: For how long contacts are to be kept.
        self.asked_for_s: set[float] = set()

    def offers_for(self, request: cmd.RequestOffers) -> ev.ContactsOffered:
        """What the gate says to a request for contacts to show."""
        self.asked_for_s.add(request.keep_s)
        found: list[Offer] = []
        while self.left and len(found) < request.count:
            self.left -= 1
            number = len(self.offers) + 1
            offer = Offer(
                campaign=request.campaign,
                contact=ContactId(f"crm-{number}"),
                phone=Phone(f"+34600{number:06d}"),
                attempt_number=1,
                kept_until=self.now + request.keep_s,
                name="Ana",
                fields={"debt": 100 * number},
            )
            self.offers[offer.contact] = offer
            found.append(offer)
        return ev.ContactsOffered(
            at=self.now,
            campaign=request.campaign,
            requested=request.count,
            offers=tuple(found),
            refusals=ev.Refusals(),
            ready=self.left,
            later=0,
        )

    def shown(self, agent: str) -> str | None:
        """Whom an agent is being shown."""
        found = self.engine.floor.roster.get(AgentId(agent))
        return None if found is None or found.hold is None or found.hold.state != "offered" else found.hold.contact

    def decide(self, agent: str, *, consent: bool, contact: str | None = None, reason: str = "") -> MessageId:
        """An agent decides about what they are shown, or about `contact`."""
        ref = MessageId(f"offer-{len(self.wishes)}")
        self.wishes.append(ref)
        about = ContactId(contact or self.shown(agent) or "nobody")
        if consent and about == self.shown(agent):
            self.consents.add((about, AgentId(agent)))
        self.feed(
            ev.OfferAnswered(at=self.now, agent=AgentId(agent), contact=about, consent=consent, ref=ref, reason=reason)
        )
        return ref

    def answer_offer(
        self, agent: str, *, consent: bool, contact: str | None = None, reason: str = ""
    ) -> ntc.CallRequestAnswered:
        """The same; what they are told at once."""
        ref = self.decide(agent, consent=consent, contact=contact, reason=reason)
        [answer] = [answer for answer in self.of(ntc.CallRequestAnswered) if answer.ref == ref]
        return answer

    def _settle(self, outputs: list[Output]) -> list[Output]:
        seen = super()._settle(outputs)
        requests = [output for output in seen if isinstance(output, cmd.RequestOffers) and self.grant]
        for request in requests:
            seen += self._settle(self.engine.handle(self.offers_for(request)))
        return seen
