"""Findings in words that a campaign manager understands."""

from __future__ import annotations

from datetime import date
from typing import Final

from dialer.compliance.calendar import DAY_S, civil, zone_of
from dialer.compliance.consent import ConsentProblem, ConsentVerdict
from dialer.compliance.jurisdiction import POLICY
from dialer.compliance.rulebook import RuleBook, Seat
from dialer.compliance.rules import CapRule, ConsentRule, CooldownRule, HoursRule, KeyPart, Purpose, Rule, Span
from dialer.compliance.zones import Whereabouts
from dialer.core.outcome import Outcome

#: So many names of regions are said; of more only how many they are.
_NAMED: Final = 3

_CALLS: Final = {
    Purpose.MARKETING: "marketing calls",
    Purpose.DEBT: "calls about debts",
    Purpose.SURVEY: "survey calls",
    Purpose.SERVICE: "service calls",
}
_CONSENT: Final = {
    ConsentProblem.NONE: "there is none on record",
    ConsentProblem.OTHER: "what is on record is for another number, purpose, channel or company",
    ConsentProblem.NOT_YET: "it begins to count later",
    ConsentProblem.EXPIRED: "it has expired",
    ConsentProblem.STALE: "it is too old and must be renewed",
    ConsentProblem.REVOKED: "the person took it back",
}
_AFTER: Final = {
    Outcome.CONNECTED: "a talk",
    Outcome.ABANDONED: "an abandoned call",
    Outcome.MACHINE: "an answering machine",
}
_BY: Final = {
    KeyPart.NUMBER: "number",
    KeyPart.PERSON: "person",
    KeyPart.ACCOUNT: "account",
    KeyPart.SUBJECT: "subject",
    KeyPart.CAMPAIGN: "campaign",
    KeyPart.SELLER: "company",
}


def moment(at: float, zone: str) -> str:
    """Monday 2026-11-23 09:00 in Madrid."""
    here = civil(zone_of(zone), at)
    seconds = f":{here:%S}" if here.second else ""
    return f"{here:%A %Y-%m-%d %H:%M}{seconds} in {city(zone)}"


def city(zone: str) -> str:
    """Madrid of Europe/Madrid."""
    return zone.rpartition("/")[2].replace("_", " ")


def seat_name(seat: Seat) -> str:
    """ES, or US-FL where the person can only be there."""
    country = seat.jurisdiction.country
    if len(seat.subdivisions) == 1:
        return f"{country}-{next(iter(seat.subdivisions))}"
    return country


def place(where: Whereabouts) -> str:
    """Spain (Madrid, Canary), by the clocks that count."""
    names: list[str] = []
    for seat in where.seats:
        named = sorted(seat.jurisdiction.subdivisions[code].name for code in seat.subdivisions)
        all_of_it = len(named) == len(seat.jurisdiction.subdivisions)
        if not named or all_of_it:
            names.append(seat.jurisdiction.name)
        elif len(named) <= _NAMED:
            names.append(f"{', '.join(named)} ({seat.jurisdiction.name})")
        else:
            names.append(f"one of {len(named)} regions of {seat.jurisdiction.name}")
    return f"{' or '.join(names)}, clock of {' or '.join(map(city, where.zones))}"


def jurisdiction(book: RuleBook, rule: Rule) -> str:
    """Spain, Florida (United States), or our policy."""
    if rule.jurisdiction == POLICY:
        return "the house policy"
    country = book.countries[rule.jurisdiction]
    if rule.where:
        names = sorted(country.subdivisions[code].name for code in rule.where)
        return f"{' / '.join(names[:_NAMED])}{' / …' if len(names) > _NAMED else ''} ({country.name})"
    return country.name


def hours(book: RuleBook, rule: HoursRule, why: str, purpose: Purpose, zone: str) -> str:
    """Sunday: no marketing calls in Spain."""
    name = jurisdiction(book, rule)
    where = f"by {name}" if rule.jurisdiction == POLICY else f"in {name}"
    return f"{why}: no {_CALLS[purpose]} {where} (clock of {city(zone)})"


def own_hours_closed(why: str, zone: str) -> str:
    """Sunday (clock of Madrid): , before what the hours are."""
    return f"{why} (clock of {city(zone)}): "


def own_days(first: date | None, last: date | None) -> str:
    """Days of the campaign: from 2026-12-01 to 2026-12-24."""
    ends = [f"from {first}" if first is not None else "", f"to {last}" if last is not None else ""]
    return f"days of the campaign: {' '.join(filter(None, ends))}"


def own_days_closed(over: bool, first: date | None, last: date | None, zone: str) -> str:
    """Before the campaign's first day, 2026-12-01 (clock of Madrid)."""
    which = f"after the campaign's last day, {last}" if over else f"before the campaign's first day, {first}"
    return f"{which} (clock of {city(zone)})"


def cap(book: RuleBook, rule: CapRule | CooldownRule, count: int) -> str:
    """3 calls in 24 hours for each number and campaign: the most that Florida allows."""
    if isinstance(rule, CooldownRule):
        return f"{jurisdiction(book, rule)}: {_cooldown(rule)}"
    return f"called {count} times already: {jurisdiction(book, rule)} allows {_cap(rule)}"


def cap_kept(book: RuleBook, rule: CapRule | CooldownRule) -> str:
    """What a rule allows that is kept."""
    says = _cooldown(rule) if isinstance(rule, CooldownRule) else _cap(rule)
    return f"kept: {jurisdiction(book, rule)}: {says}"


def consent(rule: ConsentRule | None, verdict: ConsentVerdict) -> str:
    """What was found about consent."""
    if verdict.problem is not None:
        what = _CONSENT[verdict.problem]
        record = f" (record {verdict.consent.id})" if verdict.consent else ""
        return f"consent is missing: {what}{record}"
    if verdict.basis is not None:
        return f"no consent is needed: the campaign claims {verdict.basis.replace('_', ' ')}"
    if verdict.consent is not None:
        return f"consent on record ({verdict.consent.id})"
    return "no consent is needed, and nobody has objected" if rule is not None else "nobody has objected"


def _cap(rule: CapRule) -> str:
    counted = ""
    if rule.counts is not None:
        counted = f" ({', '.join(sorted(rule.counts))})"
    match rule.span:
        case Span.EVER:
            window = "for good"
        case Span.CALENDAR_DAYS:
            window = "a calendar day" if rule.length == 1 else f"in {rule.length} calendar days"
        case Span.ROLLING:
            window = f"in {duration(rule.length)}"
    calls = "call" if rule.maximum == 1 else "calls"
    return f"at most {rule.maximum} {calls}{counted} {window} for each {_key(rule.key)}"


def _cooldown(rule: CooldownRule) -> str:
    after = [_AFTER.get(outcome, f"a call that ended {outcome}") for outcome in sorted(rule.after)]
    after += ["a refusal"] if rule.after_refusal else []
    unless = ", unless an agent is reserved for the call" if rule.unless_agent_reserved else ""
    return f"no call for {duration(rule.duration_s)} after {' or '.join(after)} for each {_key(rule.key)}{unless}"


def _key(parts: tuple[KeyPart, ...]) -> str:
    return " and ".join(_BY[part] for part in parts)


def duration(seconds: int) -> str:
    """7 days, 24 hours, 90 minutes."""
    for size, name in ((DAY_S, "day"), (3_600, "hour"), (60, "minute")):
        count, rest = divmod(seconds, size)
        if not rest and (count > 1 or name == "minute" or (count == 1 and name == "hour")):
            return f"{count} {name}{'' if count == 1 else 's'}"
    return f"{seconds} seconds"
