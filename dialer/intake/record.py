"""One contact from outside, checked: what a message, a row of NDJSON and a row of CSV have in common."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from dialer.compliance.own_hours import read_own_hours
from dialer.core.contact import Contact
from dialer.core.contact_phone import PhoneTerms, PhoneType
from dialer.core.ids import CampaignId, ContactId, Phone, valid_contact_id
from dialer.errors import InputError
from dialer.intake.phones import PhoneReader, PhoneVerdict

MAX_PHONES: Final = 10
MAX_NAME: Final = 200
MAX_PRIORITY: Final = 1_000
#: Of what is said of a number: its place among the others, and attempts.
MAX_PHONE_NUMBER: Final = 100
#: A contact's free data, as JSON. It is kept in memory by Redis and sent to agents' screens.
MAX_DATA_BYTES: Final = 8 * 1024
MAX_DEPTH: Final = 8
#: Largest integer that every JSON reader (and Redis' Lua) keeps exactly.
MAX_INTEGER: Final = 2**53 - 1


class RejectReason(StrEnum):
    """Why something from outside was not taken. Part of the contract: a CRM may branch on it."""

    NOT_JSON = "not_json"
    WRONG_TYPE = "wrong_type"
    WRONG_VALUE = "wrong_value"
    TOO_LARGE = "too_large"
    NOT_TEXT = "not_text"
    MISSING_ID = "missing_id"
    INVALID_ID = "invalid_id"
    DUPLICATE_ID = "duplicate_id"
    MISSING_PHONE = "missing_phone"
    PHONE_NOT_A_NUMBER = "phone_not_a_number"
    PHONE_NOT_VALID = "phone_not_valid"
    PHONE_PREMIUM = "phone_premium"
    PHONE_SHARED_COST = "phone_shared_cost"
    PHONE_ERASED = "phone_erased"
    DUPLICATE_PHONE = "duplicate_phone"
    INVALID_PHONE = "invalid_phone"
    INVALID_HOURS = "invalid_hours"
    INVALID_PRIORITY = "invalid_priority"
    INVALID_TIMEZONE = "invalid_timezone"
    INVALID_TIME = "invalid_time"
    UNKNOWN_CAMPAIGN = "unknown_campaign"
    UNKNOWN_CALL = "unknown_call"
    UNKNOWN_CODE = "unknown_code"
    INVALID_AMOUNT = "invalid_amount"
    MISSING_CALLBACK = "missing_callback"
    REMOVED = "removed"
    FINISHED = "finished"
    DO_NOT_CALL = "do_not_call"
    UNCLOSED_QUOTE = "unclosed_quote"
    TOO_MANY_COLUMNS = "too_many_columns"


REASON_OF_VERDICT: Final[Mapping[PhoneVerdict, RejectReason]] = {
    PhoneVerdict.NOT_A_NUMBER: RejectReason.PHONE_NOT_A_NUMBER,
    PhoneVerdict.NOT_VALID: RejectReason.PHONE_NOT_VALID,
    PhoneVerdict.PREMIUM_REFUSED: RejectReason.PHONE_PREMIUM,
    PhoneVerdict.SHARED_COST_REFUSED: RejectReason.PHONE_SHARED_COST,
    PhoneVerdict.ERASED: RejectReason.PHONE_ERASED,
}


class Refusal(msgspec.Struct, frozen=True):
    """Why one contact cannot be used."""

    reason: RejectReason
    problem: str
    #: Its id, where one could be read.
    id: ContactId | None = None


class RawPhone(msgspec.Struct):
    """A number of which something is said; null means absent."""

    number: str
    type: Annotated[str | None, Meta(description="mobile, home, work or other")] = None
    order: Annotated[int | None, Meta(description="1 to 100: lower is called first, and before those without")] = None
    hours: Annotated[
        list[str] | None, Meta(description="When it may ring, by the person's clock: mon-fri 09:00-17:00, …")
    ] = None
    max_attempts: Annotated[int | None, Meta(description="1 to 100, of this number")] = None


class RawContact(msgspec.Struct):
    """A contact as it stands in JSON; null means absent."""

    #: A whole number is taken as text: some CRMs number their contacts.
    id: Annotated[str | int | None, Meta(description="The CRM's key of the person; 1 to 128 characters")] = None
    phones: Annotated[
        list[str | RawPhone] | None,
        Meta(description="1 to 10, the preferred first: numbers, or objects that say more of one"),
    ] = None
    phone: Annotated[str | None, Meta(description="In place of phones: one")] = None
    name: str | None = None
    priority: Annotated[int | None, Meta(description="-1000 to 1000, higher is called first")] = None
    timezone: Annotated[str | None, Meta(description="IANA name; absent: by the number")] = None
    not_before: Annotated[str | None, Meta(description="RFC 3339 with a zone")] = None
    expires: Annotated[str | None, Meta(description="RFC 3339 with a zone: not called from then on")] = None
    consent: Annotated[dict[str, Any] | None, Meta(description="At most 8 KiB")] = None
    fields: Annotated[dict[str, Any] | None, Meta(description="Shown to the agent, and for the screen pop")] = None


_NOTHING_SAID: Final = PhoneTerms()
NOT_A_MOMENT: Final = "must be a moment with its zone, such as 2026-03-01T16:00:00+01:00"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")


def moment(text: str) -> float | None:
    """Unix seconds of an RFC 3339 moment; None where it is none, or has no zone: nobody can tell when that is."""
    try:
        at = datetime.fromisoformat(text.strip())
        # datetime's own limits are wider than those of the databases behind us.
        return None if at.tzinfo is None or not 1970 <= at.year <= 9000 else at.timestamp()
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=1_024)
def valid_timezone(name: str) -> bool:
    """Whether `name` is a zone of the IANA database."""
    try:
        ZoneInfo(name)
    # A directory of the database, a path out of it, a name with NUL: ZoneInfo has an error for each.
    except (ValueError, OSError, KeyError, UnicodeError):
        return False
    return True


def tidy(text: str) -> str:
    """`text` in one line: control characters and runs of white space become one space."""
    # What is printable has no white space but single spaces, and the test is ten times as fast as the search.
    return text.strip() if text.isprintable() and "  " not in text else _CONTROL.sub(" ", text).strip()


def read_phones(texts: Iterable[str], reader: PhoneReader) -> tuple[tuple[Phone, ...], list[Refusal]]:
    """The valid numbers, each once, and why the others were left out (empty texts are nobody's number)."""
    phones: list[Phone] = []
    refused: list[Refusal] = []
    for place, text in enumerate(texts, start=1):
        if not text or text.isspace():
            continue
        phone = reader.certain(text)
        if phone is None:
            reading = reader.read(text)
            phone = reading.phone
            if phone is None:
                refused.append(Refusal(REASON_OF_VERDICT[reading.verdict], f"phone {place} {reading.problem}"))
                continue
        if phone not in phones:
            phones.append(phone)
    return tuple(phones), refused


def read_phones_said(
    given: Sequence[RawPhone], reader: PhoneReader
) -> tuple[tuple[Phone, ...], dict[Phone, PhoneTerms], list[Refusal]]:
    """As `read_phones`, of numbers of which more is said; and that. Of one that comes twice the first counts.

    A number of which something wrong is said is left out: it might ring when it must not.
    """
    found: dict[Phone, tuple[int, PhoneTerms]] = {}
    refused: list[Refusal] = []
    for place, said in enumerate(given, start=1):
        if not said.number or said.number.isspace():
            continue
        reading = reader.read(said.number)
        if reading.phone is None:
            refused.append(Refusal(REASON_OF_VERDICT[reading.verdict], f"phone {place} {reading.problem}"))
            continue
        terms = _terms(said)
        if isinstance(terms, Refusal):
            refused.append(Refusal(terms.reason, f"phone {place} {terms.problem}"))
        else:
            found.setdefault(reading.phone, (said.order or MAX_PHONE_NUMBER + 1, terms))
    phones = tuple(sorted(found, key=lambda phone: found[phone][0]))
    return phones, {phone: found[phone][1] for phone in phones if found[phone][1] != _NOTHING_SAID}, refused


def _terms(said: RawPhone) -> PhoneTerms | Refusal:
    kind = (said.type or "").strip().casefold()
    if kind and kind not in frozenset(PhoneType):
        return Refusal(RejectReason.INVALID_PHONE, f"type {kind[:40]!r} is none of {', '.join(PhoneType)}")
    for title, value in (("order", said.order), ("max_attempts", said.max_attempts)):
        if value is not None and not 1 <= value <= MAX_PHONE_NUMBER:
            problem = f"{title} {value} is not within 1 and {MAX_PHONE_NUMBER}"
            return Refusal(RejectReason.INVALID_PHONE, problem)
    try:
        hours = () if said.hours is None else read_own_hours(said.hours)
    except InputError as error:
        return Refusal(RejectReason.INVALID_HOURS, str(error))
    return PhoneTerms(type=PhoneType(kind) if kind else None, hours=hours, max_attempts=said.max_attempts)


def build_contact(
    raw: RawContact, campaign: CampaignId, reader: PhoneReader, *, default_id: bool = False
) -> tuple[Contact, tuple[Refusal, ...]] | Refusal:
    """The contact and which of its numbers were left out; or why it cannot be used.

    With `default_id` a contact without id gets that of `id_from_phone`.
    """
    # As it is: a removal names it with the very same characters.
    given = "" if raw.id is None else str(raw.id)
    if given and not valid_contact_id(given):
        return Refusal(RejectReason.INVALID_ID, "id must have 1 to 128 characters, none of them a control character")
    contact_id = ContactId(given) if given else None
    if contact_id is None and not default_id:
        return Refusal(RejectReason.MISSING_ID, "id is missing: the CRM's own key of this person")
    given_phones = raw.phones if raw.phones is not None else [raw.phone] if raw.phone is not None else []
    if len(given_phones) > MAX_PHONES:
        return Refusal(RejectReason.TOO_LARGE, f"{len(given_phones)} phones; at most {MAX_PHONES}", contact_id)
    texts = [phone for phone in given_phones if isinstance(phone, str)]
    terms: dict[Phone, PhoneTerms] = {}
    if len(texts) == len(given_phones):
        phones, refused = read_phones(texts, reader)
    else:
        phones, terms, refused = read_phones_said(
            [RawPhone(number=phone) if isinstance(phone, str) else phone for phone in given_phones], reader
        )
    if not phones:
        return refused_for_phones(refused, contact_id)
    if contact_id is None:
        contact_id = id_from_phone(phones[0])
    name = tidy(raw.name) if raw.name else ""
    priority = raw.priority or 0
    if abs(priority) > MAX_PRIORITY:
        return Refusal(
            RejectReason.INVALID_PRIORITY,
            f"priority {priority} is not within -{MAX_PRIORITY} and {MAX_PRIORITY}",
            contact_id,
        )
    timezone = raw.timezone or None
    if timezone is not None and not valid_timezone(timezone):
        return Refusal(
            RejectReason.INVALID_TIMEZONE,
            f"timezone {timezone[:64]!r} is no IANA zone such as Europe/Madrid",
            contact_id,
        )
    not_before_at = moment(raw.not_before) if raw.not_before else None
    if raw.not_before and not_before_at is None:
        return Refusal(RejectReason.INVALID_TIME, f"not_before {NOT_A_MOMENT}", contact_id)
    expires_at = moment(raw.expires) if raw.expires else None
    if raw.expires and expires_at is None:
        return Refusal(RejectReason.INVALID_TIME, f"expires {NOT_A_MOMENT}", contact_id)
    contact = Contact(
        campaign=campaign,
        id=contact_id,
        phones=phones,
        phone_terms=terms,
        name=name,
        priority=priority,
        timezone=timezone,
        not_before_at=not_before_at,
        expires_at=expires_at,
        consent=raw.consent or {},
        fields=raw.fields or {},
    )
    return too_large(contact) or (contact, tuple(refused))


def too_large(contact: Contact) -> Refusal | None:
    """Why the texts and data of `contact` are more than is kept of one; None where they are not."""
    if len(contact.name) > MAX_NAME:
        problem = f"name has {len(contact.name)} characters; at most {MAX_NAME}"
        return Refusal(RejectReason.TOO_LARGE, problem, contact.id)
    for title, data in (("consent", contact.consent), ("fields", contact.fields)):
        if data and (wrong := _wrong_with(data)):
            return Refusal(RejectReason.TOO_LARGE, f"{title} {wrong}", contact.id)
    return None


def refused_for_phones(refused: Sequence[Refusal], contact_id: ContactId | None) -> Refusal:
    """The refusal of a contact without a number that can be called: reason of its first, and what is wrong with all."""
    if not refused:
        return Refusal(RejectReason.MISSING_PHONE, "has no telephone number", contact_id)
    erased = any(refusal.reason is RejectReason.PHONE_ERASED for refusal in refused)
    reason = RejectReason.PHONE_ERASED if erased else refused[0].reason
    return Refusal(reason, "; ".join(refusal.problem for refusal in refused), contact_id)


def id_from_phone(phone: Phone) -> ContactId:
    """The id of a contact that came without one: the same for the same number, whenever it comes again."""
    return ContactId(f"tel:{phone}")


def _wrong_with(data: Mapping[str, Any]) -> str:
    if not _shallow(data, MAX_DEPTH):
        return f"is nested more than {MAX_DEPTH} deep, or has a number that JSON readers do not keep exactly"
    size = len(msgspec.json.encode(data))
    return f"takes {size} bytes as JSON; at most {MAX_DATA_BYTES}" if size > MAX_DATA_BYTES else ""


def _shallow(value: Any, depth: int) -> bool:
    if depth == 0:
        return False
    match value:
        case dict():
            return all(_shallow(item, depth - 1) for item in value.values())
        case list():
            return all(_shallow(item, depth - 1) for item in value)
        case bool():
            return True
        case int():
            return abs(value) <= MAX_INTEGER
        case float():
            return math.isfinite(value)
        case _:
            return True
