"""Reports that are made regularly: which are due, and of what time each is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from email.utils import parseaddr
from typing import Final
from zoneinfo import ZoneInfo

from croniter import croniter

from dialer.core.ids import CampaignId, valid_name
from dialer.errors import ConfigError, InputError
from dialer.reporting.indicators import Costs
from dialer.reporting.order import Dimension, ReportOrder, parse_by, period_before, zone_named
from dialer.settings import Reports, ReportSchedule, Settings

_FIELDS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A schedule of the settings that has been checked."""

    name: str
    cron: str
    days: int
    by: tuple[Dimension, ...]
    campaigns: frozenset[CampaignId]
    zone: ZoneInfo
    form: str
    mail: tuple[str, ...]
    webhook: str

    def last_before(self, now: float) -> float:
        """The last moment at or before `now` at which it was due; unix seconds, whole minutes."""
        local = datetime.fromtimestamp(now + 1, self.zone)
        return float(croniter(self.cron, local).get_prev(float))

    def order(self, at: float) -> ReportOrder:
        """The report that is due at that moment: of the whole days before it."""
        since, until = period_before(at, self.days, self.zone)
        return ReportOrder(since=since, until=until, by=self.by, campaigns=self.campaigns, timezone=self.zone.key)


def read_schedules(settings: Settings) -> tuple[Schedule, ...]:
    """The schedules of the settings.

    Raises:
        ConfigError: names the schedule and says what is wrong with it.
    """
    names = [schedule.name for schedule in settings.reports.schedules]
    if len(set(names)) != len(names):
        raise ConfigError("two [[reports.schedules]] have the same name; names must be unique")
    return tuple(_checked(schedule, settings) for schedule in settings.reports.schedules)


def costs_of(reports: Reports) -> Costs:
    """The costs of the settings, exactly."""
    return Costs(per_minute=Decimal(reports.cost_per_minute), per_agent_hour=Decimal(reports.cost_per_agent_hour))


def _checked(given: ReportSchedule, settings: Settings) -> Schedule:
    where = f"reports.schedules {given.name!r}"
    if len(given.cron.split()) != _FIELDS or not croniter.is_valid(given.cron):
        raise ConfigError(
            f"{where}: cron {given.cron[:80]!r} is none; it may be minute, hour, day, month and weekday: 0 7 * * 1-5"
        )
    if not given.mail and not given.webhook:
        raise ConfigError(f"{where}: goes nowhere; name addresses as mail, or a webhook")
    if given.mail and not (settings.mail.host and settings.mail.sender):
        raise ConfigError(f"{where}: is to be mailed, so [mail] must have host and sender")
    if given.webhook and given.webhook not in {webhook.url for webhook in settings.webhooks}:
        raise ConfigError(f"{where}: webhook is not the url of one of the [[webhooks]]")
    _check_addresses(given.mail, where)
    bad = [name for name in given.campaigns if not valid_name(name)]
    if bad:
        raise ConfigError(f"{where}: {bad[0][:80]!r} cannot be a campaign")
    try:
        return Schedule(
            name=given.name,
            cron=given.cron,
            days=given.days,
            by=parse_by(given.by),
            campaigns=frozenset(CampaignId(name) for name in given.campaigns),
            zone=zone_named(given.timezone or settings.pacing.timezone),
            form=given.format,
            mail=given.mail,
            webhook=given.webhook,
        )
    except InputError as error:
        raise ConfigError(f"{where}: {error}") from error


def _check_addresses(addresses: Sequence[str], where: str) -> None:
    for address in addresses:
        name, plain = parseaddr(address)
        if not plain or "@" not in plain or not address.isprintable() or name:
            raise ConfigError(f"{where}: {address[:80]!r} is no address; it may be such as ana@example.com")
