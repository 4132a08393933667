"""Contacts, permits and live calls as the scripts keep and tell them; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from dialer.core.contact import Contact
from dialer.core.events import CallPurged, CallRecovered
from dialer.core.ids import (
    AgentId,
    CallId,
    CampaignId,
    ContactId,
    MessageId,
    Phone,
    ServerName,
    valid_contact_id,
    valid_name,
    valid_phone,
)
from dialer.core.permit import Permit
from dialer.errors import InputError
from dialer.queues.port import LiveState, MarkLive
from dialer.queues.removals import parse_moment


class Payload(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What the CRM said of a contact, and the gate need not know."""

    name: str = ""
    timezone: str | None = None
    consent: Mapping[str, object] = msgspec.field(default_factory=dict)
    fields: Mapping[str, object] = msgspec.field(default_factory=dict)


class InboxEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A removal or do-not-call entry that names a call."""

    call: str
    kind: str
    at: str
    ref: str = ""
    reason: str = ""


_ENCODE: Final = msgspec.json.Encoder()
_PAYLOAD: Final = msgspec.json.Decoder(Payload)
_INBOX: Final = msgspec.json.Decoder(InboxEntry)
_NO_FIELDS: Final[Mapping[str, object]] = {}


def number(value: float) -> str:
    """Unix seconds to the microsecond, as Redis and Lua read them."""
    return f"{value:.6f}"


def optional(value: float | None) -> str:
    """As `number`; empty where there is none."""
    return "" if value is None else f"{value:.6f}"


def offer_args(contact: Contact, attempts: int = 0, next_at: float | None = None) -> tuple[Any, ...]:
    """A contact as ``offer.lua`` takes it.

    Raises:
        InputError: an id, campaign or phone has not the form that `dialer.core.ids` demands.
    """
    if not valid_name(contact.campaign) or not valid_contact_id(contact.id):
        raise InputError(f"contact {contact.id!r} of campaign {contact.campaign!r}: one of both names is malformed")
    phones = tuple(dict.fromkeys(contact.phones))
    if not phones or not all(valid_phone(phone) for phone in phones):
        raise InputError(f"contact {contact.id!r}: every phone must be E.164 with +, and there must be one")
    if not -1_000 <= contact.priority <= 1_000:
        raise InputError(f"contact {contact.id!r}: priority must be from -1000 to 1000")
    payload = Payload(name=contact.name, timezone=contact.timezone, consent=contact.consent, fields=contact.fields)
    begins = [moment for moment in (contact.not_before_at, next_at) if moment is not None]
    return (
        contact.id,
        contact.priority,
        optional(contact.expires_at),
        number(max(begins)) if begins else "",
        ",".join(phone[1:] for phone in phones),
        _ENCODE.encode(payload),
        attempts,
    )


def chunks(contacts: Sequence[Contact], size: int) -> Iterator[list[tuple[int, Contact]]]:
    """Contacts with their positions, in runs of one campaign, of at most `size`, without an id twice in one run.

    Order is kept among contacts of one campaign.
    """
    open_runs: dict[CampaignId, dict[ContactId, tuple[int, Contact]]] = {}
    for position, contact in enumerate(contacts):
        run = open_runs.setdefault(contact.campaign, {})
        if contact.id in run or len(run) >= size:
            yield list(run.values())
            run = open_runs[contact.campaign] = {}
        run[contact.id] = (position, contact)
    for run in open_runs.values():
        yield list(run.values())


def permits(
    rows: Sequence[bytes], calls: Sequence[CallId], *, campaign: CampaignId, first_token: int, expires_at: float
) -> tuple[Permit, ...]:
    """What the gate has granted: of each its id, digits, and record (see ``prelude.lua``)."""
    made = []
    for i in range(0, len(rows), 3):
        head, _, data = rows[i + 2].partition(b"\n")
        payload = _PAYLOAD.decode(data) if data != b"{}" else None
        made.append(
            Permit(
                call=calls[i // 3],
                campaign=campaign,
                contact=ContactId(rows[i].decode()),
                phone=Phone("+" + rows[i + 1].decode()),
                fencing_token=first_token + i // 3,
                attempt_number=int(head.split(b"\t", 2)[1]) + 1,
                expires_at=expires_at,
                name=payload.name if payload else "",
                fields=payload.fields if payload else _NO_FIELDS,
            )
        )
    return tuple(made)


def purged(data: bytes) -> CallPurged:
    """An entry of an inbox."""
    entry = _INBOX.decode(data)
    return CallPurged(
        at=parse_moment(entry.at) or 0.0,
        call=CallId(entry.call),
        kind=entry.kind,
        ref=MessageId(entry.ref),
        reason=entry.reason,
    )


def recovered(call: bytes, record: bytes, now: float) -> CallRecovered:
    """A live call's record, as ``prelude.lua`` describes it."""
    _, token, attempt, _, reserved, started, answered, connected, server, agent, campaign, digits, contact = (
        record.decode().split("\t")
    )
    return CallRecovered(
        at=now,
        call=CallId(call.decode()),
        campaign=CampaignId(campaign),
        contact=ContactId(contact),
        phone=Phone("+" + digits),
        server=ServerName(server) if server else None,
        agent=AgentId(agent) if agent else None,
        started_at=float(started or reserved),
        attempt_number=int(attempt),
        fencing_token=int(token),
        answered_at=float(answered) if answered else None,
        connected_at=float(connected) if connected else None,
    )


@dataclass(slots=True)
class Outstanding:
    """A call of this process that is under way: enough to tell it to a Redis that has forgotten it."""

    permit: Permit
    reserved_at: float
    state: LiveState = LiveState.RESERVED
    moments: dict[LiveState, float] = field(default_factory=dict)
    server: str = ""
    agent: str = ""

    def mark(self, mark: MarkLive) -> None:
        """Note how far it has come, never backwards."""
        order = list(LiveState)
        if order.index(mark.state) > order.index(self.state):
            self.state = mark.state
        self.moments.setdefault(mark.state, mark.at)
        self.server = mark.server or self.server
        self.agent = mark.agent or self.agent

    def args(self) -> tuple[Any, ...]:
        """As ``relive.lua`` takes it."""
        permit = self.permit
        return (
            permit.call,
            permit.fencing_token,
            permit.attempt_number,
            str(self.state),
            number(self.reserved_at),
            optional(self.moments.get(LiveState.DIALING)),
            optional(self.moments.get(LiveState.ANSWERED)),
            optional(self.moments.get(LiveState.TALKING)),
            self.server,
            self.agent,
            permit.campaign,
            permit.phone[1:],
            permit.contact,
        )
