"""Agents and their calls as far as they are one tenant's: click to call, previews, recordings, desks, supervision."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Final

from dialer.api.attempt_ports import Attempts
from dialer.api.call_request_ports import AskedCall, CallRequests, Previews
from dialer.api.desk_ports import Account, CallingTimes, Desks, NotThen, Seat
from dialer.api.errors import ApiError
from dialer.api.live_ports import Live
from dialer.api.phone_ports import BrowserPhones, PhoneAccess
from dialer.api.recording_ports import CallRecordings, OrderAnswer, PlayLink
from dialer.api.supervision_ports import AgentMessage, Supervision
from dialer.api.tenant_own import Own
from dialer.core.campaign import Campaign
from dialer.core.contact import Contact
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, MonitorId, Phone, RecordingId, ServerName
from dialer.core.kept_recording import RecordingFilter, StoredRecording
from dialer.core.monitor import MonitorMode
from dialer.core.recording import RecordingOrder, RecordingState


class TenantCallRequests(Own):
    """`CallRequests` of one tenant's agents for its campaigns."""

    def __init__(self, whole: CallRequests, tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole

    async def call(
        self, agent: AgentId, campaign: CampaignId, contact: ContactId | None, phone: str | None, *, by: str
    ) -> AskedCall | None:
        """See `CallRequests`."""
        self._agent(agent)
        self._campaign(campaign)
        return await self._whole.call(agent, campaign, contact, phone, by=by)


class TenantPreviews(Own):
    """`Previews` of one tenant's agents."""

    def __init__(self, whole: Previews, tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole

    async def answer(self, agent: AgentId, contact: ContactId, *, consent: bool, reason: str, by: str) -> AskedCall:
        """See `Previews`."""
        self._agent(agent)
        return await self._whole.answer(agent, contact, consent=consent, reason=reason, by=by)


class TenantRecordings(Own):
    """`CallRecordings` of one tenant's calls."""

    def __init__(self, whole: CallRecordings, live: Callable[[], Live], attempts: Attempts, tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole
        self._live: Final = live
        self._attempts: Final = attempts

    async def order(self, call: CallId, order: RecordingOrder, by: str, *, consented: bool) -> OrderAnswer:
        """See `CallRecordings`.

        Raises:
            ApiError: 404, it is somebody else's call.
        """
        if (
            self._live().call(call) is None
            and await self._attempts.get(call) is None
            and not await self.page(RecordingFilter(call=call), None, 1)
        ):
            raise ApiError(404, f"there is no call {call[:80]!r}")
        return await self._whole.order(call, order, by, consented=consented)

    def state(self, call: CallId) -> RecordingState:
        """See `CallRecordings`; of a call that was found before."""
        return self._whole.state(call)

    async def get(self, recording: RecordingId) -> StoredRecording | None:
        """See `CallRecordings`."""
        found = await self._whole.get(recording)
        return found if found is not None and self._owns(found.campaign) else None

    async def page(
        self, wanted: RecordingFilter, before: tuple[float, str] | None, limit: int
    ) -> Sequence[StoredRecording]:
        """See `CallRecordings`."""
        return await self._whole.page(replace(wanted, tenant=self._tenant), before, limit)

    async def link(self, recording: StoredRecording, holder: str) -> PlayLink:
        """See `CallRecordings`."""
        self._campaign(recording.campaign)
        return await self._whole.link(recording, holder)

    async def judge(self, recording: str, holder: str, expires: str, signature: str) -> str:
        """See `CallRecordings`."""
        return await self._whole.judge(recording, holder, expires, signature)

    async def play(self, recording: StoredRecording, holder: str, begin: int, end: int) -> AsyncIterator[bytes]:
        """See `CallRecordings`."""
        self._campaign(recording.campaign)
        return await self._whole.play(recording, holder, begin, end)


class TenantDesks(Own):
    """`Desks` of one tenant's agents and contacts."""

    def __init__(self, whole: Desks, tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole

    def seat(self, agent: AgentId) -> Seat | None:
        """See `Desks`."""
        found = self._whole.seat(agent) if self._owns(agent) else None
        if found is None or found.calling is None or self._owns(found.calling.campaign):
            return found
        return replace(found, calling=None)

    async def account(self, agent: AgentId) -> Account:
        """See `Desks`."""
        return await self._whole.account(agent) if self._owns(agent) else Account()

    async def person(self, campaign: CampaignId, contact: ContactId) -> Contact | None:
        """See `Desks`."""
        return await self._whole.person(campaign, contact) if self._owns(campaign) else None

    def calling_times(self, campaign: Campaign, contact: Contact, phone: Phone, days: int) -> CallingTimes:
        """See `Desks`."""
        return self._whole.calling_times(campaign, contact, phone, days)

    def not_then(self, campaign: Campaign, contact: Contact, phone: Phone, at: float) -> NotThen | None:
        """See `Desks`."""
        return self._whole.not_then(campaign, contact, phone, at)


class TenantPhones(Own):
    """`BrowserPhones` of one tenant's agents."""

    def __init__(self, whole: BrowserPhones, tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole

    def phone(self, agent: AgentId, server: ServerName) -> str:
        """See `BrowserPhones`."""
        return self._whole.phone(agent, server) if self._owns(agent) else ""

    def offered(self, agent: AgentId) -> bool:
        """See `BrowserPhones`."""
        return self._owns(agent) and self._whole.offered(agent)

    async def access(self, agent: AgentId, *, anew: bool, campaigns: Sequence[CampaignId]) -> PhoneAccess | str:
        """See `BrowserPhones`; where agents of others' campaigns are is not told by where this one is sent."""
        self._agent(agent)
        own = [campaign for campaign in campaigns if self._owns(campaign)]
        return await self._whole.access(agent, anew=anew, campaigns=own)


class TenantSupervision(Own):
    """`Supervision` of one tenant's agents.

    Args:
        whole: everybody's.
        live: everything that goes on now, of which others' sessions are asked about alone.
        tenant: whose.
    """

    def __init__(self, whole: Supervision, live: Callable[[], Live], tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole
        self._live: Final = live

    def attend(self, agent: AgentId, extension: str, mode: MonitorMode, by: str) -> str:
        """See `Supervision`."""
        self._agent(agent)
        if any(row.extension == extension and not self._owns(row.agent) for row in self._live().monitors()):
            return f"{extension} is in use"
        return self._whole.attend(agent, extension, mode, by)

    def leave(self, monitor: MonitorId, by: str) -> None:
        """See `Supervision`."""
        if any(row.id == monitor and self._owns(row.agent) for row in self._live().monitors()):
            self._whole.leave(monitor, by)

    def tell(self, agent: AgentId, text: str, by: str) -> AgentMessage:
        """See `Supervision`."""
        self._agent(agent)
        return self._whole.tell(agent, text, by)

    def told(self, agent: AgentId) -> Sequence[AgentMessage]:
        """See `Supervision`."""
        return self._whole.told(agent) if self._owns(agent) else ()
