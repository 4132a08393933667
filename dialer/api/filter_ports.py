"""What the routes of filters ask of the node."""

from __future__ import annotations

from typing import Protocol

from dialer.core.contact_filter import ContactFilter, FilterCount
from dialer.core.ids import CampaignId


class FilterTrials(Protocol):
    """Trying filters out."""

    async def count(self, campaign: CampaignId, wanted: ContactFilter | None, list_id: str | None) -> FilterCount:
        """Look through all contacts that wait; changes nothing.

        Args:
            campaign: whose.
            wanted: the filter; None: all of them pass.
            list_id: only those whose data came last with this list.

        Raises:
            StorageError: the record is out of reach.
        """
        ...

    async def aside(self, campaign: CampaignId) -> int:
        """How many wait for another filter than the one in force, as far as the gate has come to them.

        Raises:
            QueueError: the gate is out of reach.
        """
        ...
