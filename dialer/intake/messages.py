"""Messages that a CRM writes into the streams: JSON bytes to typed values, or the reason why not.

The format is in docs/crm/messages.md. Keys that are not ours are left alone, so that a CRM may carry its own; a key
that is ours has exactly the type that the contract gives it. Whatever is wrong comes back as a value: a `Rejected`
for a message of which nothing can be used, a `RejectedContact` for one contact among good ones. (Removals and
do-not-call entries are read by the gate itself: `dialer.queues.removals`.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from dialer.core.contact import Contact
from dialer.core.events import CallbackWish
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, MessageId, Phone, valid_contact_id, valid_name
from dialer.intake.phones import PhoneReader
from dialer.intake.record import (
    NOT_A_MOMENT,
    REASON_OF_VERDICT,
    RawContact,
    Refusal,
    RejectReason,
    build_contact,
    moment,
    tidy,
)

MAX_CONTACTS: Final = 1_000
#: A thousand contacts of 8 KB each; a Redis server would take half a gigabyte.
MAX_MESSAGE_BYTES: Final = 8 * 1024 * 1024
#: Messages about one thing are short.
MAX_SMALL_MESSAGE_BYTES: Final = 64 * 1024
MAX_REASON: Final = 500
MAX_NOTES: Final = 10_000
MAX_CODE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A message of which nothing can be used."""

    reason: RejectReason
    #: For people: what is wrong and what to write instead.
    problem: str
    #: The message's own id, where one could be read.
    ref: MessageId | None = None
    campaign: CampaignId | None = None
    contact: ContactId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedContact:
    """One contact of a message that cannot be used."""

    #: Its place in ``contacts``, from 0.
    index: int
    #: Its id, where one could be read.
    id: ContactId | None
    reason: RejectReason
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedContact:
    """One contact of a message, ready for the hopper; `refused` tells which of its numbers were left out and why."""

    index: int
    contact: Contact
    refused: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactBatch:
    """Contacts for one campaign; whether there is such a campaign is for the caller to see."""

    campaign: CampaignId
    ref: MessageId | None
    accepted: tuple[AcceptedContact, ...]
    rejected: tuple[RejectedContact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """Call this contact at this time."""

    ref: MessageId
    campaign: CampaignId
    contact: ContactId
    phone: Phone
    at: float
    agent: AgentId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disposition:
    """A call was closed with a code."""

    ref: MessageId
    call: CallId
    code: str
    agent: AgentId | None
    #: A decimal number, as written.
    amount: str | None
    notes: str
    currency: str | None = None
    callback: CallbackWish | None = None


_T = TypeVar("_T")


class RawBatch(msgspec.Struct):
    """Contacts for one campaign."""

    campaign: str
    contacts: Annotated[
        list[msgspec.Raw],
        Meta(description="Up to 1,000", extra_json_schema={"minItems": 1, "maxItems": MAX_CONTACTS}),
    ]
    id: Annotated[str | int | None, Meta(description="Results carry it as ref")] = None


class RawCallback(msgspec.Struct):
    """Call this contact at this time; a contact that is not known is made."""

    id: Annotated[str | int, Meta(description="Results carry it as ref")]
    campaign: str
    contact: str | int
    at: Annotated[str, Meta(description="RFC 3339 with a zone", extra_json_schema={"format": "date-time"})]
    phone: Annotated[str, Meta(description="Is called first")]
    agent: Annotated[str | None, Meta(description="Who is to call; absent: anybody")] = None


class RawWish(msgspec.Struct):
    """The appointment that a disposition brings."""

    at: Annotated[str, Meta(description="RFC 3339 with a zone", extra_json_schema={"format": "date-time"})]
    phone: Annotated[str | None, Meta(description="Absent: the number of the call")] = None
    agent: Annotated[str | None, Meta(description="Who is to call; absent: anybody")] = None


class RawDisposition(msgspec.Struct):
    """A call was closed with a code, or its code is changed."""

    id: Annotated[str | int, Meta(description="Results carry it as ref")]
    call: Annotated[str, Meta(description="As call.connected gave it")]
    code: Annotated[str, Meta(description="One of the campaign's, in any case")]
    agent: Annotated[str | None, Meta(description="Whose code it is; absent: the agent of the call")] = None
    amount: Annotated[str | int | float | None, Meta(description="0 or more; as text it is kept exactly")] = None
    currency: Annotated[str | None, Meta(description="Must be that of the campaign")] = None
    notes: str | None = None
    callback: RawWish | None = None


class _Named(msgspec.Struct):
    id: Any = None
    campaign: Any = None
    contact: Any = None


_BATCH: Final = msgspec.json.Decoder(RawBatch)
_CONTACT: Final = msgspec.json.Decoder(RawContact)
_CALLBACK: Final = msgspec.json.Decoder(RawCallback)
_DISPOSITION: Final = msgspec.json.Decoder(RawDisposition)
_NAMED: Final = msgspec.json.Decoder(_Named)


def read_contacts(data: bytes, phones: PhoneReader) -> ContactBatch | Rejected:
    """A message of ``contacts``. A contact that cannot be used does not spoil the others."""
    raw = _decode(_BATCH, data, MAX_MESSAGE_BYTES)
    if isinstance(raw, Rejected):
        return raw
    ref = _message_id(raw.id) if raw.id is not None else None
    if isinstance(ref, Rejected):
        return ref
    campaign = _campaign(raw.campaign, ref)
    if isinstance(campaign, Rejected):
        return campaign
    if not raw.contacts:
        return _rejected(RejectReason.WRONG_VALUE, "contacts is empty", ref, campaign)
    if len(raw.contacts) > MAX_CONTACTS:
        problem = f"{len(raw.contacts)} contacts in one message; at most {MAX_CONTACTS}: send the rest in more messages"
        return _rejected(RejectReason.TOO_LARGE, problem, ref, campaign)
    accepted: list[AcceptedContact] = []
    rejected: list[RejectedContact] = []
    for index, item in enumerate(raw.contacts):
        match read_contact(bytes(item), campaign, phones):
            case Refusal() as no:
                rejected.append(RejectedContact(index=index, id=no.id, reason=no.reason, problem=no.problem))
            case (contact, refused):
                accepted.append(AcceptedContact(index=index, contact=contact, refused=refused))
    return ContactBatch(campaign=campaign, ref=ref, accepted=tuple(accepted), rejected=tuple(rejected))


def read_contact(
    data: bytes, campaign: CampaignId, phones: PhoneReader, *, default_id: bool = False
) -> tuple[Contact, tuple[Refusal, ...]] | Refusal:
    """One contact in JSON, with the reasons why numbers of it were left out; or why it cannot be used."""
    try:
        raw = _CONTACT.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        named = _named(data)
        read = named.id if isinstance(named.id, str) and valid_contact_id(named.id) else None
        reason = RejectReason.WRONG_TYPE if isinstance(error, msgspec.ValidationError) else RejectReason.NOT_JSON
        return Refusal(reason, problem_of(error), None if read is None else ContactId(read))
    return build_contact(raw, campaign, phones, default_id=default_id)


def read_callback(data: bytes, phones: PhoneReader) -> Callback | Rejected:
    """A message of ``callbacks``."""
    raw = _decode(_CALLBACK, data, MAX_SMALL_MESSAGE_BYTES)
    if isinstance(raw, Rejected):
        return raw
    ref = _message_id(raw.id)
    if isinstance(ref, Rejected):
        return ref
    campaign = _campaign(raw.campaign, ref)
    if isinstance(campaign, Rejected):
        return campaign
    contact = _contact_id(raw.contact, ref)
    if isinstance(contact, Rejected):
        return contact
    phone = _phone(raw.phone, phones, ref)
    if isinstance(phone, Rejected):
        return phone
    at = moment(raw.at)
    if at is None:
        return _rejected(RejectReason.WRONG_VALUE, f"at {NOT_A_MOMENT}", ref, campaign)
    agent = None if raw.agent is None else _agent(raw.agent, ref)
    if isinstance(agent, Rejected):
        return agent
    return Callback(ref=ref, campaign=campaign, contact=contact, phone=phone, at=at, agent=agent)


def read_disposition(data: bytes, phones: PhoneReader) -> Disposition | Rejected:
    """A message of ``dispositions``; whether its campaign takes it is for `dialer.dispositions.meaning_of` to say."""
    raw = _decode(_DISPOSITION, data, MAX_SMALL_MESSAGE_BYTES)
    if isinstance(raw, Rejected):
        return raw
    ref = _message_id(raw.id)
    if isinstance(ref, Rejected):
        return ref
    if not valid_name(raw.call):
        return _rejected(RejectReason.WRONG_VALUE, "call is not the id of a call, as results give it", ref)
    code = raw.code.strip()
    if not code or len(code) > MAX_CODE or not code.isprintable():
        return _rejected(RejectReason.WRONG_VALUE, f"code must have 1 to {MAX_CODE} printable characters", ref)
    agent = None if raw.agent is None else _agent(raw.agent, ref)
    if isinstance(agent, Rejected):
        return agent
    notes = raw.notes or ""
    if len(notes) > MAX_NOTES:
        return _rejected(RejectReason.TOO_LARGE, f"notes has more than {MAX_NOTES} characters", ref)
    wish = None if raw.callback is None else _wish(raw.callback, phones, ref)
    if isinstance(wish, Rejected):
        return wish
    return Disposition(
        ref=ref,
        call=CallId(raw.call),
        code=code,
        agent=agent,
        amount=amount_text(raw.amount),
        notes=notes.replace("\x00", ""),
        currency=raw.currency,
        callback=wish,
    )


def _wish(raw: RawWish, phones: PhoneReader, ref: MessageId) -> CallbackWish | Rejected:
    at = moment(raw.at)
    if at is None:
        return _rejected(RejectReason.INVALID_TIME, f"callback.at {NOT_A_MOMENT}", ref)
    phone = None if raw.phone is None else _phone(raw.phone, phones, ref)
    if isinstance(phone, Rejected):
        return phone
    agent = None if raw.agent is None else _agent(raw.agent, ref)
    if isinstance(agent, Rejected):
        return agent
    return CallbackWish(at=at, phone=phone, agent=agent)


def _decode(decoder: msgspec.json.Decoder[_T], data: bytes, limit: int) -> _T | Rejected:
    if len(data) > limit:
        return Rejected(reason=RejectReason.TOO_LARGE, problem=f"{len(data)} bytes; at most {limit} in one message")
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        reason = RejectReason.WRONG_TYPE if isinstance(error, msgspec.ValidationError) else RejectReason.NOT_JSON
        named = _named(data)
        ref, campaign, contact = named.id, named.campaign, named.contact
        return Rejected(
            reason=reason,
            problem=problem_of(error),
            ref=MessageId(ref) if isinstance(ref, str) and valid_contact_id(ref) else None,
            campaign=CampaignId(campaign) if isinstance(campaign, str) and valid_name(campaign) else None,
            contact=ContactId(contact) if isinstance(contact, str) and valid_contact_id(contact) else None,
        )


def _named(data: bytes) -> _Named:
    """Whatever names a broken message has, so that the answer can be matched to it."""
    try:
        return _NAMED.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _Named()


def problem_of(error: Exception) -> str:
    """What is wrong with a JSON text, for people."""
    if isinstance(error, msgspec.ValidationError):
        return f"{error}; see the format in docs/crm/messages.md"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeError):
        return "is not UTF-8 text"
    return f"is not JSON: {error}"


