"""A campaign: its settings, its states, and which orders are possible in which state.

    draft ─► running ◄─► paused
                │  ▲        │
                ▼  │        ▼
             draining ──► stopped ─► running (started again)

`paused` starts no calls and lets those under way end; `draining` does the same and then stops by itself; `stopped`
also hangs up what still rings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Final

from dialer.core.caller_ids import CallerId
from dialer.core.crm_terms import CrmField, CrmWord, CrmWrite
from dialer.core.disposition import DEFAULT_DISPOSITIONS, DispositionCode
from dialer.core.ids import CampaignId, Phone, TrunkName
from dialer.core.outcome import Outcome


class CampaignState(StrEnum):
    """Where a campaign stands."""

    DRAFT = "draft"
    RUNNING = "running"
    PAUSED = "paused"
    DRAINING = "draining"
    STOPPED = "stopped"


#: Which order is possible from where; ordering the present state changes nothing and is always possible.
ORDERS: Final[Mapping[CampaignState, frozenset[CampaignState]]] = {
    CampaignState.DRAFT: frozenset({CampaignState.RUNNING, CampaignState.STOPPED}),
    CampaignState.RUNNING: frozenset({CampaignState.PAUSED, CampaignState.DRAINING, CampaignState.STOPPED}),
    CampaignState.PAUSED: frozenset({CampaignState.RUNNING, CampaignState.DRAINING, CampaignState.STOPPED}),
    CampaignState.DRAINING: frozenset({CampaignState.RUNNING, CampaignState.PAUSED, CampaignState.STOPPED}),
    CampaignState.STOPPED: frozenset({CampaignState.RUNNING}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRule:
    """When a contact is called again after one outcome: `delay_s`, times `growth` for each attempt made."""

    delay_s: float
    max_attempts: int
    growth: float = 1.0
    #: A contact's other numbers are called shortly one after another before the delay counts.
    other_phone_first: bool = False
    #: The next attempt is made in another part of the day than the last one (see `dialer.core.day_parts`).
    spread_hours: bool = False
    #: The next attempt is made with an agent reserved for it, whichever (docs/adr/0009).
    needs_agent: bool = False


DEFAULT_RETRIES: Final[Mapping[Outcome, RetryRule]] = {
    Outcome.BUSY: RetryRule(delay_s=15 * 60, max_attempts=5),
    Outcome.NO_ANSWER: RetryRule(delay_s=2 * 3600, max_attempts=4, growth=2.0),
    Outcome.MACHINE: RetryRule(delay_s=4 * 3600, max_attempts=3, growth=2.0),
    Outcome.HUNG_UP: RetryRule(delay_s=24 * 3600, max_attempts=2),
    # Somebody who was called and found nobody is left in peace for three days.
    Outcome.ABANDONED: RetryRule(delay_s=72 * 3600, max_attempts=2),
    Outcome.CONGESTION: RetryRule(delay_s=5 * 60, max_attempts=6, growth=2.0),
    Outcome.FAILED: RetryRule(delay_s=5 * 60, max_attempts=6, growth=2.0),
    Outcome.LOST: RetryRule(delay_s=60 * 60, max_attempts=3),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineDetection:
    """Answering-machine detection with a deadline: whatever the verdict by then, the person gets an agent."""

    #: Seconds after the answer by which a call without verdict is treated as a person. Must leave time to connect.
    deadline_s: float = 1.4
    #: Options for the dialplan's AMD(); empty: those of amd.conf.
    parameters: str = ""
    #: What becomes of UNSURE.
    unsure_is_human: bool = True


class RecordingMode(StrEnum):
    """Whether talks are recorded."""

    OFF = "off"
    #: When somebody asks for it.
    ON_DEMAND = "on_demand"
    #: Every talk, from the moment in which the agent is there.
    ALWAYS = "always"


class RecordingConsent(StrEnum):
    """Whose agreement a recording needs."""

    #: Nobody's that the dialer knows of.
    NONE = "none"
    #: The person's: on record with the contact, or told by whoever starts it.
    REQUIRED = "required"


class PreviewExpiry(StrEnum):
    """What becomes of a contact that an agent is shown and says nothing about."""

    SKIP = "skip"
    CALL = "call"


class AbandonmentWindow(StrEnum):
    """Over what time abandoned calls are held against live answers."""

    #: Rolling.
    DAY = "24_hours"
    DAYS_30 = "30_days"
    #: Of the calendar, in the node's zone (`pacing.timezone`).
    MONTH = "month"
    #: Since the campaign began.
    CAMPAIGN = "campaign"


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """The settings of a campaign. Values have been checked (`dialer.campaigns.parse_campaign`)."""

    id: CampaignId
    name: str = ""
    #: preview, progressive, ratio, predictive, or a comparison of `pacing.peers`.
    method: str = "predictive"
    #: Share of the people who answer that may find nobody within `connect_within_s`.
    max_abandonment: float = 0.03
    connect_within_s: float = 2.0
    #: The limit must hold in each of them.
    abandonment_windows: tuple[AbandonmentWindow, ...] = (AbandonmentWindow.DAYS_30, AbandonmentWindow.CAMPAIGN)
    #: Lines per idle agent, for the method "ratio" only.
    ratio: float = 1.5
    ring_timeout_s: float = 25.0
    #: An agent in wrap-up becomes idle by themselves after this; None: when they say so.
    wrapup_limit_s: float | None = 60.0
    #: Calls of this campaign under way, answered ones not counted.
    max_lines: int = 1_000
    max_lines_per_agent: float = 20.0
    max_attempts: int = 8
    retries: Mapping[Outcome, RetryRule] = field(default_factory=lambda: DEFAULT_RETRIES)
    #: The number that calls show: one for all, or a pool (see `dialer.core.caller_ids`); never both.
    caller_id: Phone | None = None
    caller_ids: tuple[CallerId, ...] = ()
    #: Sound that is played to somebody for whom no agent is free.
    message: str = "cadencia-abandoned"
    #: Key by which they object to further calls while it plays; empty: none is offered.
    opt_out_key: str = "9"
    #: What such an objection is about: "*", all campaigns, or "campaign", this one.
    opt_out_scope: str = "*"
    #: In order of preference; empty: every trunk of the server.
    trunks: tuple[TrunkName, ...] = ()
    machine_detection: MachineDetection | None = None
    #: Share of the calls taken for machines that an agent gets all the same, to tell how often detection errs.
    machine_sample_share: float = 0.02
    #: For so long after the time that was agreed a callback is tried again, and it is its agent's ...
    callback_window_s: float = 3_600.0
    #: ... or for so long: then it is anybody's who is free. None: as long as the window.
    callback_fallback_s: float | None = 900.0
    #: So long before a callback its agent and the CRM are reminded of it; 0: nobody is.
    callback_reminder_s: float = 300.0
    #: For the method "preview": how long an agent may look at a contact before it is called, and what then.
    preview_s: float = 30.0
    preview_on_expiry: PreviewExpiry = PreviewExpiry.SKIP
    #: An agent who has left so many unanswered, one after another, is paused; None: never.
    preview_pause_after: int | None = 3
    #: A contact that was skipped is not offered again before.
    preview_skip_s: float = 300.0
    #: An agent must have all of them to get this campaign's calls.
    skills: frozenset[str] = frozenset()
    #: URL that the agent's screen opens, with fields of the contact in braces.
    screen_pop: str = ""
    #: What the agent says, with fields of the contact in braces; headings, lists and bold as in Markdown.
    script: str = ""
    #: What stands in place of its CRM's mapping (`dialer.core.crm_terms`); empty: the mapping holds as it is.
    crm_contact: tuple[CrmField, ...] = ()
    crm_words: tuple[CrmWord, ...] = ()
    crm_update: tuple[CrmWrite, ...] = ()
    #: With what codes its calls are closed, and in which currency amounts are (ISO 4217).
    dispositions: tuple[DispositionCode, ...] = DEFAULT_DISPOSITIONS
    currency: str = "EUR"
    #: Which of its contacts are called (`dialer.core.contact_filter`); empty: all of them.
    filter: str = ""
    #: Id of the CRM's segment that it was made from; empty: of none.
    segment: str = ""
    recording: RecordingMode = RecordingMode.OFF
    recording_consent: RecordingConsent = RecordingConsent.NONE
    #: Sound that both hear before each recording begins; empty: none.
    recording_announcement: str = ""
    #: Zone (IANA) of the days and hours of its reports; empty: that of the node (`pacing.timezone`).
    timezone: str = ""
    #: What it calls for, and whom: marketing, debt, survey or service; consumer or business. Rules of law depend on it.
    purpose: str = "marketing"
    party: str = "consumer"
    #: Jurisdictions whose rules apply besides those of the number called: of the centre, such as ES or US-FL.
    jurisdictions: tuple[str, ...] = ()
    #: What the campaign claims that lifts a rule, such as existing_customer; kept with every call that rests on it.
    bases: frozenset[str] = frozenset()
    #: The company on whose behalf is called, where caps count by it.
    seller: str = ""
    #: When it calls, by the clock of the person called (`dialer.compliance.own_hours`); empty: when the law lets it.
    hours: tuple[str, ...] = ()
    #: The first and the last day on which it calls, by the same clock; None: there is none.
    first_day: date | None = None
    last_day: date | None = None

    @property
    def pool(self) -> tuple[CallerId, ...]:
        """The numbers that its calls may show; empty where they show none."""
        if self.caller_ids or self.caller_id is None:
            return self.caller_ids
        return (CallerId(number=self.caller_id),)
