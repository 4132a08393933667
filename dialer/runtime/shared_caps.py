"""Caps that campaigns of several shards would be held to together (docs/adr/0020).

Each shard counts the calls of its own campaigns alone. So where a rule counts by number, person or account over all
campaigns, those that may meet in it must be in one shard: of several shards the first by name goes on, and campaigns of
the others dial nobody until one is moved, the rule counts by campaign or seller, or the shards call other numbers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

import phonenumbers
import structlog

from dialer.compliance.destinations import Destinations
from dialer.compliance.rulebook import RuleBook
from dialer.compliance.rules import CapRule, CooldownRule, KeyPart
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.ids import CampaignId
from dialer.core.saying import NOTHING, Saying, say
from dialer.core.shards import Shards
from dialer.errors import StorageError
from dialer.storage.campaigns import Campaigns, StoredCampaign

_log: Final = structlog.get_logger(__name__)

_EVERY_S: Final = 2.0
_UNKNOWN: Final = say(
    "it is not known yet whether it shares a cap with a campaign of another shard", code="cap_shared_unknown"
)
#: What has been called, or may be at any moment.
_DIALS: Final = frozenset(CampaignState) - {CampaignState.DRAFT}


def caps_over_campaigns(book: RuleBook) -> list[tuple[CapRule | CooldownRule, frozenset[str]]]:
    """The rules that count calls of several campaigns together, each with the beginnings of the numbers it is about."""
    found: list[tuple[CapRule | CooldownRule, frozenset[str]]] = []
    for one in (*book.countries.values(), book.policy):
        codes = frozenset(f"+{phonenumbers.country_code_for_region(region)}" for region in one.regions) or {"+"}
        found += [
            (rule, frozenset(codes))
            for rule in one.rules
            if isinstance(rule, CapRule | CooldownRule) and KeyPart.CAMPAIGN not in rule.key
        ]
    return found


def shared_caps(
    campaigns: Sequence[StoredCampaign],
    shards: Shards,
    rules: Iterable[tuple[CapRule | CooldownRule, Collection[str]]],
    destinations: Destinations,
    aside: Callable[[CampaignId], Collection[str]] = lambda _: (),
) -> dict[CampaignId, Saying]:
    """Campaigns that must not dial, and why.

    Args:
        campaigns: all of them, of all shards.
        shards: which belongs where.
        rules: as `caps_over_campaigns`.
        destinations: where calls go at all.
        aside: versions of rules that somebody has set aside for a campaign.
    """
    dialing = [(one.campaign, shards.of(one.campaign.id)) for one in campaigns if one.state in _DIALS]
    found: dict[CampaignId, Saying] = {}
    for rule, codes in rules:
        called = [code for code in codes if destinations.reaches(code)]
        earlier = {shard: _that_meet(rule, called, shards, shard) for shard in shards.names}
        #: One of those that the rule counts together, of each shard.
        groups: dict[tuple[str, str], CampaignId] = {}
        for campaign, shard in dialing:
            groups.setdefault((shard, _counted_for(rule, campaign)), campaign.id)
        for campaign, shard in dialing:
            if campaign.id in found or rule.version in aside(campaign.id):
                continue
            whose = _counted_for(rule, campaign)
            its = next((each for each in earlier[shard] if (each, whose) in groups), None)
            if its is not None:
                other = groups[its, whose]
                found[campaign.id] = say(
                    f"rule {rule.id} counts its calls together with those of {other}, which shard {its} counts apart",
                    code="cap_shared",
                    rule=rule.id,
                    campaign=other,
                    shard=its,
                )
    return found


def _counted_for(rule: CapRule | CooldownRule, campaign: Campaign) -> str:
    """By what a rule tells campaigns apart, besides whom they call."""
    return campaign.seller if KeyPart.SELLER in rule.key else ""


def _that_meet(rule: CapRule | CooldownRule, codes: Sequence[str], shards: Shards, shard: str) -> list[str]:
    """The shards before this one by name whose calls a rule may count together with its own."""
    return [
        its
        for its in sorted(shards.names)
        if its < shard and any(_meet(rule, code, shards, shard, its) for code in codes)
    ]


def _meet(rule: CapRule | CooldownRule, code: str, shards: Shards, one: str, other: str) -> bool:
    """Whether a rule about the numbers of a country may count calls of both shards together."""
    if KeyPart.NUMBER in rule.key:
        return shards.share_numbers(one, other, code)
    return shards.may_call(one, code) and shards.may_call(other, code)


class SharedCaps:
    """What is known of them at one node.

    Args:
        campaigns: the record.
        shards: the table.
        book: the rules.
        destinations: where calls go at all.
        aside: as `shared_caps`.
    """

    def __init__(
        self,
        campaigns: Campaigns,
        shards: Shards,
        book: RuleBook,
        destinations: Destinations,
        aside: Callable[[CampaignId], Collection[str]],
    ) -> None:
        self._campaigns = campaigns
        self._shards = shards
        self._rules = caps_over_campaigns(book) if shards.several else []
        self._destinations = destinations
        self._aside = aside
        self._stored: list[StoredCampaign] = []
        self._versions: dict[CampaignId, tuple[float, str]] = {}
        self._found: dict[CampaignId, Saying] | None = None

    def problem(self, campaign: CampaignId) -> Saying:
        """Why a campaign must not dial; nothing where it may."""
        if not self._shards.several:
            return NOTHING
        return _UNKNOWN if self._found is None else self._found.get(campaign, NOTHING)

    async def run(self) -> None:
        """Look for ever, where there are several shards."""
        while self._shards.several:
            try:
                await self.look()
            except StorageError as error:
                _log.warning("which campaigns share a cap is not looked up", error=str(error))
            await asyncio.sleep(_EVERY_S)

    async def look(self) -> None:
        """Look once.

        Raises:
            StorageError: the database is out of reach; what was known stands.
        """
        versions = await self._campaigns.versions()
        if versions != self._versions:
            self._stored, self._versions = await self._campaigns.all(), versions
        self._found = shared_caps(self._stored, self._shards, self._rules, self._destinations, self._aside)
