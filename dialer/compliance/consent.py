"""Consent: what somebody agreed to, read from what a CRM says, and whether it is enough for a call.

A CRM gives consent with a contact, or each yes by itself::

    {"id": "c-881", "purposes": ["marketing"], "channel": "voice", "source": "web form",
     "text": "I agree to be called about …", "given_at": "2026-05-04T10:12:00+02:00", "expires_at": …, "revoked_at": …,
     "phone": "+34600111222", "seller": "acme", "hours_agreed": true}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from dialer.compliance.calendar import DAY_S
from dialer.compliance.rules import Basis, ConsentMode, ConsentRule, Purpose
from dialer.core.ids import Phone
from dialer.core.saying import Saying, say

#: The only way of reaching somebody that this dialer has.
VOICE: Final = "voice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """One yes of one person. All moments in unix seconds."""

    id: str
    person: str
    #: The number it was given for; None: all numbers of the person.
    phone: Phone | None
    purposes: frozenset[Purpose]
    channel: str
    #: For whom it was given; empty: the centre's only principal.
    seller: str
    #: Where it was given: a form, a call, a shop.
    source: str
    #: What the person was shown or told.
    text: str
    given_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    #: Whether the person also agreed to be called outside the hours of the law.
    hours_agreed: bool = False


class ConsentProblem(StrEnum):
    """Why what is on record is not enough."""

    NONE = "none"
    #: For another number, purpose, channel or company.
    OTHER = "other"
    NOT_YET = "not_yet"
    EXPIRED = "expired"
    #: Older than the jurisdiction takes for good.
    STALE = "stale"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The call for which consent is looked for."""

    phone: Phone
    purpose: Purpose
    person: str = ""
    channel: str = VOICE
    seller: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentVerdict:
    """Whether consent allows a call, and on which record it rests."""

    permit: bool
    #: The record that allows it, or that was nearest to it.
    consent: Consent | None = None
    problem: ConsentProblem | None = None
    #: What a campaign claims instead of a record.
    basis: Basis | None = None
    #: The record begins to count then, where it does not yet.
    retry_at: float | None = None


