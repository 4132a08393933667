"""The definitions of all indicators, each in one place: a name, a unit, words, and a function of `Figures`.

``docs/indicators.md`` is this table for people; a test holds the two together. An indicator of nothing (no call, no
hour) is None, never 0: nobody was abandoned, and nobody could have been.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import Final

from dialer.reporting.figures import AgentTime, Figures

_HOUR_MS: Final = 3_600_000
_MINUTE_MS: Final = 60_000
_MICROS: Final = 1_000_000
#: Money that was divided is given to a hundredth of a cent.
_MONEY: Final = Decimal("0.0001")


class Unit(StrEnum):
    """What an indicator is measured in."""

    #: 0 to 1.
    SHARE = "share"
    SECONDS = "seconds"
    HOURS = "hours"
    PER_HOUR = "per hour"
    MONEY = "money"


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What calls and agents cost, in one currency."""

    #: Of a minute from the answer to the end.
    per_minute: Decimal = Decimal(0)
    #: Of an hour that an agent is signed in, pauses included.
    per_agent_hour: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Indicator:
    """One indicator."""

    name: str
    unit: Unit
    #: Its definition in words.
    says: str
    of: Callable[[Figures, Costs], float | Decimal | None]


def _ratio(part: int | None, whole: int | None) -> float | None:
    return part / whole if part is not None and whole else None


def _mean_s(total_ms: int | None, count: int) -> float | None:
    return total_ms / count / 1_000 if total_ms is not None and count else None


def _time(figures: Figures, read: Callable[[AgentTime], int]) -> int | None:
    return None if figures.agents is None else read(figures.agents)


def _per_hour(count: int, figures: Figures) -> float | None:
    working_ms = _time(figures, lambda time: time.working_ms)
    return count * _HOUR_MS / working_ms if working_ms else None


def one_amount(amounts: Mapping[str, Decimal]) -> Decimal | None:
    """The amount; None where several currencies cannot be added."""
    if not amounts:
        return Decimal(0)
    return next(iter(amounts.values())) if len(amounts) == 1 else None


def _money(amount: Decimal | None, by: int | Decimal | None) -> Decimal | None:
    if amount is None or not by:
        return None
    return (amount / by).quantize(_MONEY, ROUND_HALF_EVEN)


def _amount_per_hour(figures: Figures) -> Decimal | None:
    working_ms = _time(figures, lambda time: time.working_ms)
    return _money(one_amount(figures.amounts), None if working_ms is None else Decimal(working_ms) / _HOUR_MS)


def _handle_s(figures: Figures) -> float | None:
    wrapup_ms = _time(figures, lambda time: time.wrapup_ms)
    return None if wrapup_ms is None else _mean_s(figures.talk_ms + wrapup_ms, figures.connected)


def cost_of(figures: Figures, costs: Costs) -> Decimal | None:
    """Calls by the carriers' rates, minutes of those without, hours of agents; None where these are not known."""
    paid_ms = _time(figures, lambda time: time.paid_ms)
    if paid_ms is None:
        return None
    lines = costs.per_minute * (figures.line_ms - figures.rated_ms) / _MINUTE_MS
    lines += Decimal(figures.rated_micros) / _MICROS
    return (lines + costs.per_agent_hour * paid_ms / _HOUR_MS).quantize(_MONEY, ROUND_HALF_EVEN)


def _cost_per(count: int, figures: Figures, costs: Costs) -> Decimal | None:
    return _money(cost_of(figures, costs), count)


def _hours(figures: Figures) -> float | None:
    working_ms = _time(figures, lambda time: time.working_ms)
    return None if working_ms is None else working_ms / _HOUR_MS


def _occupancy(figures: Figures) -> float | None:
    return _ratio(_time(figures, lambda time: time.busy_ms), _time(figures, lambda time: time.working_ms))


