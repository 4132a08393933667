"""What the API needs of the record of campaigns, and of the rule book that their settings are held to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dialer.core.campaign import Campaign, CampaignState
from dialer.core.ids import CampaignId
from dialer.core.saying import Saying


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCampaign:
    """A campaign of the record."""

    campaign: Campaign
    state: CampaignState
    updated_at: float


class Campaigns(Protocol):
    """The record of campaigns."""

    async def get(self, campaign: CampaignId) -> StoredCampaign | None:
        """One campaign."""

    async def page(self, after: CampaignId | None, limit: int, *, tenant: str = "") -> Sequence[StoredCampaign]:
        """Up to `limit` campaigns by id, those behind `after`, of one tenant or of all."""

    async def create(self, campaign: Campaign, now: float) -> bool:
        """Add a campaign as a draft; False where its id is taken."""

    async def replace(self, before: StoredCampaign, campaign: Campaign, now: float) -> bool:
        """Replace the settings of a campaign; its state stays. False where it is not as `before` any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenRule:
    """A setting of a campaign that breaks a rule."""

    setting: str
    #: Id of the rule, its version, and what it says about the setting.
    rule: str
    version: str
    says: str
    #: A rule of law or of a code is broken, and not only our own policy.
    of_law: bool
    #: What it says, for a catalogue; empty: in these words alone.
    code: str = ""
    arguments: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleOverride:
    """A named person sets a rule aside."""

    by: str
    why: str
    #: Of the API key that it came with.
    key: str


class CampaignRules(Protocol):
    """What the rule book says about campaigns (`dialer.runtime.campaign_rules.BookedRules`)."""

    def broken(self, campaign: Campaign, now: float) -> Sequence[BrokenRule]:
        """The rules that its settings break.

        Raises:
            InputError: it names a jurisdiction that is not on file.
        """

    def missing(self, campaign: Campaign, now: float) -> Sequence[Saying]:
        """What the registries lack that the law demands, nobody having set it aside; empty: nothing."""

    async def set_aside(self, campaign: CampaignId, broken: BrokenRule, override: RuleOverride, now: float) -> None:
        """Put on record that somebody has set a rule aside; done when it returns."""