class _RawConsent(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    id: Annotated[str, Meta(min_length=1, max_length=128)]
    purposes: Annotated[list[Purpose], Meta(min_length=1)]
    given_at: datetime
    source: Annotated[str, Meta(min_length=1, max_length=500)]
    text: Annotated[str, Meta(min_length=1, max_length=8_000)]
    channel: Annotated[str, Meta(min_length=1, max_length=32)] = VOICE
    person: Annotated[str, Meta(max_length=128)] = ""
    phone: Annotated[str, Meta(pattern=r"^\+[1-9][0-9]{6,14}\Z")] | None = None
    seller: Annotated[str, Meta(max_length=128)] = ""
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    hours_agreed: bool = False


@dataclass(frozen=True, slots=True)
class Unusable:
    """What a CRM gave as consent and cannot be taken for one; it allows nothing."""

    problem: Saying


def read_consent(data: Mapping[str, object], *, person: str = "") -> Consent | Unusable:
    """The consent that `data` describes, for `person` where it does not say for whom."""
    try:
        raw = msgspec.convert(data, _RawConsent)
    except msgspec.ValidationError as error:
        problem = str(error).replace("$.", "")
        return Unusable(say(f"consent: {problem}", code="consent_unreadable", problem=problem))
    moments = {"given_at": raw.given_at, "expires_at": raw.expires_at, "revoked_at": raw.revoked_at}
    seconds: dict[str, float | None] = {}
    for name, moment in moments.items():
        if moment is not None and moment.tzinfo is None:
            says = f"consent: {name} has no zone; write it as 2026-03-01T16:00:00+01:00"
            return Unusable(say(says, code="consent_no_zone", field=name))
        seconds[name] = None if moment is None else moment.timestamp()
    given_at = seconds["given_at"]
    assert given_at is not None, "the schema demands it"
    expires_at, revoked_at = seconds["expires_at"], seconds["revoked_at"]
    if expires_at is not None and expires_at <= given_at:
        says = "consent: expires_at is not after given_at; it would never have counted"
        return Unusable(say(says, code="consent_never_counted"))
    return Consent(
        id=raw.id,
        person=raw.person or person,
        phone=None if raw.phone is None else Phone(raw.phone),
        purposes=frozenset(raw.purposes),
        channel=raw.channel,
        seller=raw.seller,
        source=raw.source,
        text=raw.text,
        given_at=given_at,
        expires_at=expires_at,
        revoked_at=revoked_at,
        hours_agreed=raw.hours_agreed,
    )


def check(
    rule: ConsentRule | None,
    records: Sequence[Consent],
    wanted: Wanted,
    now: float,
    bases: frozenset[Basis] = frozenset(),
) -> ConsentVerdict:
    """Whether `records` allow the call `wanted` at `now`, under a rule (None: nothing is asked for but no objection).

    Opt-in needs a record that counts, or a claim that lifts the rule. Opt-out is content with none; but who took back
    the last word is not called under either, whatever is claimed.
    """
    fitting = sorted(
        (one for one in records if one.given_at <= now and _about(one, wanted)), key=lambda one: (one.given_at, one.id)
    )
    revoked = [one for one in fitting if one.revoked_at is not None and one.revoked_at <= now]
    last_no = max((one.revoked_at or 0.0 for one in revoked), default=None)
    good = [one for one in fitting if one not in revoked and (last_no is None or one.given_at > last_no)]
    if last_no is not None and not good:
        return ConsentVerdict(permit=False, consent=revoked[-1], problem=ConsentProblem.REVOKED)
    problem: ConsentProblem = ConsentProblem.NONE
    nearest: Consent | None = None
    for one in reversed(good):
        found = _age_problem(rule, one, now)
        if found is None:
            return ConsentVerdict(permit=True, consent=one)
        if nearest is None:
            problem, nearest = found, one
    if rule is None or rule.mode is ConsentMode.OPT_OUT:
        return ConsentVerdict(permit=True, consent=nearest)
    for basis in sorted(rule.lifted_by & bases):
        return ConsentVerdict(permit=True, consent=nearest, basis=basis)
    if nearest is not None:
        return ConsentVerdict(permit=False, consent=nearest, problem=problem)
    return _nothing_yet(records, wanted, now)


def _nothing_yet(records: Sequence[Consent], wanted: Wanted, now: float) -> ConsentVerdict:
    coming = [one for one in records if _about(one, wanted) and one.given_at > now and one.revoked_at is None]
    if coming:
        first = min(coming, key=lambda one: one.given_at)
        return ConsentVerdict(permit=False, consent=first, problem=ConsentProblem.NOT_YET, retry_at=first.given_at)
    mine = [one for one in records if not one.person or not wanted.person or one.person == wanted.person]
    if mine:
        return ConsentVerdict(permit=False, consent=mine[-1], problem=ConsentProblem.OTHER)
    return ConsentVerdict(permit=False, problem=ConsentProblem.NONE)


def _about(one: Consent, wanted: Wanted) -> bool:
    return (
        wanted.purpose in one.purposes
        and one.channel == wanted.channel
        and (one.phone is None or one.phone == wanted.phone)
        and (not one.person or not wanted.person or one.person == wanted.person)
        and (not one.seller or one.seller == wanted.seller)
    )


def _age_problem(rule: ConsentRule | None, one: Consent, now: float) -> ConsentProblem | None:
    if one.expires_at is not None and one.expires_at <= now:
        return ConsentProblem.EXPIRED
    if rule is not None and rule.max_age_days is not None and one.given_at + rule.max_age_days * DAY_S <= now:
        return ConsentProblem.STALE
    return None