def _of(name: str, unit: Unit, says: str, function: Callable[[Figures], float | Decimal | None]) -> Indicator:
    return Indicator(name=name, unit=unit, says=says, of=lambda figures, _: function(figures))


#: In the order in which reports show them.
INDICATORS: Final = (
    _of(
        "answer_rate",
        Unit.SHARE,
        "live answers / attempts",
        lambda f: _ratio(f.live_answers, f.attempts),
    ),
    _of(
        "contact_rate",
        Unit.SHARE,
        "contacts / attempts",
        lambda f: _ratio(f.contacts, f.attempts),
    ),
    _of(
        "abandonment",
        Unit.SHARE,
        "abandoned / live answers",
        lambda f: _ratio(f.abandoned, f.live_answers),
    ),
    _of(
        "penetration",
        Unit.SHARE,
        "contacts called at least once / contacts loaded, up to now",
        lambda f: _ratio(f.called, f.loaded),
    ),
    _of(
        "average_wait_s",
        Unit.SECONDS,
        "time from the answer to the agent / connected",
        lambda f: _mean_s(f.wait_ms, f.connected),
    ),
    _of(
        "average_lost_wait_s",
        Unit.SECONDS,
        "time from the answer to the end, of people who met nobody / those people",
        lambda f: _mean_s(f.lost_wait_ms, f.lost),
    ),
    _of(
        "average_talk_s",
        Unit.SECONDS,
        "talk / connected",
        lambda f: _mean_s(f.talk_ms, f.connected),
    ),
    _of(
        "average_wrapup_s",
        Unit.SECONDS,
        "wrap-up / connected",
        lambda f: _mean_s(_time(f, lambda time: time.wrapup_ms), f.connected),
    ),
    _of("average_handle_time_s", Unit.SECONDS, "(talk + wrap-up) / connected", _handle_s),
    _of(
        "average_agent_wait_s",
        Unit.SECONDS,
        "idle time of agents / connected",
        lambda f: _mean_s(_time(f, lambda time: time.idle_ms), f.connected),
    ),
    _of("agent_hours", Unit.HOURS, "idle + reserved + talking + wrap-up of agents", _hours),
    _of(
        "occupancy",
        Unit.SHARE,
        "(reserved + talking + wrap-up) / (reserved + talking + wrap-up + idle)",
        _occupancy,
    ),
    _of(
        "contacts_per_agent_hour",
        Unit.PER_HOUR,
        "contacts / agent hours",
        lambda f: _per_hour(f.contacts, f),
    ),
    _of("conversion", Unit.SHARE, "sales / contacts", lambda f: _ratio(f.sales, f.contacts)),
    _of(
        "sales_per_agent_hour",
        Unit.PER_HOUR,
        "sales / agent hours",
        lambda f: _per_hour(f.sales, f),
    ),
    _of("amount_per_agent_hour", Unit.MONEY, "amount sold / agent hours", _amount_per_hour),
    _of(
        "amount_per_sale",
        Unit.MONEY,
        "amount sold / sales",
        lambda f: _money(one_amount(f.amounts), f.sales),
    ),
    Indicator(
        name="cost",
        unit=Unit.MONEY,
        says="calls by carriers' rates + minutes of others from answer to end × cost per minute + "
        "hours signed in, with pauses × cost per agent hour",
        of=cost_of,
    ),
    Indicator(
        name="cost_per_contact",
        unit=Unit.MONEY,
        says="cost / contacts",
        of=lambda figures, costs: _cost_per(figures.contacts, figures, costs),
    ),
    Indicator(
        name="cost_per_sale",
        unit=Unit.MONEY,
        says="cost / sales",
        of=lambda figures, costs: _cost_per(figures.sales, figures, costs),
    ),
)


def indicators(figures: Figures, costs: Costs) -> dict[str, float | Decimal | None]:
    """Every indicator of some figures, by name."""
    return {each.name: each.of(figures, costs) for each in INDICATORS}
