"""What the API needs of the rest for CRMs that feed campaigns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dialer.api.delivery_ports import CrmState
from dialer.core.campaign import Campaign
from dialer.core.ids import CampaignId
from dialer.core.outcome import Outcome
from dialer.core.saying import NOTHING, Saying
from dialer.crm.mapping import CrmMapping


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmFeed:
    """A CRM that is asked for the calls of a campaign, as the settings have it: nothing by which it knows us."""

    name: str
    #: Its host: no path, which may hold a key.
    server: str
    every_s: float
    #: As it is without the rows of any campaign.
    mapping: CrmMapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A result that could come: a code of the campaign, or else an outcome."""

    code: str = ""
    outcome: Outcome = Outcome.CONNECTED
    #: The contact will be called again; of an outcome.
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What would come of a record and of a result; numbers are masked."""

    #: JSON values by name; empty: there is no contact, and `problem` says why.
    contact: Mapping[str, Any] = field(default_factory=dict)
    problem: Saying = NOTHING
    #: As it would be sent; empty: nothing would be written, and `unwritten` says why.
    body: str = ""
    unwritten: Saying = NOTHING


class CrmFeeds(Protocol):
    """CRMs of the settings (`dialer.runtime.crm_feeds.NodeCrmFeeds`)."""

    @property
    def prefix(self) -> str:
        """Of the names of Redis streams; empty: they are for somebody else to write to."""

    def of(self, campaign: CampaignId) -> Sequence[CrmFeed]:
        """Those that feed a campaign, in the order of the settings."""

    async def states(self, campaign: CampaignId) -> Mapping[str, CrmState]:
        """How the exchange with each of them fares, by name; one that was never asked is missing."""

    async def tried(self, campaign: Campaign, crm: str, sample: bytes, told: Told) -> Tried:
        """What would come of a record of the CRM and of a result, with the campaign's own rows; changes nothing.

        Raises:
            InputError: no such CRM feeds it, or its rows do not fit the mapping.
        """
