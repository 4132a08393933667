"""What somebody wants to see: a period, by what it is told apart, and what is left out. Parsed and bounded here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dialer.core.ids import AgentId, CampaignId, valid_name
from dialer.core.outcome import Outcome
from dialer.errors import InputError

#: A year and some; whoever wants more asks twice.
MAX_DAYS: Final = 400
#: Rows that one report may have; more are of no use to people, and programs can ask by month.
MAX_ROWS: Final = 20_000
_MAX_FILTERS: Final = 100
_MAX_LIST: Final = 200
_DAY_S: Final = 86_400.0
DEFAULT_DAYS: Final = 7


class Dimension(StrEnum):
    """By what a report can be told apart."""

    CAMPAIGN = "campaign"
    LIST = "list"
    AGENT = "agent"
    #: Of the calendar, in the campaign's zone.
    DAY = "day"
    #: 0 to 23, all days together unless the report is by day as well.
    HOUR = "hour"
    OUTCOME = "outcome"


#: What the time of agents can be told apart by: nobody waits for a list or for an outcome.
STAFFED: Final = frozenset({Dimension.CAMPAIGN, Dimension.AGENT, Dimension.DAY, Dimension.HOUR})
#: What contacts that wait can be told apart by.
LOADED: Final = frozenset({Dimension.CAMPAIGN, Dimension.LIST})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOrder:
    """One report that is wanted; empty filters restrict nothing."""

    #: Unix seconds; calls that ended in ``since <= at < until``.
    since: float
    until: float
    by: tuple[Dimension, ...] = (Dimension.CAMPAIGN,)
    campaigns: frozenset[CampaignId] = frozenset()
    lists: frozenset[str] = frozenset()
    agents: frozenset[AgentId] = frozenset()
    outcomes: frozenset[Outcome] = frozenset()
    #: IANA name in which days and hours are told; None: that of each campaign.
    timezone: str | None = None
    #: Of this tenant's campaigns; empty: of all.
    tenant: str = ""

    @property
    def staffed(self) -> bool:
        """Whether the time of agents belongs into it."""
        return STAFFED.issuperset(self.by) and not self.lists and not self.outcomes

    @property
    def loaded(self) -> bool:
        """Whether penetration belongs into it."""
        return LOADED.issuperset(self.by) and not self.agents and not self.outcomes


@dataclass(frozen=True, slots=True, kw_only=True)
class RawOrder:
    """An order as people and programs write it."""

    by: str = ""
    #: RFC 3339 with zone, or a day (YYYY-MM-DD) that begins in the zone of the report.
    since: str | None = None
    until: str | None = None
    timezone: str | None = None
    campaigns: Sequence[str] = field(default_factory=tuple)
    lists: Sequence[str] = field(default_factory=tuple)
    agents: Sequence[str] = field(default_factory=tuple)
    outcomes: Sequence[str] = field(default_factory=tuple)


def parse_order(raw: RawOrder, now: float, default_zone: str) -> ReportOrder:
    """Check an order.

    Args:
        raw: what was asked for.
        now: unix seconds; where the period ends if nobody says.
        default_zone: in which a day begins where the order names no zone.

    Raises:
        InputError: names the field and says what it may be.
    """
    zone = zone_named(raw.timezone or default_zone)
    until = now if raw.until is None else _moment(raw.until, "until", zone)
    since = until - DEFAULT_DAYS * _DAY_S if raw.since is None else _moment(raw.since, "since", zone)
    check_period(since, until)
    return ReportOrder(
        since=since,
        until=until,
        by=parse_by(raw.by),
        campaigns=frozenset(CampaignId(_name(one, "campaign")) for one in _few(raw.campaigns, "campaign")),
        lists=frozenset(_list(one) for one in _few(raw.lists, "list")),
        agents=frozenset(AgentId(_name(one, "agent")) for one in _few(raw.agents, "agent")),
        outcomes=frozenset(_outcome(one) for one in _few(raw.outcomes, "outcome")),
        timezone=raw.timezone or None,
    )


def check_period(since: float, until: float) -> None:
    """Make sure that a period has a length that can be looked at.

    Raises:
        InputError: it has not.
    """
    if since >= until:
        raise InputError("since: must be before until", code="report_since")
    if until - since > MAX_DAYS * _DAY_S:
        raise InputError(
            f"since: a report is of at most {MAX_DAYS} days; ask for a part of them", code="report_span", most=MAX_DAYS
        )


def parse_by(text: str) -> tuple[Dimension, ...]:
    """Dimensions as in ``campaign,day``; campaign where there are none.

    Raises:
        InputError: one is unknown, or stands there twice.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    found: list[Dimension] = []
    for name in names:
        try:
            dimension = Dimension(name)
        except ValueError as error:
            may = ", ".join(Dimension)
            raise InputError(
                f"by: {name[:40]!r} is nothing that a report can be by; it may be {may}", code="report_by", may=may
            ) from error
        if dimension in found:
            raise InputError(f"by: {name} stands there twice", code="report_by_twice", name=name)
        found.append(dimension)
    return tuple(found) or (Dimension.CAMPAIGN,)


def zone_named(name: str) -> ZoneInfo:
    """The zone of that name.

    Raises:
        InputError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(
            f"timezone: {name[:80]!r} is no zone; it may be an IANA name such as Europe/Madrid",
            code="not_a_zone",
            zone=name[:80],
        ) from error


def period_before(now: float, days: int, zone: ZoneInfo) -> tuple[float, float]:
    """The last `days` whole days of the calendar in `zone` before `now`."""
    today = datetime.fromtimestamp(now, zone).date()
    return _midnight(today - timedelta(days=days), zone), _midnight(today, zone)


def _midnight(day: date, zone: ZoneInfo) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()


def _moment(text: str, name: str, zone: ZoneInfo) -> float:
    try:
        if len(text) == 10:
            return _midnight(date.fromisoformat(text), zone)
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None and at.year >= 1970:
            return at.timestamp()
    except (ValueError, OverflowError):
        pass
    raise InputError(
        f"{name}: must be a day such as 2026-05-04, or a moment with its zone: 2026-05-04T09:30:00Z",
        code="not_a_moment",
    )


def _few(given: Sequence[str], name: str) -> Sequence[str]:
    if len(given) > _MAX_FILTERS:
        raise InputError(f"{name}: at most {_MAX_FILTERS} at once", code="report_filters", most=_MAX_FILTERS)
    return given


def _name(text: str, name: str) -> str:
    if not valid_name(text):
        raise InputError(f"{name}: must be 1 to 64 of the characters A-Z a-z 0-9 _ -", code="not_a_name")
    return text


def _list(text: str) -> str:
    if not text or len(text) > _MAX_LIST or not text.isprintable():
        raise InputError(f"list: must be the id of a list, of at most {_MAX_LIST} characters", code="report_list")
    return text


def _outcome(text: str) -> Outcome:
    try:
        return Outcome(text)
    except ValueError as error:
        may = ", ".join(Outcome)
        raise InputError(f"outcome: {text[:40]!r} is none; it may be {may}", code="report_outcome", may=may) from error
