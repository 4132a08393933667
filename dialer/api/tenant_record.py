"""The record as far as it is one tenant's: campaigns, contacts, lists, calls that ended, do-not-call entries, reports.

What is of others answers as what does not exist.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from dialer.api.attempt_ports import AttemptQuery, Attempts, CallsElsewhere, CrmCall, GivenDisposition, Pacing
from dialer.api.callback_ports import Appointment, CallbackCalendars, CallbackQuery
from dialer.api.campaign_ports import BrokenRule, CampaignRules, Campaigns, RuleOverride, StoredCampaign
from dialer.api.crm_ports import CrmFeed, CrmFeeds, Told, Tried
from dialer.api.delivery_ports import CrmState
from dialer.api.errors import ApiError
from dialer.api.explanation_ports import Explanation, Explanations
from dialer.api.filter_ports import FilterTrials
from dialer.api.intake_ports import (
    ContactIntake,
    ContactVerdict,
    ContactWarning,
    ListCheck,
    ListImport,
    RejectedRow,
    Segments,
)
from dialer.api.list_ports import ListSettings, Recycling
from dialer.api.purge_ports import DoNotCallEntry, Purges
from dialer.api.report_ports import Histories, Reports
from dialer.api.tenant_own import Own, must_be_own
from dialer.api.what_if_ports import WhatIf, WhatIfAnswer
from dialer.compliance.machine_error import AnswerCounts
from dialer.core.attempt import Attempt
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.contact_filter import ContactFilter, FilterCount
from dialer.core.ids import CallId, CampaignId, ContactId, Phone
from dialer.core.list_terms import NO_TERMS, ListTerms
from dialer.core.outcome import Outcome
from dialer.core.pacing_entry import PacingEntry
from dialer.core.recycling import Penetration, Reopened
from dialer.core.saying import Saying
from dialer.core.tenants import everywhere, named
from dialer.intake.segments import Segment, Taken
from dialer.reporting.history import History, Subject
from dialer.reporting.order import ReportOrder
from dialer.reporting.report import Report

#: "*" in what is asked: all campaigns of whoever asks.
_ALL: Final = "*"
#: More campaigns than one installation bears.
_EVERY_CAMPAIGN: Final = 100_000


class TenantCampaigns(Own):
    """`Campaigns` of one tenant."""

    def __init__(self, whole: Campaigns, tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole

    async def get(self, campaign: CampaignId) -> StoredCampaign | None:
        """See `Campaigns`."""
        return await self._whole.get(campaign) if self._owns(campaign) else None

    async def page(self, after: CampaignId | None, limit: int, *, tenant: str = "") -> Sequence[StoredCampaign]:
        """See `Campaigns`."""
        return await self._whole.page(after, limit, tenant=self._tenant)

    async def create(self, campaign: Campaign, now: float) -> bool:
        """See `Campaigns`.

        Raises:
            InputError: it would be somebody else's.
        """
        must_be_own(self._tenant, campaign.id)
        return await self._whole.create(campaign, now)

    async def replace(self, before: StoredCampaign, campaign: Campaign, now: float) -> bool:
        """See `Campaigns`."""
        self._campaign(campaign.id)
        return await self._whole.replace(before, campaign, now)


class TenantRules(Own):
    """`CampaignRules` of one tenant: the rules are everybody's, what is set aside is not."""

    def __init__(self, whole: CampaignRules, tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole

    def broken(self, campaign: Campaign, now: float) -> Sequence[BrokenRule]:
        """See `CampaignRules`."""
        must_be_own(self._tenant, campaign.id)
        return self._whole.broken(campaign, now)

    def missing(self, campaign: Campaign, now: float) -> Sequence[Saying]:
        """See `CampaignRules`."""
        self._campaign(campaign.id)
        return self._whole.missing(campaign, now)

    async def set_aside(self, campaign: CampaignId, broken: BrokenRule, override: RuleOverride, now: float) -> None:
        """See `CampaignRules`."""
        self._campaign(campaign)
        await self._whole.set_aside(campaign, broken, override, now)


class TenantIntake(Own):
    """`ContactIntake` of one tenant: its campaigns and their lists."""

    def __init__(self, whole: ContactIntake, tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole

    async def offer(self, campaign: CampaignId, rows: Sequence[bytes]) -> Sequence[ContactVerdict]:
        """See `ContactIntake`."""
        self._campaign(campaign)
        return await self._whole.offer(campaign, rows)

    def upload_folder(self) -> Path:
        """See `ContactIntake`."""
        return self._whole.upload_folder()

    async def start_list(
        self,
        campaign: CampaignId,
        path: Path,
        name: str,
        *,
        refuse_duplicates: bool = False,
        terms: ListTerms = NO_TERMS,
    ) -> ListImport:
        """See `ContactIntake`."""
        self._campaign(campaign)
        return await self._whole.start_list(campaign, path, name, refuse_duplicates=refuse_duplicates, terms=terms)

    async def note_broken_upload(self, campaign: CampaignId, name: str, size: int) -> None:
        """See `ContactIntake`."""
        self._campaign(campaign)
        await self._whole.note_broken_upload(campaign, name, size)

    async def list_import(self, id: str) -> ListImport | None:
        """See `ContactIntake`."""
        found = await self._whole.list_import(id)
        return found if found is not None and self._owns(found.campaign) else None

    async def list_imports(
        self, campaign: CampaignId | None, before: tuple[float, str] | None, limit: int, *, tenant: str = ""
    ) -> Sequence[ListImport]:
        """See `ContactIntake`."""
        return await self._whole.list_imports(campaign, before, limit, tenant=self._tenant)

    async def rejected(self, id: str) -> AsyncIterator[RejectedRow]:
        """See `ContactIntake`."""
        if await self.list_import(id) is not None:
            async for row in self._whole.rejected(id):
                yield row

    async def check_list(self, id: str) -> None:
        """See `ContactIntake`."""
        if await self.list_import(id) is not None:
            await self._whole.check_list(id)

    async def list_check(self, id: str) -> ListCheck | None:
        """See `ContactIntake`."""
        return None if await self.list_import(id) is None else await self._whole.list_check(id)

    async def warnings(self, id: str) -> AsyncIterator[ContactWarning]:
        """See `ContactIntake`."""
        if await self.list_import(id) is not None:
            async for row in self._whole.warnings(id):
                yield row


class TenantListSettings(Own):
    """`ListSettings` of one tenant's lists."""

    def __init__(self, whole: ListSettings, intake: ContactIntake, tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole
        self._intake: Final = intake

    async def change(self, list_id: str, campaign: CampaignId, terms: ListTerms) -> None:
        """See `ListSettings`.

        Raises:
            ApiError: 404, it is somebody else's list.
        """
        self._campaign(campaign)
        if await self._intake.list_import(list_id) is None:
            raise ApiError(404, f"there is no list {list_id[:80]!r}")
        await self._whole.change(list_id, campaign, terms)


class TenantRecycling(Own):
    """`Recycling` of one tenant's campaigns."""

    def __init__(self, whole: Recycling, tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole

    async def reset(
        self, campaign: CampaignId, list_id: str | None, outcomes: Collection[Outcome], after: ContactId | None
    ) -> Reopened:
        """See `Recycling`."""
        self._campaign(campaign)
        return await self._whole.reset(campaign, list_id, outcomes, after)

    async def penetration(self, campaign: CampaignId, list_id: str | None) -> Sequence[Penetration]:
        """See `Recycling`."""
        self._campaign(campaign)
        return await self._whole.penetration(campaign, list_id)


class TenantPurges(Own):
    """`Purges` of one tenant: "*" means all of its campaigns; other people's lists are not there."""

    def __init__(self, whole: Purges, campaigns: TenantCampaigns, tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole
        self._campaigns: Final = campaigns

    async def remove(self, messages: Sequence[Mapping[str, object]]) -> None:
        """See `Purges`. A removal from all campaigns is one from each that there is now."""
        checked = [self._checked(message, "campaign") for message in messages]
        mine = [message for message in checked if message["campaign"] != self._everywhere]
        if len(mine) < len(checked):
            campaigns = [stored.campaign.id for stored in await self._campaigns.page(None, _EVERY_CAMPAIGN)]
            for message in checked:
                if message["campaign"] == self._everywhere:
                    mine += [{**message, "campaign": campaign} for campaign in campaigns]
        await self._whole.remove(mine)

    async def do_not_call(self, messages: Sequence[Mapping[str, object]]) -> None:
        """See `Purges`."""
        await self._whole.do_not_call([self._checked(message, "scope") for message in messages])

    async def call_back(self, messages: Sequence[Mapping[str, object]]) -> None:
        """See `Purges`."""
        checked = [self._checked(message, "campaign") for message in messages]
        for message in checked:
            if message.get("agent") is not None:
                must_be_own(self._tenant, str(message["agent"]), "agent")
        await self._whole.call_back(checked)

    async def listed(self, phone: Phone) -> Sequence[DoNotCallEntry]:
        """See `Purges`. Of the list that holds for everybody it is told that a number is on it, and no more."""
        return [
            entry
            if self._owns(entry.scope)
            else DoNotCallEntry(scope=_ALL, phone=entry.phone, reason="", expires_at=None)
            for entry in await self._whole.listed(phone)
            if entry.scope == _ALL or self._owns(entry.scope)
        ]

    async def entries(
        self, scope: str | None, after: tuple[str, str] | None, limit: int, *, tenant: str = ""
    ) -> Sequence[DoNotCallEntry]:
        """See `Purges`."""
        mine = self._everywhere if scope == _ALL else scope
        return await self._whole.entries(mine, after, limit, tenant=self._tenant)

    @property
    def _everywhere(self) -> str:
        return everywhere(named(self._tenant, ""))

    def _checked(self, message: Mapping[str, object], field: str) -> Mapping[str, object]:
        whose = str(message[field])
        if whose == _ALL:
            return {**message, field: self._everywhere}
        must_be_own(self._tenant, whose, field)
        return message


class TenantAttempts(Own):
    """`Attempts` of one tenant's campaigns."""

    def __init__(self, whole: Attempts, tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole

    async def get(self, call: CallId) -> Attempt | None:
        """See `Attempts`."""
        found = await self._whole.get(call)
        return found if found is not None and self._owns(found.campaign) else None

    async def page(self, query: AttemptQuery, before: tuple[float, CallId] | None, limit: int) -> Sequence[Attempt]:
        """See `Attempts`."""
        return await self._whole.page(replace(query, tenant=self._tenant), before, limit)

    async def dispositions(self, calls: Sequence[CallId]) -> Mapping[CallId, str]:
        """See `Attempts`; of calls that were found here."""
        return await self._whole.dispositions(calls)

    async def disposition_history(self, call: CallId) -> Sequence[GivenDisposition]:
        """See `Attempts`; of a call that was found here, or is in flight."""
        return await self._whole.disposition_history(call)

    async def answer_counts(self, since: float, until: float) -> Mapping[CampaignId, AnswerCounts]:
        """See `Attempts`."""
        found = await self._whole.answer_counts(since, until)
        return {campaign: counts for campaign, counts in found.items() if self._owns(campaign)}


class TenantExplanations(Own):
    """`Explanations` of one tenant's contacts."""

    def __init__(self, whole: Explanations, tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole

    async def explain(self, campaign: Campaign, state: CampaignState, contact: ContactId) -> Explanation | None:
        """See `Explanations`."""
        return await self._whole.explain(campaign, state, contact) if self._owns(campaign.id) else None


class TenantPacing(Own):
    """`Pacing` of one tenant's campaigns."""

    def __init__(self, whole: Pacing, tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole

    async def between(
        self, campaign: CampaignId, since: float, until: float | None, after: tuple[float, str] | None, limit: int
    ) -> Sequence[PacingEntry]:
        """See `Pacing`."""
        self._campaign(campaign)
        return await self._whole.between(campaign, since, until, after, limit)


class TenantSegments(Own):
    """`Segments` that become one tenant's campaigns, made like another of its own."""

    def __init__(self, whole: Segments, tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole

    async def take(self, segment: Segment) -> Taken:
        """See `Segments`."""
        must_be_own(self._tenant, segment.campaign, "campaign")
        must_be_own(self._tenant, segment.template, "template")
        return await self._whole.take(segment)


class TenantCallbacks(Own):
    """`CallbackCalendars` of one tenant's campaigns."""

    def __init__(self, whole: CallbackCalendars, tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole

    async def page(
        self, query: CallbackQuery, after: tuple[float, str, str] | None, limit: int
    ) -> Sequence[Appointment]:
        """See `CallbackCalendars`."""
        return await self._whole.page(replace(query, tenant=self._tenant), after, limit)


class TenantReports(Own):
    """`Reports` of one tenant's campaigns."""

    def __init__(self, whole: Reports, tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole

    @property
    def default_zone(self) -> str:
        """See `Reports`."""
        return self._whole.default_zone

    async def make(self, order: ReportOrder) -> Report:
        """See `Reports`."""
        return await self._whole.make(replace(order, tenant=self._tenant))


class TenantHistories(Own):
    """`Histories` of one tenant's contacts."""

    def __init__(self, whole: Histories, tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole

    async def find(self, subject: Subject) -> History:
        """See `Histories`."""
        return await self._whole.find(replace(subject, tenant=self._tenant))


class TenantCallsElsewhere(Own):
    """`CallsElsewhere` that count for one tenant's campaigns."""

    def __init__(self, whole: CallsElsewhere, tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole

    async def made(self, calls: Sequence[CrmCall]) -> None:
        """See `CallsElsewhere`. An id counts once for each tenant."""
        for place, call in enumerate(calls):
            must_be_own(self._tenant, call.campaign, f"calls[{place}].campaign")
        await self._whole.made([replace(call, id=named(self._tenant, call.id)) for call in calls])


class TenantFilterTrials(Own):
    """`FilterTrials` on one tenant's campaigns."""

    def __init__(self, whole: FilterTrials, tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole

    async def count(self, campaign: CampaignId, wanted: ContactFilter | None, list_id: str | None) -> FilterCount:
        """See `FilterTrials`."""
        self._campaign(campaign)
        return await self._whole.count(campaign, wanted, list_id)

    async def aside(self, campaign: CampaignId) -> int:
        """See `FilterTrials`."""
        self._campaign(campaign)
        return await self._whole.aside(campaign)


class TenantWhatIf(Own):
    """`WhatIf` for one tenant's campaigns."""

    def __init__(self, whole: WhatIf, tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole

    async def ask(self, campaign: Campaign, agents: int, other_agents: int, other_limit: float) -> str:
        """See `WhatIf`."""
        self._campaign(campaign.id)
        return await self._whole.ask(campaign, agents, other_agents, other_limit)

    async def answer(self, campaign: Campaign, id: str) -> WhatIfAnswer | None:
        """See `WhatIf`."""
        self._campaign(campaign.id)
        return await self._whole.answer(campaign, id)


class TenantCrmFeeds(Own):
    """`CrmFeeds` for one tenant's campaigns; it has the API, and not Redis."""

    prefix: Final = ""

    def __init__(self, whole: CrmFeeds, tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole

    def of(self, campaign: CampaignId) -> Sequence[CrmFeed]:
        """See `CrmFeeds`."""
        return self._whole.of(campaign) if self._owns(campaign) else ()

    async def states(self, campaign: CampaignId) -> Mapping[str, CrmState]:
        """See `CrmFeeds`."""
        self._campaign(campaign)
        return await self._whole.states(campaign)

    async def tried(self, campaign: Campaign, crm: str, sample: bytes, told: Told) -> Tried:
        """See `CrmFeeds`."""
        self._campaign(campaign.id)
        return await self._whole.tried(campaign, crm, sample, told)
