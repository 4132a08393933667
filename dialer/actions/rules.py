"""Rules as people write them (TOML), parsed and checked: unknown words, conditions that cannot hold, and loops.

A rule fires once for a contact of a campaign. So all that could go on for ever is a contact that is moved round and
round; a set of rules whose moves could do that is refused (`check_moves`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from dialer.core.disposition import DispositionCategory
from dialer.core.ids import CampaignId
from dialer.core.outcome import LIVE, Outcome
from dialer.errors import InputError

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}\Z", description="letters, digits, _ and -")]
Times = Annotated[int, Meta(ge=1, le=100)]
#: In the place of a campaign: every one.
ANY: Final = "*"
MAX_RULES: Final = 500


class Weekday(StrEnum):
    """Days of the week."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


class When(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Conditions; all that are given must hold."""

    #: So many talks with the person who was meant, closed with a code, without a sale or a promise.
    failed_contacts: Times | None = None
    #: The last `outcome_times` calls all ended in one of these ways.
    outcomes: Annotated[tuple[Outcome, ...], Meta(max_length=20)] = ()
    outcome_times: Times | None = None
    #: The last `category_times` codes are all of one of these categories.
    categories: Annotated[tuple[DispositionCategory, ...], Meta(max_length=20)] = ()
    category_times: Times | None = None
    #: The last call has a code, which is a sale, or is none.
    sale: bool | None = None
    #: So many calls have been made.
    attempts: Annotated[int, Meta(ge=1, le=1_000)] | None = None
    #: So many days lie between the first call and the last.
    days_since_first: Annotated[float, Meta(gt=0, le=3_650)] | None = None


class CallAgain(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Another call at the hour of the last one, on another day of the week, in the contact's own time."""

    after_days: Annotated[int, Meta(ge=1, le=60)] = 1
    #: On which days; any that is not the last call's.
    weekdays: Annotated[tuple[Weekday, ...], Meta(min_length=1, max_length=7)] = tuple(Weekday)


class Ask(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The CRM is asked to do something, by an event `action.requested`."""

    what: Literal["sms", "email", "letter", "task", "other"]
    #: Which text or workflow, for the CRM to know.
    template: Annotated[str, Meta(max_length=200)] = ""


class Then(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is done: exactly one of these."""

    #: Into this campaign, and out of the present one.
    move_to: Name | None = None
    #: With the move, or by itself: -1000 to 1000, the higher is called first.
    priority: Annotated[int, Meta(ge=-1_000, le=1_000)] | None = None
    call_again: CallAgain | None = None
    ask: Ask | None = None

    @property
    def kind(self) -> str:
        """In a word."""
        if self.move_to is not None:
            return "move"
        if self.call_again is not None:
            return "call_again"
        return "ask" if self.ask is not None else "priority"


class Rule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One rule."""

    name: Name
    description: Annotated[str, Meta(max_length=500)] = ""
    #: Whose contacts it is about.
    campaigns: Annotated[tuple[str, ...], Meta(min_length=1, max_length=200)] = (ANY,)
    when: When
    then: Then

    def applies_to(self, campaign: CampaignId) -> bool:
        """Whether it is about contacts of that campaign; nobody is moved to where they are."""
        return (ANY in self.campaigns or campaign in self.campaigns) and campaign != self.then.move_to


class RuleFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A file of rules."""

    rules: Annotated[tuple[Rule, ...], Meta(min_length=1, max_length=MAX_RULES)]


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules that have been checked together, in their order."""

    rules: tuple[Rule, ...] = ()


def parse_rules(mapping: Mapping[str, Any], where: str = "") -> tuple[Rule, ...]:
    """The rules of one file, each checked by itself.

    Args:
        mapping: what the TOML file has.
        where: its name, for messages.

    Raises:
        InputError: names the file, the rule and what is wrong with it.
    """
    at = f"{where}: " if where else ""
    try:
        rules = msgspec.convert(mapping, RuleFile).rules
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$")
        raise InputError(f"{at}{path.rstrip('`').lstrip('.') or 'rules'}: {what}") from error
    for rule in rules:
        problem = _problem(rule)
        if problem:
            raise InputError(f"{at}rule {rule.name!r}: {problem}")
    return rules


def rule_set(rules: Sequence[Rule]) -> RuleSet:
    """Rules of several files together.

    Raises:
        InputError: two have the same name, there are too many, or their moves could go round.
    """
    if len(rules) > MAX_RULES:
        raise InputError(f"rules: {len(rules)} are too many; at most {MAX_RULES}")
    names: set[str] = set()
    for rule in rules:
        if rule.name in names:
            raise InputError(f"rule {rule.name!r}: there are two of this name; what a rule did is known by its name")
        names.add(rule.name)
    check_moves(rules)
    return RuleSet(tuple(rules))


def check_moves(rules: Sequence[Rule]) -> None:
    """Make sure that no contact can be moved back to where it was.

    Raises:
        InputError: names the campaigns and rules of a way that goes round.
    """
    moves = [rule for rule in rules if rule.then.move_to is not None]
    targets = {str(rule.then.move_to) for rule in moves}
    named = targets | {campaign for rule in moves for campaign in rule.campaigns if campaign != ANY}
    # A campaign that no rule names can be left, and never be come to: it is on no way round.
    ways: dict[str, list[tuple[str, str]]] = {campaign: [] for campaign in sorted(named)}
    for rule in moves:
        target = str(rule.then.move_to)
        for campaign in sorted(named if ANY in rule.campaigns else set(rule.campaigns)):
            if campaign != target:
                ways[campaign].append((target, rule.name))
    done: set[str] = set()
    for start in ways:
        _walk(start, ways, done)


def _walk(start: str, ways: Mapping[str, Sequence[tuple[str, str]]], done: set[str]) -> None:
    """Depth first, without recursion: a chain may be as long as there are rules."""
    path: list[str] = []
    by: list[str] = []
    stack: list[tuple[str, str, bool]] = [(start, "", False)]
    while stack:
        campaign, rule, left = stack.pop()
        if left:
            path.pop()
            by.pop()
            done.add(campaign)
            continue
        if campaign in path:
            place = path.index(campaign)
            round_trip = " → ".join([*path[place:], campaign])
            rules = ", ".join(dict.fromkeys([*by[place + 1 :], rule]))
            raise InputError(
                f"rules {rules}: would move a contact round and round ({round_trip}); "
                "take one of these moves away, or name its campaigns"
            )
        if campaign in done:
            continue
        path.append(campaign)
        by.append(rule)
        stack.append((campaign, "", True))
        stack.extend((target, name, False) for target, name in ways[campaign])


def _problem(rule: Rule) -> str:
    """Why a rule can never fire, or would always; empty where neither is so."""
    when, then = rule.when, rule.then
    bad = [name for name in rule.campaigns if name != ANY and not _is_name(name)]
    if bad:
        return f'campaigns: {bad[0][:80]!r} is no campaign; it may be an id, or "*" for all'
    if when == When():
        return "when: has no condition, so it would fire for everybody after their first call"
    if when.outcome_times is not None and not when.outcomes:
        return "when: outcome_times needs outcomes"
    if when.category_times is not None and not when.categories:
        return "when: category_times needs categories"
    if when.sale is not None and when.outcomes and not LIVE.intersection(when.outcomes):
        return "when: cannot hold: a call that nobody answered is closed with no code, so sale says nothing of it"
    many, made = max(when.outcome_times or 1, when.failed_contacts or 0, when.category_times or 0), when.attempts
    if made is not None and made < many:
        return f"when: attempts = {made} says nothing: the other conditions need {many} calls already"
    given = [name for name in ("move_to", "call_again", "ask") if getattr(then, name) is not None]
    if len(given) > 1:
        return f"then: {' and '.join(given)} are two things; make it two rules"
    if not given and then.priority is None:
        return "then: is empty; it may be move_to, priority, call_again or ask"
    if then.priority is not None and given not in ([], ["move_to"]):
        return f"then: priority does not go with {given[0]}"
    if then.move_to is not None and set(rule.campaigns) == {then.move_to}:
        return f"then: cannot happen: contacts of {then.move_to!r} are in that campaign already"
    return ""


def _is_name(text: str) -> bool:
    try:
        msgspec.convert(text, Name)
    except msgspec.ValidationError:
        return False
    return True
