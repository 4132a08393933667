"""Attempt caps as the gate counts by them: the rules of one request, by country, as rows of numbers; pure.

The rules themselves are judged by `dialer.compliance.caps`, from ledgers as `dialer.compliance.ledger` has them; the
scripts do the same with the rows (``lua/caps.lua``), which a property test compares.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

import msgspec

from dialer.compliance.calendar import civil, day_start, zone_of
from dialer.compliance.caps import CountryCaps, Subject, filter_of
from dialer.compliance.ledger import Key, by_key, keep_s
from dialer.compliance.rules import Basis, CapRule, CooldownRule, KeyPart, Span

AnyCap = CapRule | CooldownRule

BY_NUMBER: Final[Key] = (KeyPart.NUMBER,)
BY_PERSON: Final[Key] = (KeyPart.PERSON,)
_LETTERS: Final[Mapping[KeyPart, str]] = {
    KeyPart.NUMBER: "n",
    KeyPart.PERSON: "p",
    KeyPart.ACCOUNT: "a",
    KeyPart.SUBJECT: "s",
    KeyPart.CAMPAIGN: "c",
    KeyPart.SELLER: "e",
}
#: Doubles, which is what Lua has, tell all whole numbers below this apart.
_WHOLE: Final = 2**53
_PACK: Final = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class CapLaw:
    """The caps of one campaign at one moment; made by `cap_law`. Good until the next midnight of any of its zones."""

    #: Those that apply, by the country of the number that is called; of all others no rule is known.
    countries: tuple[CountryCaps, ...]
    #: Those by which ledgers are kept: these and more.
    kept: tuple[AnyCap, ...]
    #: The company on whose behalf is called.
    seller: str
    #: As gate.lua reads it.
    packed: bytes = field(repr=False, compare=False)

    @property
    def keep_s(self) -> float:
        """How long after its end a call may still count; infinite: for good."""
        return max(map(keep_s, self.kept), default=0.0)

    def of(self, phone: str) -> CountryCaps | None:
        """What a number is held to; None: no rule is known of its country."""
        return next((country for country in self.countries if country.covers(phone)), None)


def cap_law(
    rules: Sequence[AnyCap],
    now: float,
    zones: Sequence[str],
    *,
    seller: str = "",
    bases: frozenset[Basis] = frozenset(),
    agent_reserved: bool = False,
    kept: Iterable[AnyCap] = (),
) -> CapLaw:
    """The law of the moment where all numbers are held to the same rules.

    Args:
        rules: those that apply to the campaign's calls, see `dialer.compliance.rulebook.RuleBook.in_force`.
        now: as `cap_law_by_country` has it, and all that follow.
        zones: the clocks that may be any called person's.

    Raises:
        ConfigError: one of the zones is none.
    """
    everywhere = CountryCaps(rules=tuple(rules), zones=tuple(zones) or ("UTC",))
    return cap_law_by_country((everywhere,), now, seller=seller, bases=bases, agent_reserved=agent_reserved, kept=kept)


def cap_law_by_country(
    countries: Sequence[CountryCaps],
    now: float,
    *,
    seller: str = "",
    bases: frozenset[Basis] = frozenset(),
    agent_reserved: bool = False,
    kept: Iterable[AnyCap] = (),
) -> CapLaw:
    """The law of the moment: a number is held to the rules of its country alone.

    Args:
        countries: by which rules; no code in two of them. By the clocks of a country a calendar day begins where it
            does so first, and a number is free again where it is so last.
        now: unix seconds.
        seller: the company on whose behalf is called.
        bases: what the campaign claims.
        agent_reserved: an agent is reserved for each of these calls, before it is dialed.
        kept: further rules that may count today's calls one day: those that come into force later.

    Raises:
        ConfigError: one of the zones is none.
    """
    applying = tuple(
        replace(
            country,
            rules=tuple(
                rule
                for rule in country.rules
                if not rule.lifted_by & bases
                and not (isinstance(rule, CooldownRule) and rule.unless_agent_reserved and agent_reserved)
            ),
        )
        for country in countries
    )
    keeping = tuple(dict.fromkeys((*(rule for country in countries for rule in country.rules), *kept)))
    rulings = [
        [
            list(country.codes),
            [
                [letters(key), [_row(rule, now, country.zones) for rule in own]]
                for key, own in by_key(country.rules).items()
            ],
        ]
        for country in applying
    ]
    kept_by = [[letters(key), keep_block(own)] for key, own in by_key(keeping).items()]
    return CapLaw(countries=applying, kept=keeping, seller=seller, packed=_PACK.encode([seller, kept_by, rulings]))


def letters(key: Key) -> str:
    """The parts of a key as the scripts name them."""
    return "".join(_LETTERS[part] for part in key)


def keep_block(rules: Iterable[AnyCap]) -> str:
    """By which rules a ledger is kept, as the scripts keep it: lines of any, none, maximum (0: a rest), seconds."""
    lines = sorted({_keep_line(rule) for rule in rules})
    return "\n" + "\n".join(lines) + "\n"


def _keep_line(rule: AnyCap) -> str:
    wanted = filter_of(rule)
    maximum = 0 if isinstance(rule, CooldownRule) else rule.maximum
    return f"{int(wanted.any_of)} {int(wanted.none_of)} {maximum} {_seconds(keep_s(rule))}"


def _seconds(length: float) -> int:
    return -1 if math.isinf(length) else int(length)


def _row(rule: AnyCap, now: float, zones: Sequence[str]) -> list[object]:
    """Kind, any of, none of, maximum, seconds, version, country; by calendar, starts of days and their ends."""
    wanted, whose = filter_of(rule), (rule.version, rule.jurisdiction)
    facts = [int(wanted.any_of), int(wanted.none_of)]
    if isinstance(rule, CooldownRule):
        return ["rest", *facts, 0, rule.duration_s, *whose]
    match rule.span:
        case Span.EVER:
            return ["ever", *facts, rule.maximum, 0, *whose]
        case Span.ROLLING:
            return ["rolling", *facts, rule.maximum, rule.length, *whose]
        case Span.CALENDAR_DAYS:
            starts, frees = _days(rule.length, now, zones)
            return ["days", *facts, rule.maximum, 0, *whose, starts, frees]


def _days(length: int, now: float, zones: Sequence[str]) -> tuple[list[float], list[float]]:
    """Starts of the days that count, by the first clock; and when they no longer do, by the last."""
    clocks = [zone_of(zone) for zone in zones]
    todays = [civil(clock, now).date() for clock in clocks]
    first = min(todays) - timedelta(days=length - 1)
    days = [first + timedelta(days=i) for i in range((max(todays) - first).days + 1)]
    starts = [min(day_start(clock, day) for clock in clocks) for day in days]
    # Of one zone `today` may be a day ahead of another's: there, the first of these days counts no more.
    counting = min(
        day_start(clock, today - timedelta(days=length - 1)) for clock, today in zip(clocks, todays, strict=True)
    )
    starts[0] = max(starts[0], counting)
    return starts, [max(day_start(clock, day + timedelta(days=length)) for clock in clocks) for day in days]


def subject_of(phone: str, campaign: str, fields: Mapping[str, object], seller: str) -> Subject:
    """Under which names a call is counted, given what the CRM said of the contact."""
    return Subject(
        number=phone,
        campaign=campaign,
        person=_name(fields.get("person")),
        account=_name(fields.get("account")),
        subject=_name(fields.get("subject")),
        seller=seller,
    )


def who(fields: Mapping[str, object]) -> tuple[str, ...]:
    """Person, account and subject as the CRM has named them, "" where it has not; nothing where it names none."""
    if "person" not in fields and "account" not in fields and "subject" not in fields:
        return ()
    return _name(fields.get("person")), _name(fields.get("account")), _name(fields.get("subject"))


def ledger_and_who(fields: Mapping[str, object]) -> tuple[str, ...]:
    """As `who`, behind the name of the person's ledger: whoever reserves would have to hash it again and again."""
    named = who(fields)
    return (ledger_name(BY_PERSON, named[:1]) if named[0] else "", *named) if named else ()


def _name(value: object) -> str:
    # A text, or a whole number; what is neither is as if it were not there.
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _WHOLE and value == int(value):
        return str(int(value))
    return ""


def ledger_name(key: Key, names: Sequence[str]) -> str:
    """Under which name a call stands in the ledger of these names, as the scripts have it.

    Names of people and accounts are hashed: they may hold any character, and need not be read by whoever looks at keys.
    """
    text = "".join(f"{len(name.encode())}:{name}" for name in names)
    # A name to tell ledgers apart; nothing is protected by it.
    return f"{letters(key)}:{hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:20]}"
