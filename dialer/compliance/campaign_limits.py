"""Which settings of a campaign would break a rule: they are refused with the rule's name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

import phonenumbers

from dialer.compliance.rulebook import RuleBook, Seat
from dialer.compliance.rules import (
    AbandonmentRule,
    CallerIdDuty,
    CallerIdRule,
    Mark,
    Party,
    Purpose,
    RegistryRule,
    RetentionRule,
    RingRule,
    Rule,
)
from dialer.core.campaign import Campaign
from dialer.core.ids import Phone
from dialer.core.ringing import rings_for_s
from dialer.errors import ConfigError, InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignSettings:
    """The settings of a campaign that a rule may be about."""

    #: Share of live answers, 0 to 1.
    max_abandonment: float
    connect_within_s: float
    #: From the first ringing.
    ring_timeout_s: float
    #: Whether somebody for whom no agent is free hears a message.
    message: bool
    #: Seconds after the end of `connect_within_s` at which it begins.
    message_after_s: float = 0.0
    caller_id: Phone | None
    #: How long records are kept; None: for good.
    retention_days: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """One setting that breaks one rule."""

    setting: str
    rule: Rule
    says: str
    #: The same for a catalogue.
    code: str
    arguments: Mapping[str, object]

    @property
    def of_law(self) -> bool:
        """Whether a rule of law is broken, and not only our own policy."""
        return self.rule.mark is not Mark.POLICY


def breaches(
    book: RuleBook, seats: Iterable[Seat], purpose: Purpose, party: Party, settings: CampaignSettings, day: date
) -> list[Breach]:
    """Every setting that breaks a rule of the jurisdictions that the campaign calls; empty: it may run."""
    places = list(seats)
    found: list[Breach] = []

    def breach(setting: str, rule: Rule, says: str, code: str, **arguments: object) -> None:
        words = f"{rule.version} ({rule.mark}): {says}"
        known = {"rule": rule.version, "mark": rule.mark.value}
        found.append(Breach(setting=setting, rule=rule, says=words, code=code, arguments=known | arguments))

    for abandonment in book.in_force(AbandonmentRule, places, purpose, party, day):
        if settings.max_abandonment > abandonment.limit:
            breach(
                "max_abandonment",
                abandonment,
                f"at most {_percent(abandonment.limit)} of the people who answer may find nobody, "
                f"not {_percent(settings.max_abandonment)}",
                "law_abandonment",
                most=_percent(abandonment.limit),
                given=_percent(settings.max_abandonment),
            )
        if settings.connect_within_s > abandonment.connect_within_s:
            breach(
                "connect_within_s",
                abandonment,
                f"an agent must be there within {abandonment.connect_within_s:g} s, "
                f"not {settings.connect_within_s:g} s",
                "law_connect_within",
                most=abandonment.connect_within_s,
                given=settings.connect_within_s,
            )
        if abandonment.message_within_s is not None:
            if not settings.message:
                breach(
                    "message", abandonment, "who finds nobody must hear who called, and how to object", "law_message"
                )
            elif settings.connect_within_s + settings.message_after_s > abandonment.message_within_s:
                breach(
                    "message",
                    abandonment,
                    f"the message must begin within {abandonment.message_within_s:g} s, "
                    f"not after {settings.connect_within_s + settings.message_after_s:g} s",
                    "law_message_late",
                    most=abandonment.message_within_s,
                    given=settings.connect_within_s + settings.message_after_s,
                )
    for ring in book.in_force(RingRule, places, purpose, party, day):
        if settings.ring_timeout_s < ring.minimum_s:
            breach(
                "ring_timeout_s",
                ring,
                f"it must ring for at least {ring.minimum_s:g} s, not {settings.ring_timeout_s:g} s",
                "law_ring_least",
                least=ring.minimum_s,
                given=settings.ring_timeout_s,
            )
        if ring.maximum_s is not None and settings.ring_timeout_s > ring.maximum_s:
            breach(
                "ring_timeout_s",
                ring,
                f"it may ring for at most {ring.maximum_s:g} s, not {settings.ring_timeout_s:g} s",
                "law_ring_most",
                most=ring.maximum_s,
                given=settings.ring_timeout_s,
            )
    for shown in book.in_force(CallerIdRule, places, purpose, party, day):
        problem, code = _caller_id_problem(shown, settings.caller_id)
        if problem:
            begins = ", ".join(shown.prefixes)
            breach("caller_id", shown, problem, code, caller_id=settings.caller_id or "", begins=begins)
    if settings.retention_days is not None:
        for kept in book.in_force(RetentionRule, places, purpose, party, day):
            if settings.retention_days < kept.days:
                breach(
                    "retention_days",
                    kept,
                    f"records are kept for {kept.days} days, not {settings.retention_days}",
                    "law_retention",
                    least=kept.days,
                    given=settings.retention_days,
                )
    return found


def breaches_of(book: RuleBook, campaign: Campaign, day: date) -> list[Breach]:
    """As `breaches`, for a campaign, by the jurisdictions that it names; of a pool of numbers each is looked at.

    A campaign that names none is held to the policy alone: whom it calls is not known before it does, and then the gate
    looks.

    Raises:
        InputError: it names a jurisdiction that is not on file.
    """
    try:
        seats = [book.named(name) for name in campaign.jurisdictions]
    except ConfigError as error:
        raise InputError(f"jurisdictions: {error}") from error
    shown: list[Phone | None] = [caller_id.number for caller_id in campaign.pool]
    found: dict[tuple[str, str], Breach] = {}
    for caller_id in shown or [None]:
        settings = CampaignSettings(
            max_abandonment=campaign.max_abandonment,
            connect_within_s=campaign.connect_within_s,
            ring_timeout_s=rings_for_s(campaign.ring_timeout_s),
            message=bool(campaign.message),
            caller_id=caller_id,
        )
        for breach in breaches(book, seats, Purpose(campaign.purpose), Party(campaign.party), settings, day):
            found.setdefault((breach.setting, breach.rule.version), breach)
    return list(found.values())


def strictest_abandonment(
    book: RuleBook, seats: Iterable[Seat], purpose: Purpose, party: Party, day: date
) -> AbandonmentRule | None:
    """The rule with the smallest share among those that apply; a law before a policy of the same share."""
    rules = book.in_force(AbandonmentRule, list(seats), purpose, party, day)
    return min(rules, key=lambda rule: (rule.limit, rule.mark is Mark.POLICY, rule.version), default=None)


def registries(
    book: RuleBook,
    seats: Iterable[Seat],
    purpose: Purpose,
    party: Party,
    day: date,
    bases: frozenset[str] = frozenset(),
) -> list[RegistryRule]:
    """The do-not-call registries that must be asked before such calls, with the age that a copy may have."""
    return [r for r in book.in_force(RegistryRule, list(seats), purpose, party, day) if not r.lifted_by & bases]


def _caller_id_problem(rule: CallerIdRule, caller_id: Phone | None) -> tuple[str, str]:
    """What is wrong, in words and as a code; empty: nothing."""
    if caller_id is None:
        return "a number that can be called back must be shown; the campaign has no caller_id", "law_caller_id_none"
    try:
        number = phonenumbers.parse(caller_id)
    except phonenumbers.NumberParseException:
        return f"a number that can be called back must be shown; {caller_id!r} is none", "law_caller_id_bad"
    if rule.duty is CallerIdDuty.NOT_MOBILE and phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.MOBILE:
        return "the number shown must not be that of a mobile phone", "law_caller_id_mobile"
    national = phonenumbers.national_significant_number(number)
    if rule.prefixes and not national.startswith(rule.prefixes):
        return f"the number shown must begin with {' or '.join(rule.prefixes)}", "law_caller_id_prefix"
    return "", ""


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
