"""Whether a rule holds for what has happened to a contact so far, and why. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from dialer.actions.rules import CallAgain, Rule, Weekday
from dialer.core.ids import CallId, CampaignId, ContactId, Phone
from dialer.core.outcome import Outcome
from dialer.core.saying import NOTHING, Saying, say

_DAY_S: Final = 86_400.0
_KEPT: Final = frozenset({"sale", "promise"})
_WEEK: Final = tuple(Weekday)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastCall:
    """One call of the past, with its latest code."""

    call: CallId
    phone: Phone
    started_at: float
    ended_at: float
    outcome: Outcome
    #: When it was closed with a code, and of which category that is; None: it was not, or nobody knows.
    coded_at: float | None = None
    category: str | None = None
    is_sale: bool = False
    is_contact: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The calls of one contact of one campaign, the oldest first."""

    campaign: CampaignId
    contact: ContactId
    calls: Sequence[PastCall]


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule that holds, and why."""

    rule: Rule
    why: Saying


def matching(rules: Sequence[Rule], past: Past, fired: Collection[str]) -> list[Fired]:
    """The rules that hold for a contact and have not fired for it before (names in `fired`), in their order."""
    found = []
    for rule in rules:
        if rule.name in fired or not rule.applies_to(past.campaign):
            continue
        why = holds(rule, past)
        if why:
            found.append(Fired(rule, why))
    return found


def holds(rule: Rule, past: Past) -> Saying:
    """Why the conditions of a rule hold; nothing where they do not."""
    when, calls = rule.when, past.calls
    if not calls:
        return NOTHING
    reasons: list[Saying] = []
    if when.failed_contacts is not None:
        failed = sum(_failed(call) for call in calls)
        if failed < when.failed_contacts:
            return NOTHING
        if failed > 1:
            reasons.append(say(f"{failed} contacts came to nothing", code="fired_failed", failed=failed))
        else:
            reasons.append(say("a contact came to nothing", code="fired_failed_once"))
    if when.outcomes:
        times = when.outcome_times or 1
        last = calls[-times:]
        if len(last) < times or any(call.outcome not in when.outcomes for call in last):
            return NOTHING
        ended = _distinct([call.outcome.value for call in last])
        if times > 1:
            says = f"the last {times} calls ended {', '.join(ended)}"
            reasons.append(say(says, code="fired_outcomes", times=times, outcomes=ended))
        else:
            reasons.append(say(f"the last call ended {', '.join(ended)}", code="fired_outcome", outcomes=ended))
    if when.categories:
        times = when.category_times or 1
        coded = sorted((call for call in calls if call.coded_at is not None), key=lambda call: call.coded_at or 0.0)
        last = coded[-times:]
        if len(last) < times or any(call.category not in when.categories for call in last):
            return NOTHING
        given = _distinct([call.category or "" for call in last])
        if times > 1:
            says = f"the last {times} codes are of {', '.join(given)}"
            reasons.append(say(says, code="fired_codes", times=times, categories=given))
        else:
            reasons.append(say(f"the last code is of {', '.join(given)}", code="fired_code", categories=given))
    if when.sale is not None:
        latest = calls[-1]
        if latest.coded_at is None or latest.is_sale != when.sale:
            return NOTHING
        if when.sale:
            reasons.append(say("the last call is a sale", code="fired_sale"))
        else:
            reasons.append(say("the last call is no sale", code="fired_no_sale"))
    if when.attempts is not None:
        if len(calls) < when.attempts:
            return NOTHING
        reasons.append(say(f"{len(calls)} calls were made", code="fired_attempts", calls=len(calls)))
    if when.days_since_first is not None:
        days = (calls[-1].ended_at - calls[0].started_at) / _DAY_S
        if days < when.days_since_first:
            return NOTHING
        reasons.append(say(f"the first call was {days:.1f} days before", code="fired_days", days=round(days, 1)))
    if len(reasons) == 1:
        return reasons[0]
    return say("; ".join(map(str, reasons)), code="fired_because", reasons=reasons)


def call_again_at(wish: CallAgain, last_at: float, now: float, zone: ZoneInfo) -> float:
    """The moment of the next call: that hour on the first day that is wanted, not before `now`.

    Args:
        wish: of the rule.
        last_at: when the last call began, unix seconds.
        now: unix seconds.
        zone: in which the hour and the day are told.
    """
    last = datetime.fromtimestamp(last_at, zone)
    wanted = [day for day in wish.weekdays if _WEEK.index(day) != last.weekday()] or list(wish.weekdays)
    first = datetime.fromtimestamp(now, zone).date() + timedelta(days=wish.after_days)
    days = [first + timedelta(days=ahead) for ahead in range(8)]
    day = next(day for day in days if _WEEK[day.weekday()] in wanted)
    return datetime.combine(day, last.time(), zone).timestamp()


def _failed(call: PastCall) -> bool:
    reached = call.outcome is Outcome.CONNECTED and call.coded_at is not None and call.is_contact
    return reached and not call.is_sale and call.category not in _KEPT


def _distinct(words: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(words))
