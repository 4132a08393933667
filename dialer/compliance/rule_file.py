"""What a rule looks like in a file of ``config/jurisdictions``, and its reading into the types of `rules`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from dialer.compliance import rules
from dialer.compliance.calendar import DAY_S, zone_of
from dialer.compliance.rules import (
    AbandonmentUnit,
    AbandonmentWindow,
    Basis,
    CallerIdDuty,
    ConsentMode,
    HolidayScope,
    KeyPart,
    Mark,
    Party,
    Purpose,
    Span,
)
from dialer.compliance.windows import parse_week
from dialer.core.outcome import LIVE, Outcome
from dialer.errors import ConfigError

Id = Annotated[str, Meta(pattern=r"^[A-Z][A-Za-z0-9-]{2,63}\Z", description="letters, digits and -, a capital first")]
Text = Annotated[str, Meta(min_length=1, max_length=2_000)]
Positive = Annotated[int, Meta(ge=1)]

_DURATION: Final = re.compile(r"P(?:([0-9]{1,4})D|T([0-9]{1,5})H|T([0-9]{1,6})M)", re.ASCII)
_CALENDAR: Final = re.compile(r"([0-9]{1,3}) calendar days?", re.ASCII)

#: Groups of outcomes that the files name by one word.
_GROUPS: Final[Mapping[str, frozenset[Outcome]]] = {
    "conversation": frozenset({Outcome.CONNECTED}),
    "live": LIVE,
}


class RawRule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The keys that every rule has."""

    id: Id
    from_: date = field(name="from")
    until: date | None = None
    purposes: Annotated[list[Purpose], Meta(min_length=1)]
    parties: Annotated[tuple[Party, ...], Meta(min_length=1)] = (Party.CONSUMER, Party.BUSINESS)
    where: list[str] = []
    lifted_by: list[Basis] = []
    source: Text
    mark: Mark
    note: str = ""


class RawHours(RawRule, frozen=True):
    week: dict[str, list[str]]
    holidays: HolidayScope = HolidayScope.REGIONAL
    clock: str | None = None


class RawCap(RawRule, frozen=True):
    max: Positive
    window: str
    key: Annotated[list[KeyPart], Meta(min_length=1)]
    counts: list[str] = []
    except_outcomes: list[Outcome] = []


class RawCooldown(RawRule, frozen=True):
    after: Annotated[list[str], Meta(min_length=1)]
    duration: str
    key: Annotated[list[KeyPart], Meta(min_length=1)]
    after_inbound: bool = False
    unless_agent_reserved: bool = False


class RawConsent(RawRule, frozen=True):
    mode: ConsentMode
    max_age: str | None = None


class RawAbandonment(RawRule, frozen=True):
    limit: Annotated[float, Meta(ge=0, le=1)]
    window: AbandonmentWindow
    units: Annotated[tuple[AbandonmentUnit, ...], Meta(min_length=1)] = (AbandonmentUnit.CAMPAIGN,)
    connect_within_s: Annotated[float, Meta(gt=0)] = 2.0
    message_within_s: Annotated[float, Meta(gt=0)] | None = None


class RawRing(RawRule, frozen=True):
    minimum_s: Annotated[float, Meta(gt=0)]
    maximum_s: Annotated[float, Meta(gt=0)] | None = None


class RawCallerId(RawRule, frozen=True):
    duty: CallerIdDuty
    prefixes: list[Annotated[str, Meta(pattern=r"^[0-9]{1,8}\Z")]] = []


class RawRegistry(RawRule, frozen=True):
    registry: Text
    max_age: str | None = None


class RawRetention(RawRule, frozen=True):
    keep: str


_Raw = TypeVar("_Raw", bound=RawRule)
Loose = Literal["hours", "cap", "cooldown", "consent", "abandonment", "ring", "caller_id", "registry", "retention"]
RAW_OF: Final[Mapping[Loose, type[RawRule]]] = {
    "hours": RawHours,
    "cap": RawCap,
    "cooldown": RawCooldown,
    "consent": RawConsent,
    "abandonment": RawAbandonment,
    "ring": RawRing,
    "caller_id": RawCallerId,
    "registry": RawRegistry,
    "retention": RawRetention,
}
# Rules are read in threads, and two that first use a type at once crash msgspec.
for _kind in RAW_OF.values():
    msgspec.json.Decoder(_kind)


def read_rule(kind: Loose, table: object, jurisdiction: str) -> rules.AnyRule:
    """One rule of a file.

    Raises:
        ConfigError: says which key of it is wrong, and what it may be.
    """
    try:
        raw = msgspec.convert(table, RAW_OF[kind])
    except msgspec.ValidationError as error:
        name = table.get("id", "?") if isinstance(table, Mapping) else "?"
        raise ConfigError(f"[[{kind}]] {name}: {str(error).replace(' - at `$.', ' - at `')}") from error
    try:
        return _build(raw, jurisdiction)
    except ConfigError as error:
        raise ConfigError(f"[[{kind}]] {raw.id} from {raw.from_}: {error}") from error


