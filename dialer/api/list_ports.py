"""What lists have of their own, and how they are called once more."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from dialer.core.ids import CampaignId, ContactId
from dialer.core.list_terms import ListTerms
from dialer.core.outcome import Outcome
from dialer.core.recycling import Penetration, Reopened


class ListSettings(Protocol):
    """What lists have of their own."""

    async def change(self, list_id: str, campaign: CampaignId, terms: ListTerms) -> None:
        """Choose and order the contacts of a list of the campaign by other terms, from the next dial on all nodes.

        Raises:
            StorageError, QueueError: nothing has changed, or not all of it; do it again.
        """


class Recycling(Protocol):
    """Lists that are called once more, and how far they have been called."""

    async def reset(
        self, campaign: CampaignId, list_id: str | None, outcomes: Collection[Outcome], after: ContactId | None
    ) -> Reopened:
        """Open finished contacts again whose last call had one of `outcomes`: up to 1,000, those behind `after`.

        Of one list, or of the whole campaign. Can be repeated.
        """

    async def penetration(self, campaign: CampaignId, list_id: str | None) -> Sequence[Penetration]:
        """How far each list of a campaign has been called, or one of them."""
