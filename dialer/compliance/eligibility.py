"""May this person be called now, and if not, why, by which rule, and when.

Puts place, consent, hours and caps together. The verdict is a value that can be kept as evidence: every finding names
the rule with its version and how sure it is, in the order in which they were asked.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import Final, TypeVar

from dialer.compliance import wording
from dialer.compliance.calendar import civil, zone_of
from dialer.compliance.caps import Call, CapVerdict, Subject, evaluate
from dialer.compliance.consent import VOICE, Consent, ConsentVerdict, Wanted, check
from dialer.compliance.hours import AFTER_LAST_DAY, CallingHours, calling_hours, day_timetables, own_timetables
from dialer.compliance.rulebook import RuleBook, Seat
from dialer.compliance.rules import Basis, CapRule, ConsentMode, ConsentRule, CooldownRule, Mark, Party, Purpose, Rule
from dialer.compliance.zones import Called, Nowhere, Whereabouts, locate

_Kind = TypeVar("_Kind", bound=Rule)

#: Hours after the caps, caps after the hours: each round moves on, or ends.
_ROUNDS: Final = 16
#: Sets of rules that are remembered: a kind, a place and a day have one.
_KEPT: Final = 8_192


class RefusalReason(StrEnum):
    """Why a call is refused, in a word: for counts and for programs."""

    UNKNOWN_COUNTRY = "unknown_country"
    CONSENT = "consent"
    HOURS = "hours"
    #: The contact has hours of its own for this number.
    PHONE_HOURS = "phone_hours"
    #: The campaign has hours or days of its own.
    CAMPAIGN_HOURS = "campaign_hours"
    ATTEMPT_CAP = "attempt_cap"
    COOLDOWN = "cooldown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the campaign says about its calls."""

    purpose: Purpose
    party: Party = Party.CONSUMER
    #: Jurisdictions that apply besides that of the number: those of centre and campaign, such as ES or US-FL.
    jurisdictions: tuple[str, ...] = ()
    #: How long it may ring: no call is started that could still ring after the hours.
    ring_timeout_s: float = 25.0
    seller: str = ""
    #: What it claims; kept with every verdict that rests on it.
    bases: frozenset[Basis] = frozenset()
    channel: str = VOICE
    #: Its own hours, as `dialer.compliance.own_hours` has them; empty: it has none.
    hours: tuple[str, ...] = ()
    #: Its own days, both included; None: there is none.
    first_day: date | None = None
    last_day: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one rule, or the lack of one, said."""

    #: place, consent, hours, campaign_days, campaign_hours, phone_hours or caps.
    step: str
    ok: bool
    #: For people.
    says: str
    #: Id and version of the rule, and how sure it is; None: there is none.
    rule: str | None = None
    mark: Mark | None = None
    #: When this rule alone would allow it; None: now, never, or unknown.
    retry_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a call may be started at `at`, with the evidence."""

    at: float
    #: The first reason against it; None: it is permitted.
    reason: RefusalReason | None
    #: When it will be permitted, if nothing else happens; None: now, or not before something changes.
    retry_at: float | None
    #: In the order in which they were asked.
    findings: tuple[Finding, ...]
    #: One sentence for people.
    says: str
    #: Version of the rule book.
    rules: str
    #: The clocks that counted, and the jurisdictions.
    zones: tuple[str, ...] = ()
    jurisdictions: tuple[str, ...] = ()
    consent_id: str | None = None
    #: Claims of the campaign on which a permit rests.
    bases: tuple[Basis, ...] = ()

    @property
    def permit(self) -> bool:
        """Whether it may be called."""
        return self.reason is None