def _build(raw: RawRule, jurisdiction: str) -> rules.AnyRule:
    if raw.until is not None and raw.until <= raw.from_:
        raise ConfigError(f"until {raw.until} is not after from {raw.from_}: it would never be in force")
    shared: dict[str, Any] = {
        "id": raw.id,
        "jurisdiction": jurisdiction,
        "from_day": raw.from_,
        "until_day": raw.until,
        "purposes": frozenset(raw.purposes),
        "parties": frozenset(raw.parties),
        "where": frozenset(raw.where),
        "lifted_by": frozenset(raw.lifted_by),
        "source": raw.source,
        "mark": raw.mark,
        "note": raw.note,
    }
    match raw:
        case RawHours():
            if raw.clock is not None:
                zone_of(raw.clock)
            week, holiday = parse_week(raw.week)
            if not any(week):
                raise ConfigError("leaves no minute of the week open; a ban of such calls is no rule about hours")
            return rules.HoursRule(**shared, week=week, holiday=holiday, holidays=raw.holidays, clock=raw.clock)
        case RawCap():
            span, length = parse_cap_window(raw.window)
            return rules.CapRule(
                **shared,
                maximum=raw.max,
                span=span,
                length=length,
                key=_key(raw.key),
                counts=_outcomes(raw.counts) if raw.counts else None,
                except_outcomes=frozenset(raw.except_outcomes),
            )
        case RawCooldown():
            return rules.CooldownRule(
                **shared,
                after=_outcomes([word for word in raw.after if word != "refusal"]),
                after_refusal="refusal" in raw.after,
                after_inbound=raw.after_inbound,
                duration_s=parse_duration_s(raw.duration),
                key=_key(raw.key),
                unless_agent_reserved=raw.unless_agent_reserved,
            )
        case RawConsent():
            days = None if raw.max_age is None else parse_days(raw.max_age)
            return rules.ConsentRule(**shared, mode=raw.mode, max_age_days=days)
        case RawAbandonment():
            return rules.AbandonmentRule(
                **shared,
                limit=raw.limit,
                window=raw.window,
                units=frozenset(raw.units),
                connect_within_s=raw.connect_within_s,
                message_within_s=raw.message_within_s,
            )
        case RawRing():
            if raw.maximum_s is not None and raw.maximum_s <= raw.minimum_s:
                raise ConfigError(f"maximum_s {raw.maximum_s:g} is not more than minimum_s {raw.minimum_s:g}")
            return rules.RingRule(**shared, minimum_s=raw.minimum_s, maximum_s=raw.maximum_s)
        case RawCallerId():
            return rules.CallerIdRule(**shared, duty=raw.duty, prefixes=tuple(raw.prefixes))
        case RawRegistry():
            days = None if raw.max_age is None else parse_days(raw.max_age)
            return rules.RegistryRule(**shared, registry=raw.registry, max_age_days=days)
        case RawRetention():
            return rules.RetentionRule(**shared, days=parse_days(raw.keep))
    raise AssertionError(f"no kind of rule: {raw!r}")


def parse_duration_s(text: str) -> int:
    """Seconds of P7D, PT24H or PT90M.

    Raises:
        ConfigError: it is none of these, or nothing at all.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ConfigError(f"{text!r} is no duration; write P30D for days, PT24H for hours or PT90M for minutes")
    days, hours, minutes = (int(part or 0) for part in found.groups())
    if not (seconds := days * DAY_S + hours * 3_600 + minutes * 60):
        raise ConfigError(f"{text!r} takes no time; leave the rule out instead")
    return seconds


def parse_days(text: str) -> int:
    """Days of P730D.

    Raises:
        ConfigError: it is no duration of whole days.
    """
    days, rest = divmod(parse_duration_s(text), DAY_S)
    if rest:
        raise ConfigError(f"{text!r} is no number of whole days; write it as P31D")
    return days


def parse_cap_window(text: str) -> tuple[Span, int]:
    """Kind and length of a cap's window: PT24H (rolling), "1 calendar day", "7 calendar days", "ever".

    Raises:
        ConfigError: it is none of these.
    """
    if text == "ever":
        return Span.EVER, 0
    if (found := _CALENDAR.fullmatch(text)) and int(found[1]):
        return Span.CALENDAR_DAYS, int(found[1])
    try:
        return Span.ROLLING, parse_duration_s(text)
    except ConfigError as error:
        raise ConfigError(
            f'{text!r} is no window; write P7D or PT24H (rolling), "1 calendar day", "7 calendar days" or "ever"'
        ) from error


def _key(parts: Sequence[KeyPart]) -> tuple[KeyPart, ...]:
    if len(set(parts)) != len(parts):
        raise ConfigError("key names something twice")
    return tuple(sorted(parts))


def _outcomes(words: Sequence[str]) -> frozenset[Outcome]:
    found: set[Outcome] = set()
    for word in words:
        try:
            found |= _GROUPS.get(word) or {Outcome(word)}
        except ValueError as error:
            known = ", ".join([*_GROUPS, *Outcome])
            raise ConfigError(f"{word!r} is no outcome; possible are: {known}") from error
    return frozenset(found)
