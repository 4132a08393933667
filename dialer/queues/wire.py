"""Contacts, permits and live calls as the scripts keep and tell them; pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import count, repeat
from types import MappingProxyType
from typing import Any, Final

import msgspec

from dialer.core.contact import Contact
from dialer.core.contact_phone import ContactNumber, PhoneTerms
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
from dialer.core.promise import Due, Promise
from dialer.errors import InputError
from dialer.queues.cap_law import ledger_and_who
from dialer.queues.encoding import to_json_lines
from dialer.queues.journal import RefusalEntry, encode_refusal
from dialer.queues.lazy_fields import LazyFields, LazyNumbers, phones_in
from dialer.queues.port import NEVER, FilterInForce, LiveState, MarkLive, PackedOffer
from dialer.queues.removals import parse_moment


class Payload(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the CRM said of a contact, and the gate need not know."""

    #: Person, account and subject as the caps know them (`cap_law.ledger_and_who`), of which it need know these first.
    who: tuple[str, ...] = ()
    #: What it said of numbers of its own; the scripts look whether there is any.
    numbers: Mapping[Phone, PhoneTerms] = msgspec.field(default_factory=dict)
    name: str = ""
    timezone: str | None = None
    consent: Mapping[str, object] = msgspec.field(default_factory=dict)
    fields: Mapping[str, object] = msgspec.field(default_factory=dict)
    #: Of the list with which it came; last, where the scripts look for it.
    list: str | None = None


_NO_TERMS: Final[Mapping[Phone, PhoneTerms]] = MappingProxyType({})


class _Named(msgspec.Struct, frozen=True):
    """Of a `Payload`, what is read at once."""

    name: str = ""
    numbers: Mapping[Phone, PhoneTerms] = _NO_TERMS
    fields: msgspec.Raw = msgspec.Raw(b"")
    timezone: str | None = None
    consent: msgspec.Raw = msgspec.Raw(b"")
    list: str | None = None


class _Columns(msgspec.Struct, frozen=True, array_like=True):
    """Contacts as ``offer.lua`` takes them, side by side; None: nobody has anything in that column."""

    ids: list[ContactId]
    phones: list[str]
    #: JSON as text: Redis' own MessagePack knows no bytes.
    payloads: list[str]
    priorities: list[int] | None
    expiries: list[str] | None
    not_before: list[str] | None
    #: Only in a load from the record: attempts made, and time of the next.
    attempts: list[int] | None
    next_times: list[str] | None


class InboxEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A removal or do-not-call entry that names a call."""

    call: str
    kind: str
    at: str
    ref: str = ""
    reason: str = ""


_PAYLOAD: Final = msgspec.json.Decoder(Payload)
_NAMED: Final = msgspec.json.Decoder(_Named)
_INBOX: Final = msgspec.json.Decoder(InboxEntry)
_PACK: Final = msgspec.msgpack.Encoder()
_COLUMNS: Final = msgspec.msgpack.Decoder(_Columns)
#: Contacts in one run of offer.lua: bounds how long other clients wait.
OFFER_AT_ONCE: Final = 200
#: Between ids and between records; neither JSON nor an id may have it.
_JOINT: Final = "\x1e"
_NO_FIELDS: Final[Mapping[str, object]] = MappingProxyType({})
#: Setters of the attributes of a `Permit`, in the order of its definition.
_PERMIT_SLOTS: Final = tuple(getattr(Permit, name).__set__ for name in (f.name for f in fields(Permit)))


def number(value: float) -> str:
    """Unix seconds to the microsecond, as Redis and Lua read them."""
    return f"{value:.6f}"


def optional(value: float | None) -> str:
    """As `number`; empty where there is none."""
    return "" if value is None else f"{value:.6f}"


def check(contact: Contact) -> None:
    """Make sure that the scripts can keep a contact.

    Raises:
        InputError: an id, campaign or phone has not the form that `dialer.core.ids` demands.
    """
    if not valid_name(contact.campaign) or not valid_contact_id(contact.id):
        raise InputError(f"contact {contact.id!r} of campaign {contact.campaign!r}: one of both names is malformed")
    if not contact.phones or not all(map(valid_phone, contact.phones)):
        raise InputError(f"contact {contact.id!r}: every phone must be E.164 with +, and there must be one")
    if not -1_000 <= contact.priority <= 1_000:
        raise InputError(f"contact {contact.id!r}: priority must be from -1000 to 1000")


def pack(
    contacts: Sequence[Contact], attempts: list[int] | None = None, next_times: Sequence[float | None] = ()
) -> PackedOffer:
    """Contacts that `check` has passed, as ``offer.lua`` takes them.

    Args:
        contacts: 1 to `OFFER_AT_ONCE` of one campaign, none twice.
        attempts: made at each of them, for a load from the record; None: none.
        next_times: when to make the next one; empty: at any time.
    """
    priorities = [contact.priority for contact in contacts]
    columns = _Columns(
        [contact.id for contact in contacts],
        [_digits(contact.phones) for contact in contacts],
        to_json_lines([_payload(contact) for contact in contacts]),
        priorities if any(priorities) else None,
        _moments([contact.expires_at for contact in contacts]),
        _moments([contact.not_before_at for contact in contacts]),
        attempts,
        _moments(next_times),
    )
    return PackedOffer(campaign=contacts[0].campaign, count=len(contacts), columns=_PACK.encode(columns))


def unpack(offer: PackedOffer) -> list[Contact]:
    """The contacts of an offer, their times to the microsecond."""
    columns = _COLUMNS.decode(offer.columns)
    contacts = []
    for i, id in enumerate(columns.ids):
        payload = _PAYLOAD.decode(columns.payloads[i])
        contacts.append(
            Contact(
                campaign=offer.campaign,
                id=id,
                phones=tuple(Phone(f"+{digits}") for digits in columns.phones[i].split(",")),
                phone_terms=payload.numbers,
                name=payload.name,
                priority=columns.priorities[i] if columns.priorities else 0,
                timezone=payload.timezone,
                not_before_at=_moment(columns.not_before, i),
                expires_at=_moment(columns.expiries, i),
                consent=payload.consent,
                fields=payload.fields,
                list=payload.list,
            )
        )
    return contacts


def _payload(contact: Contact) -> Payload:
    return Payload(
        ledger_and_who(contact.fields),
        contact.phone_terms,
        contact.name,
        contact.timezone,
        contact.consent,
        contact.fields,
        contact.list,
    )


def _digits(phones: tuple[Phone, ...]) -> str:
    return phones[0][1:] if len(phones) == 1 else ",".join([phone[1:] for phone in dict.fromkeys(phones)])


def _moments(moments: Sequence[float | None]) -> list[str] | None:
    return [optional(moment) for moment in moments] if moments.count(None) < len(moments) else None


def _moment(column: list[str] | None, row: int) -> float | None:
    return float(column[row]) if column is not None and column[row] else None


def chunks(contacts: Sequence[Contact]) -> Iterator[list[tuple[int, Contact]]]:
    """Contacts with their positions, in runs for `pack`: of one campaign, without an id twice in one run.

    Order is kept among contacts of one campaign.
    """
    open_runs: dict[CampaignId, dict[ContactId, tuple[int, Contact]]] = {}
    for position, contact in enumerate(contacts):
        run = open_runs.setdefault(contact.campaign, {})
        if contact.id in run or len(run) >= OFFER_AT_ONCE:
            yield list(run.values())
            run = open_runs[contact.campaign] = {}
        run[contact.id] = (position, contact)
    for run in open_runs.values():
        yield list(run.values())


def permits(
    joined_ids: bytes,
    joined_digits: bytes,
    joined_attempts: bytes,
    joined_kept: bytes,
    records: Sequence[bytes],
    calls: Sequence[CallId],
    *,
    campaign: CampaignId,
    first_token: int,
    expires_at: float,
) -> tuple[Permit, ...]:
    """What the gate has granted.

    Args:
        joined_ids: of the contacts, joined by `_JOINT`.
        joined_digits: what to call, joined by commas.
        joined_attempts: how many were made before, joined by commas.
        joined_kept: what is kept of their numbers one by one (``numbers.lua``), joined by `_JOINT`; empty: of none.
        records: of the contacts, as ``prelude.lua`` describes them.
        calls: ids of the calls, as many or more.
        campaign: of all of them.
        first_token: fencing token of the first.
        expires_at: unix seconds.
    """
    if not joined_ids:
        return ()
    ids = joined_ids.decode().split(_JOINT)
    halves = [record.partition(b"\n") for record in records]
    named = [_NAMED.decode(data) for _, _, data in halves]
    fresh = not joined_attempts.strip(b"0,")
    # Attribute by attribute for all of them: a frozen dataclass takes four times as long to make one by one.
    made = tuple(map(Permit.__new__, repeat(Permit, len(ids))))
    columns: tuple[Iterable[object], ...] = (
        calls,
        repeat(campaign),
        ids,
        ("+" + joined_digits.decode().replace(",", ",+")).split(","),
        count(first_token),
        repeat(1) if fresh else [int(attempts) + 1 for attempts in joined_attempts.split(b",")],
        repeat(expires_at),
        # Nothing before the data has commas but the numbers.
        [head.count(b",") + 1 for head, _, _ in halves],
        [one.name for one in named],
        [LazyFields(one.fields) if one.fields else _NO_FIELDS for one in named],
        [one.timezone for one in named],
        [LazyFields(one.consent) if one.consent else _NO_FIELDS for one in named],
        [
            # As of nearly all contacts: nothing is said of any of its numbers.
            (LazyNumbers(head) if b"," in head else ())
            if not one.numbers and not entry
            else _numbers(head, one.numbers, entry)
            for (head, _, _), one, entry in zip(
                halves, named, joined_kept.decode().split(_JOINT) if joined_kept else repeat(""), strict=False
            )
        ],
        [one.list for one in named],
        repeat(""),
    )
    for fill, column in zip(_PERMIT_SLOTS, columns, strict=True):
        deque(map(fill, made, column), maxlen=0)
    return made


def _numbers(head: bytes, terms: Mapping[Phone, PhoneTerms], kept: str) -> tuple[ContactNumber, ...]:
    """All numbers of a contact, from the head of its record and what is kept of them one by one."""
    made = {digits: int(attempts) for digits, attempts, _ in _kept(kept)}
    return tuple(ContactNumber(phone, made.get(phone[1:], 0), terms.get(phone)) for phone in phones_in(head))


def _kept(entry: str) -> Iterator[list[str]]:
    return (one.split(":") for one in entry.split(",") if one)


def attempts_text(made: Mapping[Phone, int]) -> str:
    """How often which numbers of a contact were called, as ``load.lua`` takes it."""
    return ",".join(f"{phone[1:]}:{attempts}" for phone, attempts in made.items())


def waits_text(waits: Mapping[Phone, float]) -> str:
    """Until when which numbers are not called, as ``release.lua`` takes it."""
    return ",".join(f"{phone[1:]}:{number(min(until, NEVER))}" for phone, until in waits.items())


def record_args(contact: Contact) -> tuple[str, str, str]:
    """A contact's phones, what the CRM said of it and its expiry, as ``lend.lua`` takes them."""
    return _digits(contact.phones), to_json_lines([_payload(contact)])[0], optional(contact.expires_at)


