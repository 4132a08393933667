"""What the API gives out. Moments are RFC 3339 in UTC with microseconds, durations seconds, shares 0 to 1."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct, field

from dialer.api.campaign_ports import StoredCampaign
from dialer.api.intake_ports import ListCheck, ListImport
from dialer.campaigns import dump_campaign
from dialer.core.attempt import Attempt
from dialer.core.tariff import MICROS
from dialer.projections.live_rows import AgentRow, CallRow, CampaignRow


def rfc3339(at: float) -> str:
    """`at` for people and programs."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _maybe(at: float | None) -> str | None:
    return None if at is None else rfc3339(at)


class CampaignOut(Struct, kw_only=True):
    """A campaign: its settings, its state, and what goes on in it now."""

    id: str
    state: str
    updated_at: str
    settings: dict[str, Any]
    #: None where this node has heard nothing of it yet.
    live: CampaignRow | None


class CampaignsPage(Struct, kw_only=True):
    """Campaigns by id."""

    items: list[CampaignOut]
    #: Give it as `cursor` to get the next page; None: this is the last.
    next_cursor: str | None


class ContactOut(Struct, kw_only=True, omit_defaults=True):
    """What became of one contact."""

    #: Line of the body, from 1.
    line: int
    status: str
    reason: str
    id: str | None = None
    problem: str = ""


class ContactsOut(Struct, kw_only=True):
    """What became of the contacts of one request."""

    accepted: int
    rejected: int
    items: list[ContactOut]


class SegmentOut(Struct, kw_only=True):
    """What became of a segment."""

    campaign: str
    #: False where this segment had made the campaign before.
    created: bool
    #: By this request.
    started: bool
    accepted: int
    rejected: int
    #: Of its contacts; `line` is the place, from 1.
    items: list[ContactOut]


class ListOut(Struct, kw_only=True):
    """An uploaded list and how far its import has come."""

    id: str
    campaign: str
    name: str
    state: str
    read: int
    accepted: int
    rejected: int
    #: Rejected rows by reason.
    reasons: dict[str, int]
    error: str
    started_at: str
    finished_at: str | None
    #: Which of its contacts are called, besides the campaign's own filter; empty: all of them.
    filter: str
    #: Is added to that of each of its contacts.
    priority: int


class ListCheckOut(Struct, kw_only=True):
    """The latest look through the contacts of a list; counts are there when it is done."""

    #: running, done or failed; none: nobody has looked yet.
    state: str
    started_at: str | None = None
    finished_at: str | None = None
    #: Contacts whose data came last with this list, and their numbers.
    contacts: int = 0
    numbers: int = 0
    #: Numbers by sort of line, by the time zones that they may be in, and by the jurisdictions that count.
    types: dict[str, int] = field(default_factory=dict)
    zones: dict[str, int] = field(default_factory=dict)
    jurisdictions: dict[str, int] = field(default_factory=dict)
    #: Warnings by kind.
    warnings: dict[str, int] = field(default_factory=dict)
    contacts_with_warnings: int = 0
    #: Warnings that stand one by one in the CSV; fewer than there are where a list has very many.
    warnings_listed: int = 0
    error: str = ""


class ListReportOut(Struct, kw_only=True):
    """What became of the rows of a list, and what is odd in those that were taken."""

    list: ListOut
    check: ListCheckOut


class ListsPage(Struct, kw_only=True):
    """Lists, newest first."""

    items: list[ListOut]
    next_cursor: str | None


class WrittenOut(Struct, kw_only=True):
    """Messages that were written; results carry their ids as `ref`."""

    ids: list[str]


class DoNotCallRow(Struct, kw_only=True):
    """A do-not-call entry of a number, or of all that begin alike."""

    #: "*", a campaign, or "account:" and the name of an account.
    scope: str
    #: E.164, or the beginning of numbers and a *.
    phone: str
    reason: str
    expires: str | None
    #: Where it came from, by whose word, and since when.
    source: str = ""
    by: str = ""
    at: str | None = None


class DoNotCallPage(Struct, kw_only=True):
    """Some entries; with `next_cursor` there are more."""

    items: list[DoNotCallRow]
    next_cursor: str | None


class DoNotCallOut(Struct, kw_only=True):
    """Whether a number may not be called, and where."""

    phone: str
    listed: bool
    entries: list[DoNotCallRow]