class Eligibility:
    """Judges calls by one rule book; remembers the hours of places that it has met.

    Raises:
        ConfigError: from `judge`, where `Terms.jurisdictions` names one that is not on file.
    """

    def __init__(self, book: RuleBook) -> None:
        self.book = book
        self._hours = lru_cache(maxsize=2_048)(self._make_hours)
        self._narrowed = lru_cache(maxsize=2_048)(_narrowed)
        self._within = lru_cache(maxsize=2_048)(_within)
        self._rules: dict[tuple[object, ...], tuple[Rule, ...]] = {}

    def judge(
        self,
        called: Called,
        terms: Terms,
        *,
        now: float,
        history: Sequence[Call] = (),
        subject: Subject | None = None,
        consents: Sequence[Consent] = (),
        agent_reserved: bool = False,
        own_hours: tuple[str, ...] = (),
    ) -> Verdict:
        """Whether `called` may be called at `now`.

        Args:
            called: the number, and what is known of the person's place.
            terms: what the campaign says.
            now: unix seconds.
            history: all calls that may concern the same number, person, account or campaign.
            subject: the names by which caps count; None: the number alone.
            consents: what is on record of the person.
            agent_reserved: an agent is reserved for this very call.
            own_hours: of the number, as `dialer.compliance.own_hours` has them; empty: it has none.
        """
        where = locate(self.book, called, now)
        if isinstance(where, Nowhere):
            finding = Finding(step="place", ok=False, says=where.problem.says)
            return Verdict(
                at=now,
                reason=RefusalReason.UNKNOWN_COUNTRY,
                retry_at=None,
                findings=(finding,),
                says=f"cannot be called: {where.problem}",
                rules=self.book.version,
            )
        case = _Case(self, called, terms, where, now, history, subject, consents, agent_reserved, own_hours)
        return case.verdict()

    def hours(
        self,
        where: Whereabouts,
        terms: Terms,
        bases: frozenset[Basis] = frozenset(),
        own_hours: tuple[str, ...] = (),
    ) -> CallingHours:
        """When somebody at `where` may be called: as the law, `terms` and the hours of their number allow."""
        hours = self.lawful(where, terms, bases)
        if terms.first_day is not None or terms.last_day is not None:
            hours = self._within(hours, terms.first_day, terms.last_day, where.zones)
        for own in filter(None, (terms.hours, own_hours)):
            hours = self._narrowed(hours, own, where.zones)
        return hours

    def lawful(self, where: Whereabouts, terms: Terms, bases: frozenset[Basis] = frozenset()) -> CallingHours:
        """The calling hours of the law alone for somebody at `where`."""
        seats = self.seats(where, terms)
        return self._hours(seats, len(where.seats), where.zones, terms.purpose, terms.party, terms.bases | bases)

    def seats(self, where: Whereabouts, terms: Terms) -> tuple[Seat, ...]:
        """The jurisdictions that apply, that of the number first."""
        called = {seat.jurisdiction.country for seat in where.seats}
        others = (self.book.named(name) for name in terms.jurisdictions)
        # The centre's own country, where it is that of the person, says nothing new unless it names a subdivision.
        return (*where.seats, *(one for one in others if one.subdivisions or one.jurisdiction.country not in called))

    def rules(self, kind: type[_Kind], where: Whereabouts, terms: Terms, at: float) -> tuple[_Kind, ...]:
        """The rules of one kind that are in force at `at` by the date of any of the clocks."""
        days = tuple(dict.fromkeys(civil(zone_of(zone), at).date() for zone in where.zones))
        seats = self.seats(where, terms)
        key = (kind, seats, terms.purpose, terms.party, days)
        found = self._rules.get(key)
        if found is None:
            if len(self._rules) > _KEPT:
                self._rules.clear()
            purpose, party = terms.purpose, terms.party
            by_day = (self.book.in_force(kind, seats, purpose, party, day) for day in days)
            found = self._rules[key] = tuple(dict.fromkeys(rule for rules in by_day for rule in rules))
        return tuple(rule for rule in found if isinstance(rule, kind))

    def _make_hours(
        self,
        seats: tuple[Seat, ...],
        called_seats: int,
        zones: tuple[str, ...],
        purpose: Purpose,
        party: Party,
        bases: frozenset[Basis],
    ) -> CallingHours:
        return calling_hours(self.book, seats, zones, purpose, party, bases, called_seats=called_seats)


