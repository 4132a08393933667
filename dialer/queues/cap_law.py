"""Attempt caps as the gate counts by them: the rules of one request as rows of numbers; pure.

The rules themselves are judged by `dialer.compliance.caps`, from ledgers as `dialer.compliance.ledger` has them; the
scripts do the same with the rows (``lua/caps.lua``), which a property test compares.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import msgspec

from dialer.compliance.calendar import civil, day_start, zone_of
from dialer.compliance.caps import Subject, filter_of
from dialer.compliance.ledger import Key, by_key, keep_s
from dialer.compliance.rules import Basis, CapRule, CooldownRule, KeyPart, Span

AnyCap = CapRule | CooldownRule

BY_NUMBER: Final[Key] = (KeyPart.NUMBER,)
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

    #: Those that apply, in their order.
    rules: tuple[AnyCap, ...]
    #: Those by which ledgers are kept: these and more.
    kept: tuple[AnyCap, ...]
    zones: tuple[str, ...]
    #: The company on whose behalf is called.
    seller: str
    #: As gate.lua reads it.
    packed: bytes = field(repr=False, compare=False)

    @property
    def keep_s(self) -> float:
        """How long after its end a call may still count; infinite: for good."""
        return max(map(keep_s, self.kept), default=0.0)


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
    """The law of the moment.

    Args:
        rules: those that apply to the campaign's calls, see `dialer.compliance.rulebook.RuleBook.in_force`.
        now: unix seconds.
        zones: the clocks that may be any called person's; a calendar day begins where it does so first, and a number is
            free again where it is so last.
        seller: the company on whose behalf is called.
        bases: what the campaign claims.
        agent_reserved: an agent is reserved for each of these calls, before it is dialed.
        kept: further rules that may count today's calls one day: those that come into force later.

    Raises:
        ConfigError: one of the zones is none.
    """
    applying = tuple(
        rule
        for rule in rules
        if not rule.lifted_by & bases
        and not (isinstance(rule, CooldownRule) and rule.unless_agent_reserved and agent_reserved)
    )
    keeping = tuple(dict.fromkeys((*rules, *kept)))
    clocks = tuple(zones) or ("UTC",)
    counted = by_key(applying)
    ledgers = [
        [
            letters(key),
            keep_block(own),
            [_row(rule, now, clocks) for rule in counted.get(key, ())],
        ]
        for key, own in by_key(keeping).items()
    ]
    return CapLaw(rules=applying, kept=keeping, zones=clocks, seller=seller, packed=_PACK.encode([seller, ledgers]))


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
    """Kind, any of, none of, maximum, seconds, version; by calendar, starts of days and when they count no more."""
    wanted = filter_of(rule)
    facts = [int(wanted.any_of), int(wanted.none_of)]
    if isinstance(rule, CooldownRule):
        return ["rest", *facts, 0, rule.duration_s, rule.version]
    match rule.span:
        case Span.EVER:
            return ["ever", *facts, rule.maximum, 0, rule.version]
        case Span.ROLLING:
            return ["rolling", *facts, rule.maximum, rule.length, rule.version]
        case Span.CALENDAR_DAYS:
            starts, frees = _days(rule.length, now, zones)
            return ["days", *facts, rule.maximum, 0, rule.version, starts, frees]


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
