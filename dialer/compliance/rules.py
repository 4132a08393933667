"""The kinds of rule that a jurisdiction has, as values.

A rule never stands alone: it says where it comes from (`source`), how sure that is (`mark`), and from which day until
which day it is in force. Two rules with the same id are versions of one another.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from dialer.compliance.windows import Week, Windows
from dialer.core.outcome import Outcome


class Purpose(StrEnum):
    """What a campaign calls for."""

    MARKETING = "marketing"
    DEBT = "debt"
    SURVEY = "survey"
    SERVICE = "service"


class Party(StrEnum):
    """Whom it calls."""

    CONSUMER = "consumer"
    BUSINESS = "business"


class Mark(StrEnum):
    """How sure a value is."""

    #: Read in an official or near-official text.
    VERIFIED = "V"
    #: Read in a secondary source: a law firm, a vendor, the press.
    SECONDARY = "S"
    #: Nobody has looked it up: must be checked.
    MEMORY = "M"
    #: Sources contradict each other, or the matter is unsettled.
    UNSETTLED = "?"
    #: No rule of law was found: our own prudence.
    POLICY = "policy"


class Basis(StrEnum):
    """What a campaign may claim that lifts a rule; a claim is recorded with every call that it allows."""

    #: The person has a contract, and the call is about it.
    CURRENT_CONTRACT = "current_contract"
    #: The person is a customer of the same company, and it offers something similar.
    EXISTING_CUSTOMER = "existing_customer"
    #: The person asked to be called.
    PRIOR_PERMISSION = "prior_permission"
    #: The person agreed to be called outside the hours of the law.
    HOURS_AGREED = "hours_agreed"


class HolidayScope(StrEnum):
    """Whose holidays a rule about hours looks at."""

    NATIONAL = "national"
    #: Those of the nation and of the region called.
    REGIONAL = "regional"


class KeyPart(StrEnum):
    """What a cap counts by."""

    NUMBER = "number"
    #: All numbers of one person together.
    PERSON = "person"
    #: One debt or account.
    ACCOUNT = "account"
    #: The matter of the call; campaigns about the same matter share it.
    SUBJECT = "subject"
    CAMPAIGN = "campaign"
    #: The company on whose behalf is called.
    SELLER = "seller"


class Span(StrEnum):
    """How the window of a cap lies in time."""

    #: The last so many seconds.
    ROLLING = "rolling"
    #: Today and the days before it, as the calendar of the called person has them.
    CALENDAR_DAYS = "calendar_days"
    #: For good.
    EVER = "ever"


class AbandonmentWindow(StrEnum):
    """Over which time the share of abandoned calls is taken."""

    DAY = "day"
    #: Successive blocks of 30 days that begin with the campaign; the unfinished one counts.
    CAMPAIGN_30_DAYS = "campaign_30_days"
    CALENDAR_MONTH = "calendar_month"


class AbandonmentUnit(StrEnum):
    """For whom the share is taken."""

    CAMPAIGN = "campaign"
    CENTRE = "centre"


class ConsentMode(StrEnum):
    """Whether a call needs a yes, or only the absence of a no."""

    OPT_IN = "opt_in"
    OPT_OUT = "opt_out"


class CallerIdDuty(StrEnum):
    """What the called person must see."""

    #: A number that can be called back.
    VISIBLE = "visible"
    #: Visible, and not a mobile number.
    NOT_MOBILE = "not_mobile"


# Hashed by identity (eq=False): a rule is looked up for every call, and each version is read once.
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rule:
    """What all rules have in common."""

    id: str
    #: Country or policy to which it belongs, such as ES.
    jurisdiction: str
    #: First day in force, and the first day on which it no longer is; days of the called person.
    from_day: date
    until_day: date | None
    purposes: frozenset[Purpose]
    parties: frozenset[Party]
    #: Subdivisions where it holds; empty: everywhere in the jurisdiction.
    where: frozenset[str]
    #: Claims of a campaign that lift it.
    lifted_by: frozenset[Basis]
    source: str
    mark: Mark
    note: str

    @property
    def version(self) -> str:
        """Id and first day, as it is kept with every decision."""
        return f"{self.id}@{self.from_day.isoformat()}"

    def in_force(self, day: date) -> bool:
        """Whether it holds on `day`."""
        return self.from_day <= day and (self.until_day is None or day < self.until_day)

    def covers(self, purpose: Purpose, party: Party, subdivisions: frozenset[str]) -> bool:
        """Whether it is about such calls to people who may live in any of `subdivisions`."""
        return (
            purpose in self.purposes and party in self.parties and (not self.where or bool(self.where & subdivisions))
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HoursRule(Rule):
    """When it may ring, in the called person's civil time."""

    #: Monday first.
    week: Week
    #: Windows that a holiday leaves of those of its weekday; None: holidays are days like others.
    holiday: Windows | None
    holidays: HolidayScope
    #: The clock by which it goes where that is not the called person's.
    clock: str | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CapRule(Rule):
    """At most `maximum` of the calls that it counts within its window, for each key."""

    maximum: int
    span: Span
    #: Rolling: seconds; calendar: days; ever: 0.
    length: int
    key: tuple[KeyPart, ...]
    counts: frozenset[Outcome] | None
    except_outcomes: frozenset[Outcome]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CooldownRule(Rule):
    """No call for a while after something happened."""

    #: A refusal, a conversation, an abandoned call, …
    after: frozenset[Outcome]
    after_refusal: bool
    #: Whether an incoming talk starts it, too.
    after_inbound: bool
    duration_s: int
    key: tuple[KeyPart, ...]
    #: Lifted where an agent is reserved for the call before it is dialed.
    unless_agent_reserved: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConsentRule(Rule):
    """Whether consent is needed, and how old it may be."""

    mode: ConsentMode
    max_age_days: int | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AbandonmentRule(Rule):
    """How many of the people who answer may find nobody."""

    #: Share of live answers, 0 to 1.
    limit: float
    window: AbandonmentWindow
    units: frozenset[AbandonmentUnit]
    #: Seconds from the end of the greeting (from the answer where it is unknown) within which an agent must be there.
    connect_within_s: float
    #: A message with name, number and a way to object must begin within this; None: none is asked for.
    message_within_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RingRule(Rule):
    """How long an unanswered call must ring, and may."""

    minimum_s: float
    maximum_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CallerIdRule(Rule):
    """Which number must be shown."""

    duty: CallerIdDuty
    #: National prefixes of which it must have one; empty: any.
    prefixes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RegistryRule(Rule):
    """A do-not-call registry that must be asked, and how old its copy may be."""

    registry: str
    max_age_days: int | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RetentionRule(Rule):
    """How long records are kept."""

    days: int


AnyRule = (
    HoursRule
    | CapRule
    | CooldownRule
    | ConsentRule
    | AbandonmentRule
    | RingRule
    | CallerIdRule
    | RegistryRule
    | RetentionRule
)

#: Names of the kinds in the files.
KIND_OF: Final[dict[type[Rule], str]] = {
    HoursRule: "hours",
    CapRule: "cap",
    CooldownRule: "cooldown",
    ConsentRule: "consent",
    AbandonmentRule: "abandonment",
    RingRule: "ring",
    CallerIdRule: "caller_id",
    RegistryRule: "registry",
    RetentionRule: "retention",
}
