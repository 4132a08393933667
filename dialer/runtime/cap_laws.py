"""The caps of each campaign as the gate counts by them: made anew every half minute, and for every new place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dialer.compliance.screening import Caps, Screen
from dialer.core.campaign import Campaign
from dialer.core.ids import CampaignId
from dialer.queues.cap_law import CapLaw, cap_law_by_country

#: Days begin and rules come into force meanwhile: no law is used for longer.
_STANDS_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class _Made:
    caps: Caps
    law: CapLaw | None
    at: float


class CapLaws:
    """Laws of the moment, by campaign."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._made: dict[tuple[CampaignId, bool], _Made] = {}

    def of(self, campaign: Campaign, now: float, *, agent_reserved: bool = False) -> CapLaw | None:
        """The law for a reservation at `now`; None where nothing is counted.

        `agent_reserved`: of calls for which an agent is kept, which some rests do not forbid.
        """
        caps = self._screen.caps(campaign, now)
        made = self._made.get((campaign.id, agent_reserved))
        if made is not None and made.at <= now < made.at + _STANDS_S and made.caps is caps:
            return made.law
        law = None
        if any(country.rules for country in caps.countries):
            law = cap_law_by_country(
                caps.countries,
                now,
                seller=caps.seller,
                bases=caps.bases,
                agent_reserved=agent_reserved,
                kept=caps.kept,
            )
        self._made[campaign.id, agent_reserved] = _Made(caps, law, now)
        return law
