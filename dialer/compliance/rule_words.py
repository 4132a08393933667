"""What a rule demands, in one line."""

from __future__ import annotations

from typing import Final, assert_never

from dialer.compliance import rules, wording
from dialer.compliance.calendar import DAY_S
from dialer.compliance.rulebook import RuleBook
from dialer.compliance.windows import DAYS, Windows, windows_text
from dialer.core.saying import Saying, say

#: Codes, without and with an age.
_CONSENT: Final = {
    rules.ConsentMode.OPT_IN: ("rule_opt_in", "rule_opt_in_fresh"),
    rules.ConsentMode.OPT_OUT: ("rule_opt_out", "rule_opt_out_fresh"),
}
#: Codes, without and with beginnings.
_DUTY: Final = {
    rules.CallerIdDuty.VISIBLE: ("rule_visible", "rule_visible_begins"),
    rules.CallerIdDuty.NOT_MOBILE: ("rule_not_mobile", "rule_not_mobile_begins"),
}
#: Units of `wording.duration`: codes of one and of several, and seconds of one.
_LENGTH: Final = {
    "day": ("length_day", "length_days", DAY_S),
    "hour": ("length_hour", "length_hours", 3_600),
    "minute": ("length_minute", "length_minutes", 60),
    "second": ("length_second", "length_seconds", 1),
}


def demanded(book: RuleBook, rule: rules.AnyRule) -> Saying:
    """What a rule demands: ``opt-in, at most 730 days old``."""
    match rule:
        case rules.HoursRule():
            return _hours(rule)
        case rules.CapRule() | rules.CooldownRule():
            says = wording.cap_kept(book, rule).rpartition(": ")[2]
            return _cooldown(says, rule) if isinstance(rule, rules.CooldownRule) else _cap(says, rule)
        case rules.ConsentRule():
            mode, (any_age, fresh) = rule.mode.replace("_", "-"), _CONSENT[rule.mode]
            if not rule.max_age_days:
                return say(mode, code=any_age)
            return say(f"{mode}, at most {rule.max_age_days} days old", code=fresh, days=rule.max_age_days)
        case rules.AbandonmentRule():
            return _abandonment(rule)
        case rules.RingRule():
            if not rule.maximum_s:
                return say(f"ring at least {rule.minimum_s:g} s", code="rule_ring", least_s=rule.minimum_s)
            return say(
                f"ring at least {rule.minimum_s:g} s, at most {rule.maximum_s:g} s",
                code="rule_ring_between",
                least_s=rule.minimum_s,
                most_s=rule.maximum_s,
            )
        case rules.CallerIdRule():
            says, (any_number, beginning) = f"caller id {rule.duty.replace('_', ' ')}", _DUTY[rule.duty]
            if not rule.prefixes:
                return say(says, code=any_number)
            begins = f", beginning with {' or '.join(rule.prefixes)}"
            return say(says + begins, code=beginning, beginnings=rule.prefixes)
        case rules.RegistryRule():
            says = f"registry: {rule.registry}"
            if not rule.max_age_days:
                return say(says, code="rule_registry", registry=rule.registry)
            return say(
                f"{says}, at most {rule.max_age_days} days old",
                code="rule_registry_fresh",
                registry=rule.registry,
                days=rule.max_age_days,
            )
        case rules.RetentionRule():
            return say(f"records kept {rule.days} days", code="rule_retention", days=rule.days)
        case _:
            assert_never(rule)


def _abandonment(rule: rules.AbandonmentRule) -> Saying:
    units, window = sorted(unit.value for unit in rule.units), rule.window.replace("_", " ")
    says = (
        f"at most {100 * rule.limit:g} % of live answers, by {' and '.join(units)}, {window}; "
        f"agent within {rule.connect_within_s:g} s"
    )
    told = {
        "percent": 100 * rule.limit,
        "units": units,
        "window": rule.window.value,
        "connect_s": rule.connect_within_s,
    }
    if not rule.message_within_s:
        return Saying(says, "rule_abandonment", told)
    told["message_s"] = rule.message_within_s
    return Saying(f"{says}, message within {rule.message_within_s:g} s", "rule_abandonment_message", told)


def _hours(rule: rules.HoursRule) -> Saying:
    """Days that have the same windows are said together."""
    found: list[tuple[str, str, Windows]] = []
    for day, windows in zip(DAYS, rule.week, strict=True):
        if found and found[-1][2] == windows:
            found[-1] = (found[-1][0], day, windows)
        else:
            found.append((day, day, windows))
    days = [_days(first, last, windows) for first, last, windows in found]
    if rule.holiday is not None:
        days.append(_open(say("holiday", code="holidays"), rule.holiday))
    says = ", ".join(map(str, days))
    if not rule.clock:
        return say(says, code="rule_hours", days=days)
    return say(f"{says} (clock of {rule.clock})", code="rule_hours_of_clock", days=days, clock=rule.clock)


def _days(first: str, last: str, windows: Windows) -> Saying:
    if first == last:
        return _open(say(first, code="one_day", day=first), windows)
    return _open(say(f"{first}-{last}", code="several_days", day=first, last_day=last), windows)


def _open(when: Saying, windows: Windows) -> Saying:
    says = f"{when} {windows_text(windows)}"
    if not windows:
        return say(says, code="closed_on", when=when)
    return say(says, code="open_on", when=when, windows=[str(window) for window in windows])


def _cap(says: str, rule: rules.CapRule) -> Saying:
    match rule.span:
        case rules.Span.EVER:
            within = say("for good", code="span_ever")
        case rules.Span.CALENDAR_DAYS if rule.length == 1:
            within = say("a calendar day", code="span_day")
        case rules.Span.CALENDAR_DAYS:
            within = say(f"in {rule.length} calendar days", code="span_days", count=rule.length)
        case rules.Span.ROLLING:
            length = _duration(rule.length)
            within = say(f"in {length}", code="span_rolling", length=length)
    told: dict[str, object] = {"count": rule.maximum, "within": within, "by": [part.value for part in rule.key]}
    if rule.counts is None:
        return Saying(says, "rule_cap", told)
    told["outcomes"] = sorted(outcome.value for outcome in rule.counts)
    return Saying(says, "rule_cap_counting", told)


def _cooldown(says: str, rule: rules.CooldownRule) -> Saying:
    after = [outcome.value for outcome in sorted(rule.after)] + (["refusal"] if rule.after_refusal else [])
    told = {"length": _duration(rule.duration_s), "after": after, "by": [part.value for part in rule.key]}
    return Saying(says, "rule_cooldown_unless_reserved" if rule.unless_agent_reserved else "rule_cooldown", told)


def _duration(seconds: int) -> Saying:
    says = wording.duration(seconds)
    one, several, unit_s = _LENGTH[says.partition(" ")[2].removesuffix("s")]
    return Saying(says, one if seconds == unit_s else several, {"count": seconds // unit_s})
