"""What the routes of lists ask of the node besides contacts and imports."""

from __future__ import annotations

from typing import Protocol

from dialer.core.ids import CampaignId
from dialer.core.list_terms import ListTerms


class ListSettings(Protocol):
    """What lists have of their own."""

    async def change(self, list_id: str, campaign: CampaignId, terms: ListTerms) -> None:
        """Choose and order the contacts of a list of the campaign by other terms, from the next dial on all nodes.

        Raises:
            StorageError, QueueError: nothing has changed, or not all of it; do it again.
        """
        ...
