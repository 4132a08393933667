"""Rules that named persons have set aside, by campaign: from the audit trail, where each of them is on record."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection
from typing import Final

import structlog

from dialer.core.ids import CampaignId
from dialer.errors import StorageError
from dialer.storage.audit import Audit

_log = structlog.get_logger(__name__)

#: Those of other nodes are known so soon.
_READ_EVERY_S: Final = 30.0
#: Under this name they are in the trail.
OVERRIDDEN: Final = "rule.overridden"


class RulesAside:
    """Which versions of rules a campaign need not keep."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._aside: dict[CampaignId, set[str]] = {}

    def of(self, campaign: CampaignId) -> Collection[str]:
        """Versions of rules."""
        return self._aside.get(campaign, ())

    def add(self, campaign: CampaignId, version: str) -> None:
        """One more, which is on record."""
        self._aside.setdefault(campaign, set()).add(version)

    async def read(self) -> None:
        """Read all of them.

        Raises:
            StorageError: out of reach; what was known stays.
        """
        found: defaultdict[CampaignId, set[str]] = defaultdict(set)
        for entry in await self._audit.of_kind(OVERRIDDEN):
            campaign, version = entry.details.get("campaign"), entry.details.get("rule")
            if isinstance(campaign, str) and isinstance(version, str):
                found[CampaignId(campaign)].add(version)
        self._aside = dict(found)

    async def run(self) -> None:
        """Read them again from time to time, for ever."""
        while True:
            await asyncio.sleep(_READ_EVERY_S)
            try:
                await self.read()
            except StorageError as error:
                _log.warning("rules set aside were not looked up", error=str(error))
