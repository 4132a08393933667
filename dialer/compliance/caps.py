"""Attempt caps: how often somebody may be called, judged from the calls that were made.

Pure: the history is an argument, and so is the present moment. `dialer.compliance.ledger` keeps of a history what the
caps need, in a few bytes a key, and decides the same.

Where several clocks may be the called person's, a calendar day counts as full if it is full by any of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import IntFlag
from typing import Final

from dialer.compliance.calendar import civil, day_start, zone_of
from dialer.compliance.rules import Basis, CapRule, CooldownRule, KeyPart, Span
from dialer.core.attempt import Attempt
from dialer.core.outcome import Outcome


class Facts(IntFlag):
    """What is known of one call, as bits: at most sixteen, so that two bytes hold them."""

    CONNECTED = 1
    ABANDONED = 2
    HUNG_UP = 4
    MACHINE = 8
    BUSY = 16
    NO_ANSWER = 32
    REJECTED = 64
    INVALID = 128
    CONGESTION = 256
    CANCELLED = 512
    FAILED = 1_024
    LOST = 2_048
    #: Reserved or dialed, and not ended yet.
    UNDER_WAY = 4_096
    #: They called us: no attempt, but a talk like any other.
    INBOUND = 8_192
    #: The person does not want to be called about this.
    REFUSED = 16_384


OUTCOME_FACTS: Final[Mapping[Outcome, Facts]] = {outcome: Facts[outcome.name] for outcome in Outcome}


def facts_of(attempt: Attempt) -> Facts:
    """What caps may ask about an attempt that has ended; nothing, where it does not count as one."""
    return OUTCOME_FACTS[attempt.outcome] if attempt.counts else Facts(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The names by which caps count. What the CRM does not say falls back to what comes nearest."""

    number: str
    campaign: str
    person: str = ""
    account: str = ""
    subject: str = ""
    seller: str = ""

    def part(self, part: KeyPart) -> str:
        """The name under one part of a key."""
        match part:
            case KeyPart.NUMBER:
                return self.number
            case KeyPart.PERSON:
                return self.person or self.number
            case KeyPart.ACCOUNT:
                return self.account or self.campaign
            case KeyPart.SUBJECT:
                return self.subject or self.campaign
            case KeyPart.CAMPAIGN:
                return self.campaign
            case KeyPart.SELLER:
                return self.seller

    def key(self, parts: Iterable[KeyPart]) -> tuple[str, ...]:
        """What a cap with these parts counts under."""
        return tuple(self.part(part) for part in parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of the past, be it made by the dialer, by hand or by the person, or one that is under way."""

    #: Unix seconds of the start; of the reservation, where it has not been dialed yet.
    at: float
    subject: Subject
    #: None: under way.
    outcome: Outcome | None
    ended_at: float | None = None
    refused: bool = False
    inbound: bool = False

    @property
    def facts(self) -> Facts:
        """All that a cap may ask about it."""
        facts = Facts.UNDER_WAY if self.outcome is None else OUTCOME_FACTS[self.outcome]
        if self.inbound:
            facts |= Facts.INBOUND
        return facts | Facts.REFUSED if self.refused else facts

    @property
    def over_at(self) -> float:
        """When it was over, as far as is known."""
        return max(self.at, self.ended_at if self.ended_at is not None else self.at)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which calls a rule looks at: at least one of `any_of`, none of `none_of`."""

    any_of: Facts
    none_of: Facts

    def __contains__(self, facts: Facts) -> bool:
        return bool(facts & self.any_of) and not facts & self.none_of


_EVERYTHING: Final = ~Facts(0)


def filter_of(rule: CapRule | CooldownRule) -> Filter:
    """The calls that count for a cap, or that start a cool-down.

    A call under way counts for every cap: it may yet become what the cap counts.
    """
    if isinstance(rule, CooldownRule):
        wanted = _facts(rule.after) | (Facts.REFUSED if rule.after_refusal else Facts(0))
        return Filter(wanted, Facts(0) if rule.after_inbound else Facts.INBOUND)
    wanted = _EVERYTHING if rule.counts is None else _facts(rule.counts) | Facts.UNDER_WAY
    return Filter(wanted, Facts.INBOUND | _facts(rule.except_outcomes))


def _facts(outcomes: Iterable[Outcome]) -> Facts:
    facts = Facts(0)
    for outcome in outcomes:
        facts |= OUTCOME_FACTS[outcome]
    return facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """One rule that forbids a call now."""

    rule: CapRule | CooldownRule
    #: When it no longer does, provided that nobody calls meanwhile; infinite: never.
    until: float
    #: Calls that it counts in its window.
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CapVerdict:
    """Whether the caps allow a call now."""

    #: In the order of the rules; empty: it is allowed.
    blocked: tuple[Blocked, ...] = ()

    @property
    def permit(self) -> bool:
        """Whether no rule forbids it."""
        return not self.blocked

    @property
    def retry_at(self) -> float | None:
        """When all of them allow it, provided that nobody calls meanwhile; None: never, or now."""
        latest = max((one.until for one in self.blocked), default=math.inf)
        return None if math.isinf(latest) else latest


@dataclass(frozen=True, slots=True)
class Moment:
    """What one rule keeps of one call."""

    at: float
    over_at: float
    facts: Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class CountryCaps:
    """By which caps and rests the calls to the numbers of one country, or of several with the same, are counted."""

    #: Country codes, such as 34 (no one of them begins with another); "": all numbers.
    codes: tuple[str, ...] = ("",)
    rules: tuple[CapRule | CooldownRule, ...] = ()
    #: The clocks that may be any called person's there.
    zones: tuple[str, ...] = ("UTC",)

    def covers(self, phone: str) -> bool:
        """Whether a number in E.164 is one of these."""
        return phone.startswith(self.codes, 1)


def evaluate(
    history: Iterable[Call],
    rules: Iterable[CapRule | CooldownRule],
    subject: Subject,
    now: float,
    *,
    zones: Sequence[str] = ("UTC",),
    bases: frozenset[Basis] = frozenset(),
    agent_reserved: bool = False,
) -> CapVerdict:
    """Whether `subject` may be called at `now` under `rules`, given all calls of the past and those under way.

    Args:
        history: calls in any order; those of other subjects are passed over. One that lies in the future (a clock
            was set back) counts as made.
        rules: those that apply, see `dialer.compliance.eligibility`.
        subject: who would be called, about what.
        now: unix seconds.
        zones: the clocks that may be the called person's, for caps by calendar day.
        bases: what the campaign claims.
        agent_reserved: an agent is reserved for this very call, before it is dialed.
    """
    calls = [(call.subject, Moment(call.at, call.over_at, call.facts)) for call in history]
    blocked: list[Blocked] = []
    for rule in rules:
        key = subject.key(rule.key)
        moments = [moment for one, moment in calls if one.key(rule.key) == key]
        found = blocked_by(rule, moments, now, zones=zones, bases=bases, agent_reserved=agent_reserved)
        if found is not None:
            blocked.append(found)
    return CapVerdict(blocked=tuple(blocked))


def blocked_by(
    rule: CapRule | CooldownRule,
    moments: Iterable[Moment],
    now: float,
    *,
    zones: Sequence[str],
    bases: frozenset[Basis] = frozenset(),
    agent_reserved: bool = False,
) -> Blocked | None:
    """What one rule says, given the calls under its key; None: it allows the call."""
    if rule.lifted_by & bases:
        return None
    counted = filter_of(rule)
    wanted = [moment for moment in moments if moment.facts in counted]
    if isinstance(rule, CooldownRule):
        if (rule.unless_agent_reserved and agent_reserved) or not wanted:
            return None
        until = max(moment.over_at for moment in wanted) + rule.duration_s
        return Blocked(rule=rule, until=until, count=len(wanted)) if now < until else None
    match rule.span:
        case Span.EVER:
            return Blocked(rule=rule, until=math.inf, count=len(wanted)) if len(wanted) >= rule.maximum else None
        case Span.ROLLING:
            inside = sorted(moment.at for moment in wanted if now < moment.at + rule.length)
            if len(inside) < rule.maximum:
                return None
            return Blocked(rule=rule, until=inside[-rule.maximum] + rule.length, count=len(inside))
        case Span.CALENDAR_DAYS:
            found = [_full_days(rule, wanted, now, zone) for zone in zones]
            return max((one for one in found if one is not None), key=lambda one: one.until, default=None)


def _full_days(rule: CapRule, wanted: Sequence[Moment], now: float, zone: str) -> Blocked | None:
    clock = zone_of(zone)
    first = civil(clock, now).date() - timedelta(days=rule.length - 1)
    inside: list[date] = sorted(day for moment in wanted if (day := civil(clock, moment.at).date()) >= first)
    if len(inside) < rule.maximum:
        return None
    free = inside[-rule.maximum] + timedelta(days=rule.length)
    return Blocked(rule=rule, until=day_start(clock, free), count=len(inside))


def with_call(history: Sequence[Call], subject: Subject, at: float) -> list[Call]:
    """The history after a permit: a call to `subject` is under way since `at`."""
    return [*history, Call(at=at, subject=subject, outcome=None)]


def ended(call: Call, outcome: Outcome, at: float, *, refused: bool = False) -> Call:
    """A call under way as it stands after its end."""
    return replace(call, outcome=outcome, ended_at=at, refused=refused)
