"""Which CRMs feed which campaign, for the API and the console: of the settings, without what they know us by."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import urlsplit

from dialer.api.crm_ports import CrmFeed, Told, Tried
from dialer.api.delivery_ports import CrmState
from dialer.core.campaign import Campaign
from dialer.core.disposition import find_code
from dialer.core.ids import CampaignId, ContactId
from dialer.core.saying import Saying, of_error
from dialer.crm.mapping import CrmMapping, load_mapping, mapping_path
from dialer.crm.own_mapping import own_mapping
from dialer.crm.samples import sample_disposed, sample_ended
from dialer.crm.trial import read_sample, shown_contact, update_of
from dialer.errors import InputError
from dialer.intake.phones import PhoneReader
from dialer.queues.results import Result
from dialer.settings import Settings


class NodeCrmFeeds:
    """`dialer.api.crm_ports.CrmFeeds` of a node's settings.

    Args:
        settings: of the node.
        states: how every CRM fares.

    Raises:
        ConfigError: a mapping cannot be used.
    """

    def __init__(self, settings: Settings, states: Callable[[], Awaitable[Sequence[CrmState]]]) -> None:
        self.prefix = settings.redis.prefix
        self._states = states
        self._phones = PhoneReader(settings.default_region)
        self._feeds: dict[str, list[CrmFeed]] = {}
        for pull in settings.crm.pull:
            self._feeds.setdefault(pull.campaign, []).append(
                CrmFeed(
                    name=pull.name,
                    server=urlsplit(pull.url).hostname or "",
                    every_s=pull.every_s,
                    mapping=load_mapping(mapping_path(settings.crm, pull.mapping)),
                )
            )

    def of(self, campaign: CampaignId) -> Sequence[CrmFeed]:
        """See `CrmFeeds`."""
        return self._feeds.get(campaign, [])

    async def states(self, campaign: CampaignId) -> Mapping[str, CrmState]:
        """See `CrmFeeds`."""
        feeds = {feed.name for feed in self.of(campaign)}
        return {state.name: state for state in await self._states() if state.name in feeds} if feeds else {}

    async def tried(self, campaign: Campaign, crm: str, sample: bytes, told: Told) -> Tried:
        """See `CrmFeeds`; in a thread, since it runs what somebody has typed."""
        feed = next((feed for feed in self.of(campaign.id) if feed.name == crm), None)
        if feed is None:
            raise InputError(f"no CRM {crm[:64]!r} feeds campaign {campaign.id!r}", code="crm_not_fed", crm=crm[:64])
        mapping = own_mapping(feed.mapping, campaign, crm)
        return await asyncio.to_thread(_tried, mapping, campaign, sample, told, self._phones)


def _tried(mapping: CrmMapping, campaign: Campaign, sample: bytes, told: Told, phones: PhoneReader) -> Tried:
    try:
        call = read_sample(mapping, sample)
        contact = shown_contact(call, campaign.id, phones)
        update = update_of(mapping, call, _result(campaign, call.record, told))
    except InputError as error:
        return Tried(problem=of_error(error))
    if isinstance(update, Saying):
        return Tried(contact=contact, unwritten=update)
    return Tried(contact=contact, body=(update.body or b"").decode())


def _result(campaign: Campaign, contact: ContactId, told: Told) -> Result:
    if not told.code:
        return sample_ended(campaign.id, contact, told.outcome, again=told.again)
    code = find_code(campaign.dispositions, told.code)
    if code is None:
        given = told.code[:64]
        raise InputError(f"{given!r} is no code of the campaign", code="crm_no_code", given=given)
    return sample_disposed(campaign.id, contact, code, campaign.currency)