def _rejected(
    reason: RejectReason, problem: str, ref: MessageId | None, campaign: CampaignId | None = None
) -> Rejected:
    return Rejected(reason=reason, problem=problem, ref=ref, campaign=campaign)


def _message_id(given: str | int) -> MessageId | Rejected:
    text = str(given)
    if valid_contact_id(text):
        return MessageId(text)
    return _rejected(
        RejectReason.INVALID_ID, "id must have 1 to 128 characters, none of them a control character", None
    )


def _campaign(text: str, ref: MessageId | None) -> CampaignId | Rejected:
    if valid_name(text):
        return CampaignId(text)
    problem = f"campaign {text[:80]!r} cannot be a campaign: 1 to 64 letters, digits, _ and -"
    return _rejected(RejectReason.WRONG_VALUE, problem, ref)


def _contact_id(given: str | int, ref: MessageId) -> ContactId | Rejected:
    text = str(given)
    if valid_contact_id(text):
        return ContactId(text)
    problem = "contact must have 1 to 128 characters, none of them a control character"
    return _rejected(RejectReason.INVALID_ID, problem, ref)


def _agent(text: str, ref: MessageId) -> AgentId | Rejected:
    if valid_name(text):
        return AgentId(text)
    return _rejected(RejectReason.WRONG_VALUE, "agent must have 1 to 64 letters, digits, _ and -", ref)


def _phone(text: str, phones: PhoneReader, ref: MessageId) -> Phone | Rejected:
    reading = phones.read(text)
    if reading.phone is not None:
        return reading.phone
    return _rejected(REASON_OF_VERDICT[reading.verdict], f"phone {reading.problem}", ref)


def amount_text(amount: str | int | float | None) -> str | None:
    """The amount as text, exactly as far as it was given exactly; whether it is one is for its currency to say."""
    if amount is None:
        return None
    return amount.strip() if isinstance(amount, str) else repr(amount)


def _clipped(text: str, length: int) -> str:
    return tidy(text)[:length]
