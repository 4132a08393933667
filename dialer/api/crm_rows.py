"""A campaign's own rows for its CRM, held to the mappings of those that feed it."""

from __future__ import annotations

from dialer.api.ports import ApiPorts
from dialer.core.campaign import Campaign
from dialer.crm.own_mapping import check_names, has_own, own_mapping


def hold_to_mappings(ports: ApiPorts, campaign: Campaign, before: Campaign | None) -> None:
    """Make sure that rows which are new fit; of a campaign that no CRM feeds, nobody can tell.

    Args:
        ports: of the API.
        campaign: as it is to be.
        before: as it was; None: it is new.

    Raises:
        InputError: names the setting, and what does not fit.
    """
    if ports.crm_feeds is None or not has_own(campaign) or (before is not None and _rows(before) == _rows(campaign)):
        return
    feeds = ports.crm_feeds.of(campaign.id)
    if not feeds:
        return
    check_names(campaign, [feed.name for feed in feeds])
    for feed in feeds:
        own_mapping(feed.mapping, campaign, feed.name)


def _rows(campaign: Campaign) -> tuple[object, ...]:
    return campaign.crm_contact, campaign.crm_words, campaign.crm_update
