"""The calendar of callbacks, as the API asks for it (`dialer.runtime.callbacks.CallbackCalendar`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dialer.core.ids import AgentId, CampaignId, Phone
from dialer.core.promise import Promise


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackQuery:
    """Which callbacks are wanted; None does not restrict."""

    since: float | None = None
    until: float | None = None
    agent: AgentId | None = None
    campaign: CampaignId | None = None
    #: Of this tenant's campaigns; empty: of all.
    tenant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Appointment:
    """A callback and whom it is promised to."""

    promise: Promise
    #: False: nobody has agreed it with them; they were abandoned.
    agreed: bool
    #: Unix seconds.
    made_at: float
    name: str
    #: That which is called first.
    phone: Phone
    #: All clocks (IANA) that may be the person's; empty: not known.
    zones: tuple[str, ...]


class CallbackCalendars(Protocol):
    """Callbacks that wait, by their time."""

    async def page(
        self, query: CallbackQuery, after: tuple[float, str, str] | None, limit: int
    ) -> Sequence[Appointment]:
        """Up to `limit` of them in the order of (time, campaign, contact), those behind `after`."""
