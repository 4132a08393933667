"""What a rule demands, in one line."""

from __future__ import annotations

from typing import assert_never

from dialer.compliance import rules, wording
from dialer.compliance.rulebook import RuleBook
from dialer.compliance.windows import DAYS, windows_text


def says(book: RuleBook, rule: rules.AnyRule) -> str:
    """What a rule demands: ``opt-in, at most 730 days old``."""
    match rule:
        case rules.HoursRule():
            return _hours(rule)
        case rules.CapRule() | rules.CooldownRule():
            return wording.cap_kept(book, rule).rpartition(": ")[2]
        case rules.ConsentRule():
            age = f", at most {rule.max_age_days} days old" if rule.max_age_days else ""
            return f"{rule.mode.replace('_', '-')}{age}"
        case rules.AbandonmentRule():
            units, window = " and ".join(sorted(rule.units)), rule.window.replace("_", " ")
            message = f", message within {rule.message_within_s:g} s" if rule.message_within_s else ""
            share = f"at most {100 * rule.limit:g} % of live answers"
            return f"{share}, by {units}, {window}; agent within {rule.connect_within_s:g} s{message}"
        case rules.RingRule():
            most = f", at most {rule.maximum_s:g} s" if rule.maximum_s else ""
            return f"ring at least {rule.minimum_s:g} s{most}"
        case rules.CallerIdRule():
            begins = f", beginning with {' or '.join(rule.prefixes)}" if rule.prefixes else ""
            return f"caller id {rule.duty.replace('_', ' ')}{begins}"
        case rules.RegistryRule():
            age = f", at most {rule.max_age_days} days old" if rule.max_age_days else ""
            return f"registry: {rule.registry}{age}"
        case rules.RetentionRule():
            return f"records kept {rule.days} days"
        case _:
            assert_never(rule)


def _hours(rule: rules.HoursRule) -> str:
    """Days that have the same windows are said together."""
    found: list[tuple[str, str, str]] = []
    for day, windows in zip(DAYS, rule.week, strict=True):
        text = windows_text(windows)
        if found and found[-1][2] == text:
            found[-1] = (found[-1][0], day, text)
        else:
            found.append((day, day, text))
    parts = [f"{first if first == last else f'{first}-{last}'} {text}" for first, last, text in found]
    if rule.holiday is not None:
        parts.append(f"holiday {windows_text(rule.holiday)}")
    return ", ".join(parts) + (f" (clock of {rule.clock})" if rule.clock else "")