class _Case:
    """One call to be judged."""

    def __init__(
        self,
        desk: Eligibility,
        called: Called,
        terms: Terms,
        where: Whereabouts,
        now: float,
        history: Sequence[Call],
        subject: Subject | None,
        consents: Sequence[Consent],
        agent_reserved: bool,
        own_hours: tuple[str, ...],
    ) -> None:
        self.desk = desk
        self.book = desk.book
        self.terms = terms
        self.where = where
        self.now = now
        self.history = history
        self.subject = subject or Subject(number=called.phone, campaign="", seller=terms.seller)
        self.consents = consents
        self.agent_reserved = agent_reserved
        self.own_hours = own_hours
        self.seats = desk.seats(where, terms)
        self.wanted = Wanted(
            phone=called.phone,
            purpose=terms.purpose,
            person=self.subject.person,
            channel=terms.channel,
            seller=terms.seller,
        )
        agreed = check(None, [one for one in consents if one.hours_agreed], self.wanted, now)
        hours_agreed = agreed.permit and agreed.consent is not None and _still_good(agreed.consent, now)
        self.bases = terms.bases | (frozenset({Basis.HOURS_AGREED}) if hours_agreed else frozenset())

    def verdict(self) -> Verdict:
        """Place, consent, hours, caps, in this order."""
        place = wording.place(self.where)
        findings = [Finding(step="place", ok=True, says=f"may be in {place}")]
        findings += [Finding(step="place", ok=True, says=note) for note in self.where.notes]
        consent_findings, consent, consent_retry = self._consent()
        findings += consent_findings
        findings += self._hours(self.desk.lawful(self.where, self.terms, self.bases))
        findings += self._own_days()
        findings += self._own_hours("campaign_hours", "hours of the campaign", self.terms.hours)
        findings += self._own_hours("phone_hours", "own hours of the number", self.own_hours)
        hours = self.desk.hours(self.where, self.terms, self.bases, self.own_hours)
        caps = self._caps(self.now)
        findings += self._cap_findings(caps)
        reason = self._reason(findings, caps)
        retry_at: float | None = None
        never = ""
        if reason is not None:
            retry_at, never = self._retry_at(hours, consent, consent_retry)
        says = self._sentence(findings, reason, retry_at, never)
        lifted = {basis for rule in self._lifted() for basis in rule.lifted_by & self.bases}
        return Verdict(
            at=self.now,
            reason=reason,
            retry_at=retry_at,
            findings=tuple(findings),
            says=says,
            rules=self.book.version,
            zones=self.where.zones,
            jurisdictions=tuple(wording.seat_name(seat) for seat in self.seats),
            consent_id=consent.consent.id if consent and consent.permit and consent.consent else None,
            bases=tuple(sorted(lifted)),
        )

    def _reason(self, findings: Iterable[Finding], caps: CapVerdict) -> RefusalReason | None:
        first = next((one.step for one in findings if not one.ok), None)
        match first:
            case None:
                return None
            case "consent":
                return RefusalReason.CONSENT
            case "hours":
                return RefusalReason.HOURS
            case "campaign_days" | "campaign_hours":
                return RefusalReason.CAMPAIGN_HOURS
            case "phone_hours":
                return RefusalReason.PHONE_HOURS
            case _:
                cooling = isinstance(caps.blocked[0].rule, CooldownRule)
                return RefusalReason.COOLDOWN if cooling else RefusalReason.ATTEMPT_CAP

    def _consent(self) -> tuple[list[Finding], ConsentVerdict | None, float | None]:
        """Findings, the verdict that counts (the first refusal, else the first record), and when all would allow it."""
        rules = self._in_force(ConsentRule, self.now)
        # Opt-in first: what it refuses is the reason to be named.
        rules.sort(key=lambda rule: (rule.mode is not ConsentMode.OPT_IN, rule.max_age_days or math.inf, rule.version))
        verdicts = [(rule, check(rule, self.consents, self.wanted, self.now, self.terms.bases)) for rule in rules]
        if not verdicts:
            verdict = check(None, self.consents, self.wanted, self.now)
            if verdict.permit:
                return [], verdict, None
            return [Finding(step="consent", ok=False, says=wording.consent(None, verdict))], verdict, verdict.retry_at
        findings = [
            Finding(
                step="consent",
                ok=one.permit,
                says=wording.consent(rule, one),
                rule=rule.version,
                mark=rule.mark,
                retry_at=one.retry_at,
            )
            for rule, one in verdicts
        ]
        refused = [one for _, one in verdicts if not one.permit]
        retries = [one.retry_at for one in refused]
        retry = max((one for one in retries if one is not None), default=None) if None not in retries else None
        chosen = refused[0] if refused else next((one for _, one in verdicts if one.consent), verdicts[0][1])
        return findings, chosen, retry

    def _hours(self, hours: CallingHours) -> list[Finding]:
        reasons = hours.reasons(self.now, self.terms.ring_timeout_s)
        if not reasons:
            versions = dict.fromkeys(
                rule for one in hours.timetables if (rule := one.rule_on(civil(one.zone, self.now).date())) is not None
            )
            return [
                Finding(
                    step="hours",
                    ok=True,
                    says=f"within the calling hours of {wording.jurisdiction(self.book, rule)}",
                    rule=rule.version,
                    mark=rule.mark,
                )
                for rule in versions
            ]
        found: list[Finding] = []
        for timetable, rule, why in reasons:
            alone = CallingHours([timetable]).opening(self.now, self.terms.ring_timeout_s)
            says = wording.hours(self.book, rule, why, self.terms.purpose, timetable.zone.key)
            found.append(
                Finding(step="hours", ok=False, says=says, rule=rule.version, mark=rule.mark, retry_at=alone.at)
            )
        # The one that holds longest is the reason to be named first.
        found.sort(key=lambda one: -(one.retry_at if one.retry_at is not None else math.inf))
        return found

    def _own_days(self) -> list[Finding]:
        """What the campaign's days say, by the clock that keeps them closed for longest."""
        first, last = self.terms.first_day, self.terms.last_day
        timetables = day_timetables(first, last, self.where.zones)
        if not timetables:
            return []
        own, ring_s = CallingHours(timetables), self.terms.ring_timeout_s
        closed = own.reasons(self.now, ring_s)
        if not closed:
            return [Finding(step="campaign_days", ok=True, says=wording.own_days(first, last))]
        timetable, rule, _ = closed[0]
        says = wording.own_days_closed(rule.id == AFTER_LAST_DAY, first, last, timetable.zone.key)
        return [Finding(step="campaign_days", ok=False, says=says, retry_at=own.opening(self.now, ring_s).at)]

    def _own_hours(self, step: str, whose: str, hours: tuple[str, ...]) -> list[Finding]:
        """What hours beside those of the law say, by the clock that keeps them closed for longest."""
        if not hours:
            return []
        own, ring_s = CallingHours(own_timetables(hours, self.where.zones)), self.terms.ring_timeout_s
        closed = own.reasons(self.now, ring_s)
        why = "" if not closed else wording.own_hours_closed(closed[0][2], closed[0][0].zone.key)
        says = f"{why}{whose}: {'; '.join(hours)}"
        retry_at = own.opening(self.now, ring_s).at if closed else None
        return [Finding(step=step, ok=not closed, says=says, retry_at=retry_at)]

    def _cap_rules(self, at: float) -> list[CapRule | CooldownRule]:
        return [*self._in_force(CapRule, at), *self._in_force(CooldownRule, at)]

    def _caps(self, at: float) -> CapVerdict:
        return evaluate(
            self.history,
            self._cap_rules(at),
            self.subject,
            at,
            zones=self.where.zones,
            bases=self.bases,
            agent_reserved=self.agent_reserved,
        )

    def _cap_findings(self, caps: CapVerdict) -> list[Finding]:
        found = [
            Finding(
                step="caps",
                ok=False,
                says=wording.cap(self.book, one.rule, one.count),
                rule=one.rule.version,
                mark=one.rule.mark,
                retry_at=None if math.isinf(one.until) else one.until,
            )
            for one in caps.blocked
        ]
        blocked = {one.rule.version for one in caps.blocked}
        for rule in self._cap_rules(self.now):
            if rule.version not in blocked:
                says = wording.cap_kept(self.book, rule)
                found.append(Finding(step="caps", ok=True, says=says, rule=rule.version, mark=rule.mark))
        return found

    def _retry_at(
        self, hours: CallingHours, consent: ConsentVerdict | None, consent_retry: float | None
    ) -> tuple[float | None, str]:
        """The first moment at which all of it is permitted, nothing else happening; or None and why."""
        at = self.now
        if consent is not None and not consent.permit:
            if consent_retry is None:
                return None, "not before consent is on record"
            at = max(at, consent_retry)
        for _ in range(_ROUNDS):
            opening = hours.opening(at, self.terms.ring_timeout_s)
            if opening.at is None:
                return None, opening.never.says
            caps = self._caps(opening.at)
            if caps.permit:
                return opening.at, ""
            if caps.retry_at is None:
                return None, "not any more: the cap counts for good"
            at = caps.retry_at
        # The rules of caps change again and again within days; the moment found is not too late, but perhaps too early.
        return at, ""

    def _sentence(
        self, findings: Sequence[Finding], reason: RefusalReason | None, retry_at: float | None, never: str
    ) -> str:
        if reason is None:
            return f"may be called now: {wording.place(self.where)}, {self.terms.purpose}"
        first = next(one for one in findings if not one.ok)
        if retry_at is None:
            return f"{first.says}; {never}"
        return f"{first.says}; next: {wording.moment(retry_at, self._slowest_zone(retry_at))}"

    def _slowest_zone(self, at: float) -> str:
        """Of the clocks that count, the one that shows least: what is open there is late enough for all."""
        return min(self.where.zones, key=lambda zone: (civil(zone_of(zone), at).replace(tzinfo=None), zone))

    def _in_force(self, kind: type[_Kind], at: float) -> list[_Kind]:
        return list(self.desk.rules(kind, self.where, self.terms, at))

    def _lifted(self) -> list[Rule]:
        return [rule for rule in self._in_force(Rule, self.now) if rule.lifted_by & self.bases]


def _narrowed(law: CallingHours, own_hours: tuple[str, ...], zones: tuple[str, ...]) -> CallingHours:
    return CallingHours([*law.timetables, *own_timetables(own_hours, zones)])


def _within(law: CallingHours, first: date | None, last: date | None, zones: tuple[str, ...]) -> CallingHours:
    return CallingHours([*law.timetables, *day_timetables(first, last, zones)])


def _still_good(consent: Consent, now: float) -> bool:
    return consent.expires_at is None or now < consent.expires_at
