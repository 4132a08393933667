"""By which caps the calls on record count, for a Redis that has lost its ledgers: those of the places called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import phonenumbers
from sqlalchemy import func, select

from dialer.compliance.screening import Screening
from dialer.core.campaign import Campaign
from dialer.core.ids import CampaignId
from dialer.queues.cap_law import CapLaw, cap_law_by_country
from dialer.storage.database import Database
from dialer.storage.tables import attempts, calls_elsewhere

#: Digits of the longest country code, and the plus sign.
_CODE: Final = 4


async def laws_on_record(
    database: Database, screening: Screening, campaigns: Iterable[Campaign], since: float, now: float
) -> Mapping[CampaignId, CapLaw]:
    """The caps of each campaign by the countries of the numbers that it called since unix second `since`.

    Raises:
        StorageError: the database is out of reach.
    """
    laws = {}
    for campaign in campaigns:
        beginnings: set[str] = set()
        for table in (attempts, calls_elsewhere):
            statement = (
                select(func.substr(table.c.phone, 1, _CODE))
                .where(table.c.campaign == campaign.id, table.c.ended_at >= since, table.c.phone != "")
                .distinct()
            )
            async with database.read() as connection:
                beginnings |= set((await connection.execute(statement)).scalars())
        caps = screening.caps_of(campaign, {region for one in beginnings for region in _regions(one)}, now)
        if any(country.rules for country in caps.countries):
            laws[campaign.id] = cap_law_by_country(
                caps.countries, now, seller=caps.seller, bases=caps.bases, kept=caps.kept
            )
    return laws


def _regions(beginning: str) -> Iterable[str]:
    """The regions of the numbering plans whose numbers may begin so; several share a country code."""
    for length in range(2, len(beginning) + 1):
        found = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(beginning[1:length]))
        if found is not None:
            return found
    return ()