def promise_args(promise: Promise) -> tuple[str, ...]:
    """A promise as ``promise.lua`` takes it."""
    moments = (number(promise.fallback_at), number(promise.until_at))
    return (promise.contact, number(promise.at), promise.agent or "", *moments)


def due(contact: bytes, entry: bytes, now: float) -> Due:
    """A promise that is due, as ``promises.lua`` describes it."""
    _, at, agent, fallback_at, until_at = entry.decode().split("\t")
    return Due(
        contact=ContactId(contact.decode()),
        agent=AgentId(agent) if agent and now < float(fallback_at) else None,
        due_at=float(at),
        until_at=float(until_at),
    )


def purged(data: bytes, age_ms: float) -> CallPurged:
    """An entry of an inbox, which was written so many milliseconds ago."""
    entry = _INBOX.decode(data)
    return CallPurged(
        at=parse_moment(entry.at) or 0.0,
        call=CallId(entry.call),
        kind=entry.kind,
        ref=MessageId(entry.ref),
        reason=entry.reason,
        waited_s=age_ms / 1_000,
    )


def refusal(entry: RefusalEntry) -> tuple[str, bytes]:
    """Its moment and the rest of its JSON, which the scripts put together once they know that it counts."""
    # `at` is its first field.
    return number(entry.at), b"{" + encode_refusal(entry).partition(b",")[2]


def filter_in_force(entry: bytes) -> FilterInForce | None:
    """A campaign's filter, as ``filter.lua`` keeps it; None where there never was any."""
    number, _, text = entry.decode().partition("\t")
    return FilterInForce(text, int(number)) if number else None


def recovered(call: bytes, record: bytes, now: float) -> CallRecovered:
    """A live call's record, as ``prelude.lua`` describes it."""
    _, token, attempt, _, reserved, started, answered, connected, server, agent, campaign, digits, contact, _ = (
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


def ledgers_of(joined: bytes) -> Iterable[str]:
    """Of each permit the names of its ledgers, by commas; none have any where `joined` is empty."""
    return joined.decode().split(_JOINT) if joined else repeat("")


def ledgered(record: bytes) -> tuple[float, str]:
    """Of a live call's record: when it was reserved, and the names of its ledgers."""
    parts = record.decode().split("\t")
    return float(parts[4]), parts[-1]


@dataclass(slots=True)
class Outstanding:
    """A call of this process that is under way: enough to tell it to a Redis that has forgotten it."""

    permit: Permit
    reserved_at: float
    #: Ledgers in which it stands besides that of its number: names by commas.
    ledgers: str = ""
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

    def reservation(self, owner: str) -> tuple[Any, ...]:
        """From the number on, as ``mark.lua`` takes it."""
        permit = self.permit
        return (
            permit.phone[1:],
            permit.fencing_token,
            owner,
            permit.attempt_number,
            number(self.reserved_at),
            permit.campaign,
            permit.contact,
            self.ledgers,
        )

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
            self.ledgers,
        )
