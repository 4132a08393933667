"""What the API needs of the rest, all of it together.

Each `*_ports` module beside this one has protocols of one kind, and the values that go through them. The runtime
implements them; `dialer.testing` has in-memory ones. Every method that may have to wait for a database, for Redis or
for room in the engine's queue is a coroutine and raises `StorageError` or `QueueError` when it cannot be done; the API
answers those with 503 and the client repeats the request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from dialer.api.allowance import GuessLimits
from dialer.api.attempt_ports import Attempts, CallsElsewhere, Pacing
from dialer.api.audit_ports import AuditTrail
from dialer.api.call_request_ports import CallRequests, Previews
from dialer.api.callback_ports import CallbackCalendars
from dialer.api.campaign_ports import CampaignRules, Campaigns
from dialer.api.compliance_ports import Compliance
from dialer.api.crm_ports import CrmFeeds
from dialer.api.delivery_ports import Deliveries
from dialer.api.desk_ports import Desks
from dialer.api.explanation_ports import Explanations
from dialer.api.filter_ports import FilterTrials
from dialer.api.health_ports import Exposition, Health
from dialer.api.idempotency_ports import IdempotencyStore
from dialer.api.intake_ports import ContactIntake, Segments
from dialer.api.key_ports import KeyBook, KeyStore
from dialer.api.list_ports import ListSettings, Recycling
from dialer.api.live_ports import Live
from dialer.api.phone_ports import BrowserPhones
from dialer.api.purge_ports import Erasures, Purges
from dialer.api.recording_ports import CallRecordings
from dialer.api.registry_ports import RegistryStates
from dialer.api.report_ports import Actions, Histories, People, Reports
from dialer.api.result_ports import ResultHistory, Results
from dialer.api.snippet_tokens import SnippetTokens
from dialer.api.supervision_ports import Supervision
from dialer.api.system_ports import System
from dialer.api.user_ports import UserBook, Users
from dialer.api.webhook_ports import WebhookBook
from dialer.api.what_if_ports import WhatIf
from dialer.core.events import PeopleEvent


class Clock(Protocol):
    """The one clock (`dialer.runtime.clock.Clock`)."""

    def now(self) -> float:
        """Unix seconds, never decreasing."""


class Control(Protocol):
    """The way into the engine, and the view of what goes on in it."""

    async def submit(self, event: PeopleEvent) -> None:
        """Hand an event to the engine; returns when it is in the engine's queue."""

    def live(self) -> Live:
        """What goes on now; read it in the event loop only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiPorts:
    """Everything that the API is connected to."""

    #: Whose things alone can be reached (`dialer.api.tenant_ports.narrowed`); empty: everything.
    tenant: str = ""
    clock: Clock
    keys: KeyStore
    idempotency: IdempotencyStore
    control: Control
    campaigns: Campaigns
    intake: ContactIntake
    recycling: Recycling
    purges: Purges
    attempts: Attempts
    explanations: Explanations
    pacing: Pacing
    results: Results
    health: Health
    metrics: Exposition
    #: None: settings are held to no rule book.
    campaign_rules: CampaignRules | None = None
    #: None: what has been told cannot be told again.
    history: ResultHistory | None = None
    #: None: segments are not taken.
    segments: Segments | None = None
    #: None: nobody can ask for a call.
    call_requests: CallRequests | None = None
    #: None: no pages of other origins ask for calls.
    snippet: SnippetTokens | None = None
    #: None: there is no record of callbacks.
    callbacks: CallbackCalendars | None = None
    #: None: nobody is shown whom they are to call.
    previews: Previews | None = None
    #: None: nothing is recorded.
    recordings: CallRecordings | None = None
    #: None: there is no record that reports could be made of.
    reports: Reports | None = None
    histories: Histories | None = None
    actions: Actions | None = None
    #: None: this node asks no registries.
    registries: RegistryStates | None = None
    #: None: calls of a CRM are not counted.
    calls_elsewhere: CallsElsewhere | None = None
    #: None: there is no record of whose people anything could be said.
    people: People | None = None
    #: None: nobody can be erased.
    erasures: Erasures | None = None
    #: None: filters cannot be tried out.
    filter_trials: FilterTrials | None = None
    list_settings: ListSettings | None = None
    #: None: no CRM is asked for its calls.
    crm_feeds: CrmFeeds | None = None
    #: None: nothing is told to other systems.
    deliveries: Deliveries | None = None
    #: None: webhooks stand in the settings alone.
    webhook_book: WebhookBook | None = None
    #: None: campaigns are not simulated.
    what_if: WhatIf | None = None
    #: None: agents have no page.
    desks: Desks | None = None
    #: None: no browser is a phone.
    phones: BrowserPhones | None = None
    #: None: nobody signs in with a password.
    users: Users | None = None
    #: None: nobody makes users.
    user_book: UserBook | None = None
    #: None: nobody makes keys.
    key_book: KeyBook | None = None
    #: None: there are no system pages.
    system: System | None = None
    #: None: there is no record of the law.
    compliance: Compliance | None = None
    #: None: nobody can attend talks.
    supervision: Supervision | None = None
    #: None: nobody keeps the audit log.
    audit: AuditTrail | None = None
    #: None: wrong keys and passwords are counted at this node alone.
    guesses: GuessLimits | None = None