class CallOut(Struct, kw_only=True):
    """A call, in flight or ended; what is not known (yet) is null."""

    id: str
    campaign: str
    contact: str
    phone: str
    #: dialing, ringing, answered, connected, abandoned, or ended.
    state: str
    attempt_number: int
    started_at: str
    agent: str | None = None
    server: str | None = None
    trunk: str | None = None
    outcome: str | None = None
    reason: str | None = None
    ringing_at: str | None = None
    answered_at: str | None = None
    connected_at: str | None = None
    ended_at: str | None = None
    talk_s: float | None = None
    wait_s: float | None = None
    #: An agent came later than the campaign allows: counts as abandoned.
    late: bool = False
    cause: int | None = None
    sip_code: int | None = None
    hung_up_by: str | None = None
    machine_verdict: str | None = None
    machine_verdict_s: float | None = None
    method: str | None = None
    #: What its carrier takes for it, estimated by the tariff of its trunk; null: none was known.
    cost: str | None = None
    #: The latest code that the call was closed with.
    disposition: str | None = None


class CallsPage(Struct, kw_only=True):
    """Ended calls, newest first."""

    items: list[CallOut]
    next_cursor: str | None


class CallsNow(Struct, kw_only=True):
    """Calls in flight, oldest first."""

    items: list[CallOut]
    #: How many there are; `items` may be cut.
    total: int


class AgentsOut(Struct, kw_only=True):
    """Agents by id."""

    items: list[AgentRow]


class Accepted(Struct, kw_only=True):
    """The order was handed to the engine; what comes of it is seen in the live view and the events."""

    accepted: bool = True


def campaign_out(stored: StoredCampaign, state: str | None, live: CampaignRow | None) -> CampaignOut:
    """A campaign of the record with what goes on in it."""
    return CampaignOut(
        id=stored.campaign.id,
        state=state or stored.state.value,
        updated_at=rfc3339(stored.updated_at),
        settings=dump_campaign(stored.campaign),
        live=live,
    )


def list_out(row: ListImport) -> ListOut:
    """An uploaded list."""
    return ListOut(
        id=row.id,
        campaign=row.campaign,
        name=row.name,
        state=row.state,
        read=row.read,
        accepted=row.accepted,
        rejected=row.rejected,
        reasons=dict(row.reasons),
        error=row.error.says,
        started_at=rfc3339(row.started_at),
        finished_at=_maybe(row.finished_at),
        filter=row.terms.filter,
        priority=row.terms.priority,
    )


def list_report_out(row: ListImport, check: ListCheck | None) -> ListReportOut:
    """The quality of a list."""
    if check is None:
        return ListReportOut(list=list_out(row), check=ListCheckOut(state="none"))
    return ListReportOut(
        list=list_out(row),
        check=ListCheckOut(
            state=check.state,
            started_at=rfc3339(check.started_at),
            finished_at=_maybe(check.finished_at),
            contacts=check.contacts,
            numbers=check.numbers,
            types=dict(check.types),
            zones=dict(check.zones),
            jurisdictions=dict(check.jurisdictions),
            warnings=dict(check.warnings),
            contacts_with_warnings=check.contacts_with_warnings,
            warnings_listed=check.listed,
            error=check.error.says,
        ),
    )


def call_in_flight(row: CallRow) -> CallOut:
    """A call under way."""
    return CallOut(
        id=row.id,
        campaign=row.campaign,
        contact=row.contact,
        phone=row.phone,
        state=row.state,
        attempt_number=row.attempt_number,
        started_at=rfc3339(row.started_at),
        agent=row.agent,
        server=row.server,
        trunk=row.trunk,
    )


def call_ended(attempt: Attempt, disposition: str | None = None) -> CallOut:
    """A call that is over."""
    return CallOut(
        id=attempt.call,
        campaign=attempt.campaign,
        contact=attempt.contact,
        phone=attempt.phone,
        state="ended",
        attempt_number=attempt.attempt_number,
        started_at=rfc3339(attempt.started_at),
        agent=attempt.agent,
        server=attempt.server,
        trunk=attempt.trunk,
        outcome=attempt.outcome.value,
        reason=attempt.reason,
        ringing_at=_maybe(attempt.ringing_at),
        answered_at=_maybe(attempt.answered_at),
        connected_at=_maybe(attempt.connected_at),
        ended_at=rfc3339(attempt.ended_at),
        talk_s=attempt.talk_s,
        wait_s=attempt.wait_s,
        late=attempt.late,
        cause=attempt.cause,
        sip_code=attempt.sip_code,
        hung_up_by=attempt.hung_up_by,
        machine_verdict=attempt.machine_verdict,
        machine_verdict_s=attempt.machine_verdict_s,
        method=attempt.method,
        cost=None if attempt.cost_micros is None else format(Decimal(attempt.cost_micros) / MICROS, "f"),
        disposition=disposition,
    )
