"""Do-not-call registries that somebody else keeps (a state, an industry), as the gate asks them. Pure.

`Registries` is what is in force at one moment: immutable, so that a check, or a whole batch of checks, is answered by
one version of each registry, whatever is swapped meanwhile. Every verdict says which versions were asked: the record of
a call keeps that.

A registry that a campaign needs and that is missing, damaged or too old is a refusal, never an empty registry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Final, Protocol

from dialer.compliance.registry_prefixes import PrefixRules
from dialer.core.ids import CampaignId, Phone, valid_phone
from dialer.core.saying import NOTHING, Saying, say
from dialer.errors import InputError

_DAY_S: Final = 86_400.0
#: A date of today may be tomorrow's where the registry is kept: east of here by up to 14 hours.
_AHEAD_S: Final = _DAY_S


class NumberSet(Protocol):
    """Numbers as integers of their E.164 digits; look-ups have no side effect and never wait for the network."""

    def __contains__(self, number: int, /) -> bool: ...

    def contains_many(self, numbers: Sequence[int], /) -> Sequence[bool]:
        """One answer for each number, in their order."""
        ...


class RegistryPolicy(Protocol):
    """What the settings say of one registry."""

    @property
    def name(self) -> str: ...

    @property
    def max_age_days(self) -> float | None:
        """Older than this it may not be dialed by; None: it does not age."""
        ...

    @property
    def campaigns(self) -> Sequence[str]:
        """Who must ask it; ``*`` is everybody."""
        ...

    @property
    def answers(self) -> Sequence[str]:
        """Ids of the rules that demand it, besides its own name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Consulted:
    """One version of one registry: what evidence says of it."""

    registry: str
    version: str
    #: Of the day on which its keeper published (or we fetched) it.
    source_date: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """One version of one registry, ready to be asked."""

    consulted: Consulted
    numbers: NumberSet
    count: int
    prefixes: PrefixRules = field(default_factory=PrefixRules)
    #: Where it came from, for people.
    source: str = ""

    def age_days(self, now: float) -> float:
        """Days since the first moment (UTC) of its source date; negative where that is still to come."""
        return (now - _first_moment(self.consulted.source_date)) / _DAY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Clear:
    """On none of the registries that the campaign must ask."""

    consulted: tuple[Consulted, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Not to be called: by number, or by a prefix rule."""

    by: Consulted
    #: ``+34900*`` where a rule matched; empty: the number itself is listed.
    rule: str
    reason: str
    consulted: tuple[Consulted, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryTooOld:
    """The campaign may not dial: a registry that it must ask is older than allowed."""

    by: Consulted
    age_days: float
    max_age_days: float

    @property
    def told(self) -> Saying:
        """What is wrong, and what to do."""
        return say(
            f"registry {self.by.registry} is of {self.by.source_date} ({int(self.age_days)} days old, at most "
            f"{self.max_age_days:g} are allowed): build a new version with cadencia registry build",
            code="registry_too_old",
            registry=self.by.registry,
            day=self.by.source_date.isoformat(),
            age_days=int(self.age_days),
            most_days=self.max_age_days,
        )

    def __str__(self) -> str:
        return self.told.says


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryUnavailable:
    """The campaign may not dial: a registry that it must ask is not there or cannot be used."""

    registry: str
    problem: Saying

    @property
    def told(self) -> Saying:
        """What is wrong, and what to do."""
        return say(
            f"registry {self.registry} cannot be asked: {self.problem}",
            code="registry_unavailable",
            registry=self.registry,
            problem=self.problem,
        )

    def __str__(self) -> str:
        return self.told.says


Verdict = Clear | Listed | RegistryTooOld | RegistryUnavailable
Refusal = RegistryTooOld | RegistryUnavailable

_NOT_BUILT: Final = say(
    "no version of it has been built yet: build one with cadencia registry build", code="registry_not_built"
)


class Registries:
    """What is in force: one version of each registry, and who must ask which.

    Args:
        policies: of every registry that any campaign must ask.
        editions: those that can be asked, by name.
        problems: why one cannot be asked, by name.

    Raises:
        ValueError: two policies of one name.
    """

    def __init__(
        self,
        policies: Sequence[RegistryPolicy],
        editions: Mapping[str, Edition],
        problems: Mapping[str, Saying] | None = None,
    ) -> None:
        if len({policy.name for policy in policies}) != len(policies):
            raise ValueError("two policies for one registry")
        self._policies = tuple(policies)
        self._editions = dict(editions)
        self._problems = dict(problems or {})
        #: By campaign; filled as they come. Bounded by the campaigns of the node.
        self._screens: dict[CampaignId, _Screen] = {}

    @property
    def answers(self) -> Mapping[str, tuple[str, ...]]:
        """Ids of the rules that each registry answers, by its name."""
        return {policy.name: tuple(dict.fromkeys((policy.name, *policy.answers))) for policy in self._policies}

    def answering(self, rule: str, campaign: CampaignId) -> tuple[str, ...]:
        """Names of the registries that answer the demand of a rule, by its id, where `campaign` must ask them."""
        asked = self.asked_by(campaign)
        return tuple(p.name for p in self._policies if p.name in asked and rule in (p.name, *p.answers))

    @property
    def editions(self) -> Mapping[str, Edition]:
        """Those that can be asked, by name."""
        return self._editions

    @property
    def problems(self) -> Mapping[str, Saying]:
        """What is wrong with a registry, by name; an older version of it may still be in force."""
        return self._problems

    def asked_by(self, campaign: CampaignId) -> tuple[str, ...]:
        """Names of the registries that a campaign must ask, in the order of the settings."""
        return tuple(p.name for p in self._policies if "*" in p.campaigns or campaign in p.campaigns)

    def refusal(self, campaign: CampaignId, now: float) -> Refusal | None:
        """Why the campaign may not dial at all at unix second `now`; None where it may."""
        return self._screen(campaign).refusal(now)

    def check(self, phone: Phone, campaign: CampaignId, now: float) -> Verdict:
        """Whether `campaign` may call `phone` at unix second `now`, as far as registries say.

        Raises:
            InputError: `phone` is not E.164.
        """
        if not valid_phone(phone):
            raise InputError("a registry is asked for a number in E.164, such as +34600111222")
        screen = self._screen(campaign)
        if not screen.usable_from <= now < screen.usable_until:
            refusal = screen.refusal(now)
            assert refusal is not None, "outside of the span something is wrong"
            return refusal
        number = int(phone[1:])
        for numbers, prefixes, listed in screen.asked:
            if number in numbers:
                return listed
            if prefixes is not None and (rule := prefixes.match(phone)) is not None:
                return replace(listed, rule=str(rule), reason=rule.reason)
        return screen.clear

    def check_many(self, phones: Sequence[Phone], campaign: CampaignId, now: float) -> list[Verdict]:
        """`check` for many numbers at once, one verdict each; cheaper for a number from some hundreds on.

        Raises:
            InputError: one of `phones` is not E.164.
        """
        if not all(map(valid_phone, phones)):
            raise InputError("a registry is asked for numbers in E.164, such as +34600111222")
        screen = self._screen(campaign)
        refusal = screen.refusal(now)
        if refusal is not None:
            return [refusal] * len(phones)
        verdicts: list[Verdict] = [screen.clear] * len(phones)
        numbers = [int(phone[1:]) for phone in phones]
        # From the last to the first: where several list a number, the first in order is told, as by `check`.
        for listed_numbers, prefixes, listed in reversed(screen.asked):
            if prefixes is not None:
                for place, phone in enumerate(phones):
                    rule = prefixes.match(phone)
                    if rule is not None:
                        verdicts[place] = replace(listed, rule=str(rule), reason=rule.reason)
            for place, found in enumerate(listed_numbers.contains_many(numbers)):
                if found:
                    verdicts[place] = listed
        return verdicts

    def status(self, now: float) -> list[RegistryStatus]:
        """Every registry of the settings as it is at unix second `now`, for people and metrics."""
        return [self._status(policy, now) for policy in self._policies]

    def _status(self, policy: RegistryPolicy, now: float) -> RegistryStatus:
        edition = self._editions.get(policy.name)
        refusal = _refusal(policy, edition, self._problems.get(policy.name), now)
        return RegistryStatus(
            name=policy.name,
            edition=edition,
            age_days=None if edition is None else edition.age_days(now),
            max_age_days=policy.max_age_days,
            refuses=NOTHING if refusal is None else refusal.told,
            problem=self._problems.get(policy.name, NOTHING),
        )

    def _screen(self, campaign: CampaignId) -> _Screen:
        screen = self._screens.get(campaign)
        if screen is None:
            asked = set(self.asked_by(campaign))
            policies = [policy for policy in self._policies if policy.name in asked]
            screen = self._screens[campaign] = _Screen(policies, self._editions, self._problems)
        return screen


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryStatus:
    """One registry at one moment."""

    name: str
    #: None: nothing is in force.
    edition: Edition | None
    age_days: float | None
    max_age_days: float | None
    #: Why campaigns that must ask it may not dial; nothing where they may.
    refuses: Saying
    #: What is wrong, also where an older version is still in force.
    problem: Saying


class _Screen:
    """What one campaign asks, put together once, so that a check costs little more than its look-ups."""

    __slots__ = ("_parts", "_problems", "asked", "clear", "usable_from", "usable_until")

    def __init__(
        self, policies: Sequence[RegistryPolicy], editions: Mapping[str, Edition], problems: Mapping[str, Saying]
    ) -> None:
        self._parts = [(policy, editions.get(policy.name)) for policy in policies]
        self._problems = problems
        editions_here = [edition for _, edition in self._parts if edition is not None]
        consulted = tuple(edition.consulted for edition in editions_here)
        self.clear = Clear(consulted=consulted)
        #: Of each: its numbers, its prefix rules where it has some, and the verdict on a number that it lists.
        self.asked = tuple(
            (
                edition.numbers,
                edition.prefixes if len(edition.prefixes) else None,
                Listed(by=edition.consulted, rule="", reason="", consulted=consulted),
            )
            for edition in editions_here
        )
        dates = [(policy, _first_moment(edition.consulted.source_date)) for policy, edition in self._parts if edition]
        #: Between these two unix seconds no registry refuses; an empty span where one is not there.
        self.usable_from = max((at - _AHEAD_S for _, at in dates), default=float("-inf"))
        self.usable_until = min(
            (at + policy.max_age_days * _DAY_S for policy, at in dates if policy.max_age_days is not None),
            default=float("inf"),
        )
        if len(editions_here) < len(self._parts):
            self.usable_until = float("-inf")

    def refusal(self, now: float) -> Refusal | None:
        if self.usable_from <= now < self.usable_until:
            return None
        for policy, edition in self._parts:
            refusal = _refusal(policy, edition, self._problems.get(policy.name), now)
            if refusal is not None:
                return refusal
        return None


def _refusal(policy: RegistryPolicy, edition: Edition | None, problem: Saying | None, now: float) -> Refusal | None:
    if edition is None:
        return RegistryUnavailable(registry=policy.name, problem=problem or _NOT_BUILT)
    published_at = _first_moment(edition.consulted.source_date)
    if now < published_at - _AHEAD_S:
        # A date in the future would make it young for ever; or the clock of this machine went back.
        return RegistryUnavailable(
            registry=policy.name,
            problem=say(
                f"its source date {edition.consulted.source_date} is in the future: correct the clock, or build it "
                "again with the right date",
                code="registry_of_tomorrow",
                day=edition.consulted.source_date.isoformat(),
            ),
        )
    if policy.max_age_days is not None and now >= published_at + policy.max_age_days * _DAY_S:
        return RegistryTooOld(by=edition.consulted, age_days=edition.age_days(now), max_age_days=policy.max_age_days)
    return None


def _first_moment(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
